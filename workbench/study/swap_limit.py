"""How many guests keep a limit of what is read back from swap in a second: only traces can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from workbench.errors import UsageError
from workbench.study.fits import fit_of, sums_of

if TYPE_CHECKING:
    import pandas as pd

    from workbench.study.study import HostKind, Study
    from workbench.study.swap import HostSwap, SwapStudy


class WithinLimit(NamedTuple):
    """How many guests keep a limit of swapping.

    Attributes
    ----------
    guests
        The most, 0 if one is too many.
    rows
        All that was looked at, by guests and seed.
    """

    guests: int
    rows: tuple[HostSwap, ...]


def guests_within_limit(asked: SwapStudy, host: HostKind, most: int) -> WithinLimit:
    """Look for the most guests that keep the study's limit of pages read back a second.

    They keep it if they do for each seed.  Numbers are doubled until one does not, and then
    halved between.  So for every number below the answer it is taken to hold, which swapping
    does not promise: 1, 2, 4 ... were looked at, and one more than the answer exceeds it.

    Parameters
    ----------
    most
        No more are looked at: so many fit by other limits.

    Raises
    ------
    UsageError
        The study has no such limit.
    UnanswerableError, InputError, HostError
        As for `SwapStudy.on_host`.
    """
    study = asked.study
    limit = study.limit.swap_in_pages_per_second
    if limit is None:
        raise UsageError(
            f"{study.name}: has no limit to keep, expected swap_in_pages_per_second under [limit]"
        )
    rows: list[HostSwap] = []

    def keeps(count: int) -> bool:
        found = [row for seed in study.seeds for row in asked.on_host(host, [count], seed)]
        rows.extend(found)
        return all(row.swap_in_pages_per_second_p99 <= limit for row in found)

    kept, exceeding = 0, 1
    while exceeding <= most and keeps(exceeding):
        kept = exceeding
        exceeding = min(2 * kept, most) if kept < most else most + 1
    while exceeding - kept > 1:
        middle = (kept + exceeding) // 2
        if keeps(middle):
            kept = middle
        else:
            exceeding = middle
    return WithinLimit(kept, tuple(sorted(rows, key=lambda row: (row.guests, row.seed))))


def fitting_by_memory(study: Study, together: pd.DataFrame) -> dict[tuple[int, int], int]:
    """Say for each host and variant (indexes) how many guests fit, apart from what they swap.

    Parameters
    ----------
    together
        As `answers` takes it.

    Raises
    ------
    InputError
        The frame is not of this study.
    """
    sums = sums_of(study, together)
    of_memory = replace(study.limit, swap_in_pages_per_second=None, drain_seconds=None)
    return {
        (place, number): fit_of(
            sums[place, number], host, of_memory, drain_seconds=0, swap_in_guests=None
        ).guests
        for place, host in enumerate(study.hosts)
        for number in range(len(study.variants))
    }
