"""Machines that a capture found later, or that ended before it: what they hold comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from workbench.trace import VirtualMachine

_ARRIVAL, _EVENT, _DEPARTURE = range(3)
"""In this order, where all are at one time."""


class Deltas(NamedTuple):
    """Changes of the pages of all machines together.  Shape (change,)."""

    time_ns: npt.NDArray[np.int64]
    pages: npt.NDArray[np.int64]


class _Turn(NamedTuple):
    """A machine that comes or goes."""

    time_ns: int
    vm: int


class Presence:
    """Puts what machines hold when they come, and what they held when they end, among the events.

    However the events are cut into batches, the changes are the same.

    Parameters
    ----------
    machines
        Those of the trace.
    chosen
        The numbers of those that are looked at.
    initial_pages
        What each holds when its capture begins.  Shape (vm,).
    """

    def __init__(
        self,
        machines: Sequence[VirtualMachine],
        chosen: Iterable[int],
        initial_pages: npt.NDArray[np.int64],
    ) -> None:
        self._pages = {vm: int(initial_pages[vm]) for vm in chosen}
        self._arrivals = _turns({vm: machines[vm].attached_time_ns for vm in self._pages})
        self._departures = _turns({vm: machines[vm].ended_time_ns for vm in self._pages})
        self._ended_ns = {turn.vm: turn.time_ns for turn in self._departures}
        self._arrived = {turn.vm: self._pages[turn.vm] for turn in self._arrivals}
        later = sum(self._arrived.values())
        self.initial_pages = sum(self._pages.values()) - later
        """What is held at the start, by the machines that are there."""

    def merge(
        self,
        time_ns: npt.NDArray[np.int64],
        vm: npt.NDArray[np.integer],
        pages: npt.NDArray[np.int64],
    ) -> Deltas:
        """Take the next events, of chosen machines, and give what changes with them.

        Parameters
        ----------
        time_ns
            Never going back, neither here nor from one batch to the next; at least one.
        pages
            What each event changes.
        """
        if not self._arrivals and not self._departures and not self._ended_ns:
            return Deltas(time_ns, pages)
        last_ns = int(time_ns[-1])
        pages = pages.copy()
        for machine, ended_ns in self._ended_ns.items():
            is_own = vm == machine
            pages[is_own & (time_ns > ended_ns)] = 0  # What has ended does nothing.
            self._pages[machine] += int(pages[is_own].sum())
        arrivals = [turn for turn in self._arrivals if turn.time_ns <= last_ns]
        # Events of that same time may follow.
        departures = [turn for turn in self._departures if turn.time_ns < last_ns]
        return self._put_among(Deltas(time_ns, pages), arrivals, departures)

    def rest(self) -> Deltas:
        """Give what changes after the last event."""
        nothing = Deltas(np.zeros(0, np.int64), np.zeros(0, np.int64))
        return self._put_among(nothing, list(self._arrivals), list(self._departures))

    def _put_among(
        self, events: Deltas, arrivals: Sequence[_Turn], departures: Sequence[_Turn]
    ) -> Deltas:
        turns = [*arrivals, *departures]
        gained = [self._arrived[turn.vm] for turn in arrivals]
        lost = [-self._pages[turn.vm] for turn in departures]
        time_ns = np.array([*(turn.time_ns for turn in turns)], np.int64)
        rank = [_ARRIVAL] * len(arrivals) + [_DEPARTURE] * len(departures)
        ranks = np.concatenate((np.full(events.pages.size, _EVENT), np.array(rank, np.int64)))
        times = np.concatenate((events.time_ns, time_ns))
        pages = np.concatenate((events.pages, np.array([*gained, *lost], np.int64)))
        self._arrivals = [turn for turn in self._arrivals if turn not in arrivals]
        self._departures = [turn for turn in self._departures if turn not in departures]
        order = np.lexsort((ranks, times))
        return Deltas(times[order], pages[order])


def _turns(times_ns: dict[int, int | None]) -> list[_Turn]:
    turns = [_Turn(time_ns, vm) for vm, time_ns in times_ns.items() if time_ns is not None]
    return sorted(turns)
