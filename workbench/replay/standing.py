"""What a figure that events change stood at, at instants that were asked for beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Standing:
    """A figure as it stood at given instants, of events that come in batches.

    An event counts from its own time on, so at an instant that equals it, too.  However the events
    are cut into batches, the answer is the same; of a batch only two numbers are kept.

    Parameters
    ----------
    combine
        Puts a change to what stood before; associative on integers, such as ``np.add``.
    initial
        What stands before the first event.
    instants_ns
        Shape (instant,), in any order.
    """

    def __init__(self, combine: np.ufunc, initial: int, instants_ns: npt.NDArray[np.int64]) -> None:
        self._combine = combine
        self._order = np.argsort(instants_ns, kind="stable")
        self._instants_ns = instants_ns[self._order]
        self._stood = np.empty(instants_ns.size, np.int64)
        self._passed = 0
        """How many of the instants, in order, no later event can reach."""
        self._now = initial

    def add(self, time_ns: npt.NDArray[np.int64], changes: npt.NDArray[np.int64]) -> None:
        """Take the next events.

        Parameters
        ----------
        time_ns
            Never going back, neither here nor from one batch to the next.
        changes
            One for each event.
        """
        if time_ns.size == 0:
            return
        # Events that share the time of this batch's last may follow: what is asked for then waits.
        begins, ends = self._instants_ns.searchsorted(time_ns[[0, -1]], side="left")
        within_ns = self._instants_ns[begins:ends]
        self._stood[self._passed : begins] = self._now
        # Events by then: 1 or more, as none of these instants is before the first of them.
        events = time_ns.searchsorted(within_ns, side="right")
        after, piece = self._after_pieces(changes, events)
        self._stood[begins:ends] = after[piece]
        self._now = int(after[-1])
        self._passed = int(ends)

    def _after_pieces(
        self, changes: npt.NDArray[np.int64], events: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
        """Cut the changes at these numbers of events, and give what stands after each piece.

        With it, for each of the numbers, the piece that ends there.  Reducing pieces takes a tenth
        of the time of following every change, and instants are few.
        """
        starts = np.concatenate(([0], events))
        is_new = starts[1:] != starts[:-1]
        starts = starts[np.concatenate(([True], is_new))]
        if starts[-1] == changes.size:
            starts = starts[:-1]
        pieces = self._combine.accumulate(self._combine.reduceat(changes, starts))
        return self._combine(self._now, pieces), np.cumsum(is_new) - 1

    def at_instants(self) -> npt.NDArray[np.int64]:
        """Give what stood at each instant, in the order in which they were given.

        Of those that the events have not passed yet: as if none followed.
        """
        in_order = self._stood.copy()
        in_order[self._passed :] = self._now
        stood = np.empty_like(in_order)
        stood[self._order] = in_order
        return stood
