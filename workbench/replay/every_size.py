"""Swap-ins and swap-outs for every memory size of the host, in one pass.

Exact for a host that takes from memory what was touched longest ago, page by page; Linux's two
lists come near to that, one size at a time (`workbench.replay.memory`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.card import Card, Shown
from workbench.errors import InputError, UsageError
from workbench.model import page_states
from workbench.model.curve import (
    IN_SWAP,
    SLOT,
    Rules,
    Uses,
    new_stack,
    new_tally,
    run_uses,
)
from workbench.model.reclaim import Moves
from workbench.progress import working
from workbench.replay.door import lineage
from workbench.replay.limits import AMPLE_BYTES, limits_under, reclaim_constants
from workbench.replay.memory import ModelledHost, recency_note
from workbench.replay.page_space import hosts_at_start, in_one_space
from workbench.replay.plain_requests import SwapCounts, counted
from workbench.replay.question import ask, choose, touched
from workbench.replay.summary import curve_card
from workbench.schema import FaultFlag, Kind, PageState
from workbench.spelling import checks_names
from workbench.trace import require_trace
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.identify import Identifiable
    from workbench.replay.memory import Served
    from workbench.replay.settings import Device, Guest, Host, Settings
    from workbench.trace import Trace


@dataclass(frozen=True, repr=False, kw_only=True)
class Curve(Shown):
    """What a trace's guests make hosts of every size swap.

    Attributes
    ----------
    counts
        By the host's memory.
    identifiable
        What the answer leaves open.
    lineage
        What it was made of: equal lineage, equal bytes.
    model_error
        How far the replay as captured is from the samples.
    """

    trace: Trace
    settings: Settings
    counts: SwapCounts
    identifiable: Identifiable
    lineage: dict[str, Any]
    model_error: dict[str, Any]

    @property
    def duration_s(self) -> float:
        """How long the trace lasts."""
        return self.trace.manifest.duration_ns / NANOSECONDS

    @property
    def has_recency(self) -> bool:
        """Whether accesses were recorded; without, a page is as old as its last fault."""
        return self.trace.manifest.access_interval_ns is not None

    def bytes_for(self, pages_per_second: float) -> int | None:
        """Give the smallest memory, in bytes, with which no more is swapped, on average.

        Parameters
        ----------
        pages_per_second
            Pages of 4 KiB that are read and written.

        Returns
        -------
        None where no memory is enough, because more were in swap before and are read.
        """
        pages = self.counts.pages_for(pages_per_second * self.duration_s)
        return None if pages is None else pages * PAGE_BYTES

    def _card(self) -> Card:
        return curve_card(self)


@checks_names
def curve(
    trace: Trace,
    *,
    device: Device | None = None,
    guest: Guest | None = None,
    host: Host | None = None,
    settings: Settings | None = None,
    progress: bool = True,
) -> Curve:
    """Say what hosts of every memory size would swap for the guests of `trace`.

    Parameters
    ----------
    device, guest, host, settings
        What to change, as for a replay.  Of the host only its swap can be chosen: a device keeps
        copies, zram does not.
    progress
        Whether to show on a terminal or in a notebook, after a second, that it is still at work.

    Raises
    ------
    UnanswerableError
        The trace does not hold what the answer needs; the message says what.
    UsageError
        Settings that are of one memory size, of another policy, or of costs.
    InputError
        The trace is damaged, or has no duration.

    Examples
    --------
    >>> import workbench as wb
    >>> found = wb.curve(wb.read_trace("traces/pressure-order0.trace"))
    >>> found.bytes_for(pages_per_second=100) // 2**20
    317

    Source: R. L. Mattson, J. Gecsei, D. R. Slutz and I. L. Traiger, "Evaluation techniques for
    storage hierarchies", IBM Systems Journal 9(2), 1970, for a host that swaps what was touched
    longest ago; docs/curve.md says how far Linux's two lists are from that.
    """
    require_trace(trace)
    settings = choose(settings, device=device, guest=guest, host=host)
    _refuse_other_questions(settings)
    if trace.manifest.duration_ns <= 0:
        raise InputError(
            f"{trace.path}: the manifest says that the capture took no time, expected a duration "
            "for pages a second; capture it again"
        )
    with working(f"following {trace.name}, {settings.label}", is_shown=progress):
        return _curve(trace, settings)


def _curve(trace: Trace, settings: Settings) -> Curve:
    ample = settings.model_copy(update={"host": _ample(settings.host)})
    asked = ask(trace, ample)
    replayed, run = touched(trace, asked.known.facts, ample, asked.replayed)
    served = ModelledHost(trace, ample, None).serve(replayed.columns, run.ledger)
    rules = Rules(
        reclaim_constants(trace, settings.host, limits_under(ample.host, None)).keeps_copies
    )
    page_state = page_states(in_one_space(hosts_at_start(trace)))
    stack, tally = new_stack(page_state.size), new_tally(page_state.size)
    stack.pages[page_state == PageState.SWAPPED, SLOT] = IN_SWAP
    run_uses(_in_memory(page_state), rules, stack, tally)
    return Curve(
        trace=trace,
        settings=settings,
        counts=counted(_uses(served), rules, stack, tally),
        identifiable=asked.identifiable.noting([recency_note(trace)]),
        lineage={**lineage(trace, settings), "question": "every memory size"},
        model_error=dict(asked.known.model_error),
    )


def _ample(host: Host) -> Host:
    return host.model_copy(update={"memory_bytes": AMPLE_BYTES, "reclaim": "least-recent"})


def _refuse_other_questions(settings: Settings) -> None:
    for name, value in settings.changed.items():
        if name.startswith(("host.", "cost.")) and name != "host.swap":
            raise UsageError(
                f"{name} is {value}, but a curve is of every memory size, with swap that "
                "never fills, for a host that takes what was touched longest ago; leave it out, or "
                "replay one size"
            )


def _in_memory(page_state: npt.NDArray[np.int8]) -> Uses:
    """Touch what is in memory when a trace begins, by address: nobody knows what is older."""
    page = np.flatnonzero(page_state == PageState.RESIDENT)
    return Uses(
        kind=np.full(page.size, Kind.FAULT, np.int8),
        page=page,
        page_count=np.ones(page.size, np.int64),
        writes=np.ones(page.size, np.bool_),
    )


def _uses(served: Served) -> Uses:
    """Say what guests do to their pages, from what a host with room for all of them did about it.

    What a fault brings into memory comes before the touch that made it.
    """
    requests, moves = served.requests, served.moves
    is_new = (
        (moves.kind == Kind.FAULT)
        & (moves.page_count > 0)
        & (moves.status & FaultFlag.SWAP_IN == 0)
    )
    new = Moves._make(column[is_new] for column in moves)
    is_touch = np.isin(requests.kind, (Kind.FAULT, Kind.ACCESS))
    asked = np.arange(requests.kind.size)
    order = np.argsort(np.concatenate((2 * new.request, 2 * asked + 1)), kind="stable")
    columns = Uses(
        kind=np.concatenate((new.kind, np.where(is_touch, Kind.ACCESS, requests.kind))),
        # What the host backs for a fault is aligned to its own size.
        page=np.concatenate((new.page // new.page_count * new.page_count, requests.page)),
        page_count=np.concatenate((new.page_count, requests.page_count)),
        writes=np.concatenate((new.status, requests.status)) & FaultFlag.WRITE != 0,
    )
    uses = Uses._make(column[order] for column in columns)
    return uses._replace(kind=uses.kind.astype(np.int8))
