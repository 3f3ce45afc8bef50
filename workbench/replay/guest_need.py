"""Predict how much host memory a guest needs, from samples that are many and far apart.

`predict_series` follows every pass of reporting through every interval, sixteen times over.  What
monitoring brings, a week at a sample a minute of a thousand guests, takes a shorter way to the same
figures.  It is open where all that was freed between two samples is reported before the next one:

* Then nothing waits from one interval to the next, and each can be looked at by itself.
* What is freed at some instant of an interval waits for its first pass, what that leaves for the
  second, and so on.  Whether the next sample meets it there depends on the instant, of which nobody
  knows anything.  So on average the sample meets, of the pages that wait through a delay, the part
  that the delay is of the interval.  The same is true of what swings between two samples: at a
  delay of 2 s and a sample a minute, one part in sixty of the swing, for as long as all of it is
  reported by one pass, which on average comes half a delay later.
* Where free memory is too little for reporting (`has_room_to_report`), nothing is reported and all
  that is freed waits: what is still reported is the least that was reportable since there was room.

Elsewhere the model follows the passes, with fewer choices of what samples leave open the more
samples there are; guests take different ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from workbench.model.guest import ORDERS, hidden_swing_pages
from workbench.model.guest.reporting import LIST_PARTS
from workbench.replay.guest_series import RUNS, Sampling, model_inputs, reported_pages
from workbench.units import HUGE_PAGE_ORDER, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.guest import SeriesColumns, SeriesConstants
    from workbench.trace import GuestSeries, Reporting

    Pages = npt.NDArray[np.int64]
    Numbers = npt.NDArray[np.float64]

_GUEST_ALONE: Final = Sampling(own_bytes=0, lag_ns=0)
"""Of guest RAM only, and at the instant of the sample."""

_ROWS_OF_ALL_RUNS: Final = 1 << 14
"""Samples that are followed, all runs together: some milliseconds.  A series of more is followed
once, and other guests even out what it takes for what no sample tells."""


class GuestNeed(NamedTuple):
    """What a guest needs of host memory at each sample.  Arrays of shape (sample,).

    Attributes
    ----------
    pages
        All of its memory but what is free and reported.
    reportable_pages
        What is free in blocks that are large enough to be reported.
    """

    pages: Pages
    reportable_pages: Pages


def series_need(series: GuestSeries, reporting: Reporting) -> GuestNeed:
    """Predict what a guest needs at each sample, for any reporting.

    Parameters
    ----------
    series
        Of known free huge pages.
    """
    columns, constants = model_inputs(series, reporting, _GUEST_ALONE)
    reportable = columns.small_pages + columns.large_pages
    reported = _reported_at_once(columns, reportable, constants)
    if reported is None:
        swing = hidden_swing_pages(reportable, _GUEST_ALONE.swing_rows)
        runs = few_runs(series)
        columns = columns._replace(swing_pages=swing)
        reported = reported_pages(columns, constants, runs) // len(runs)
    return GuestNeed(series.columns["total_bytes"] // PAGE_BYTES - reported, reportable)


def few_runs(series: GuestSeries) -> list[int]:
    """Choose runs that are spread over all of them, beginning with any: its digest is a die."""
    samples, count = series.columns["time_ns"].size, RUNS
    while count > 1 and count * samples > _ROWS_OF_ALL_RUNS:
        count //= 2
    first = int(series.digest[:8], 16)
    return [(first + run * RUNS // count) % RUNS for run in range(count)]


def _reported_at_once(
    columns: SeriesColumns, reportable: Pages, constants: SeriesConstants
) -> Pages | None:
    """Say what is reported at each sample, if what is freed never waits for the one after that."""
    interval_ns = np.diff(columns.time_ns)
    has_room = have_room(columns.free_pages, constants.low_watermark_pages, constants)
    swing = _swing(reportable)
    blocks = np.arange(swing.size) * _GUEST_ALONE.swing_rows + 1
    block_of_interval = np.repeat(np.arange(swing.size), _GUEST_ALONE.swing_rows)
    swing = np.minimum(swing, reportable[blocks])
    from_small = swing * columns.small_pages[blocks] // np.maximum(reportable[blocks], 1)
    swings = _drain(from_small, swing - from_small, blocks, columns, constants)
    block_of_interval = block_of_interval[: interval_ns.size]
    swing_of_interval = swing[block_of_interval]

    net = np.maximum(np.diff(reportable), 0)
    freed = np.flatnonzero((net > 0) & has_room[1:])
    large = np.minimum(np.maximum(np.diff(columns.large_pages), 0), net)[freed]
    frees = _drain(net[freed] - large, large, freed + 1, columns, constants)
    passes = swings.passes[block_of_interval] * has_room[1:]
    passes[freed] = np.maximum(passes[freed], frees.passes)
    if (passes * constants.delay_ns + constants.delay_ns > interval_ns).any():
        return None

    # Where memory swings there is always a pass to come, so the first comes half a delay later.
    waiting = swings.page_passes[block_of_interval] - swing_of_interval / 2
    waiting[freed] += frees.page_passes - (swing_of_interval[freed] > 0) * net[freed] / 2
    reported = reportable.copy()
    reported[1:] -= (waiting * (constants.delay_ns / interval_ns)).astype(np.int64)
    return _with_stops(np.maximum(reported, 0), reportable, swing_of_interval, has_room)


def _swing(reportable: Pages) -> Pages:
    """Say how much swings in each block of intervals, as `hidden_swing_pages` would of each one.

    A block is judged by its own changes, the last one by as many as the others.
    """
    changes = np.abs(np.diff(reportable))
    rows = min(_GUEST_ALONE.swing_rows, changes.size)
    whole = changes.size // rows * rows
    medians = np.median(changes[:whole].reshape(-1, rows), axis=1)
    if whole < changes.size:
        medians = np.append(medians, np.median(changes[-rows:]))
    # A walk whose changes are these.
    walk = np.cumsum(np.append(0, medians.astype(np.int64)))
    return hidden_swing_pages(walk, 1)[:-1]


class _Drains(NamedTuple):
    """How what was freed at once is reported, pass after pass.  Arrays of shape (free,)."""

    passes: Numbers
    """Until nothing waits."""
    page_passes: Numbers
    """Pages that wait, summed over the passes that they wait for."""


def _drain(
    small: Pages,
    large: Pages,
    rows: npt.NDArray[np.intp],
    columns: SeriesColumns,
    constants: SeriesConstants,
) -> _Drains:
    """Follow what was freed below 2 MiB and above it, where as much is free as at these samples.

    As `workbench.model.guest.series` does, each list by itself, as if no report held blocks of two.
    """
    shares, order = constants.shares, constants.order
    passes = np.zeros(rows.size)
    page_passes = np.zeros(rows.size)
    groups = (
        (small, columns.small_pages, order, HUGE_PAGE_ORDER),
        (large, columns.large_pages, max(order, HUGE_PAGE_ORDER), ORDERS),
    )
    for freed, in_group, first, stop in groups:
        free = in_group[rows]
        for each in range(first, stop):
            share_freed = shares.freed[each] / shares.freed[first:stop].sum()
            share_free = shares.free[each] / shares.free[first:stop].sum()
            blocks = np.floor(free * (share_free / (1 << each)))
            waiting = np.ceil(freed * (share_freed / (1 << each)))
            list_passes, block_passes = _drain_list(waiting, blocks, constants.capacity)
            passes = np.maximum(passes, list_passes)
            page_passes += block_passes * (1 << each)
    return _Drains(passes, page_passes)


def _drain_list(waiting: Numbers, blocks: Numbers, capacity: int) -> tuple[Numbers, Numbers]:
    """Follow blocks that wait on a list of so many: passes, and blocks summed over the passes."""
    passes = (waiting > 0).astype(np.float64)
    summed = waiting.copy()
    left = waiting - blocks_at_once(np.maximum(blocks, waiting), capacity)
    still = np.flatnonzero(left > 0)
    while still.size:
        now = left[still]
        passes[still] += 1
        summed[still] += now
        left[still] = now - blocks_at_once(np.maximum(blocks[still], now), capacity)
        still = still[left[still] > 0]
    return passes, summed


def blocks_at_once(blocks: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    """Say how many blocks a pass takes of lists of so many: `full_reports`, of many at once."""
    return (np.ceil(blocks / (LIST_PARTS * capacity)) + 1) * capacity


def have_room(
    free_pages: Pages, low_watermark_pages: int, reporting: Reporting | SeriesConstants
) -> npt.NDArray[np.bool_]:
    """Tell whether enough is free to isolate a report: `has_room_to_report`, of many at once."""
    return free_pages > low_watermark_pages + (reporting.capacity << reporting.order)


def _with_stops(
    reported: Pages, reportable: Pages, swing: Pages, has_room: npt.NDArray[np.bool_]
) -> Pages:
    """Let nothing be reported while there is no room to report.

    What is taken then comes from what waits, as long as any does, and what is freed waits: so what
    is reported never rises.  What swings has to be reported anew.
    """
    if has_room.all():
        return reported
    is_stopped = ~has_room
    is_stopped[0] = False  # Nothing waits at the first sample.
    stopped = np.maximum(reportable - np.append(0, swing), 0)
    least = np.where(is_stopped, stopped, reportable)
    # Each stretch without room, and the sample before it, lies below the one before.
    stretch = np.cumsum(~is_stopped)
    below = stretch * (int(reportable.max()) + 1)
    least = np.minimum.accumulate(least - below) + below
    return np.where(is_stopped, least, reported)
