"""One guest's series, put together of its tracks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.spelling import on_one_line
from workbench.trace.guest_series import GuestSeries, interval_of
from workbench.trace.monitoring.cleaning import cleaned
from workbench.trace.monitoring.joining import last_known
from workbench.trace.monitoring.mending import mend
from workbench.trace.monitoring.plausible import check_memory
from workbench.trace.monitoring.tracks import Quantity, Track
from workbench.units import HUGE_PAGE_ORDER, NANOSECONDS, PAGE_BYTES, format_ns

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from workbench.trace.monitoring.tracks import Sampled

SAMPLES_LEAST: Final = 2
"""An interval has two ends."""

_UNKNOWN_MOST: Final = 0.5
"""A column that is unknown in this share of samples is left out; in fewer, the samples are."""

_OPTIONAL: Final = (
    (Quantity.HUGE, "free_huge_pages"),
    (Quantity.RESIDENT, "resident_bytes"),
    (Quantity.CACHED, "cached_bytes"),
)


class _Column(NamedTuple):
    """What one or several tracks add up to, at the times of free memory.

    Attributes
    ----------
    oldest_ns
        By how much the oldest value that was taken is older than its sample.
    """

    values: npt.NDArray[np.float64]
    is_known: npt.NDArray[np.bool_]
    oldest_ns: int


def _column(at_ns: npt.NDArray[np.int64], tracks: list[Track]) -> _Column:
    """Add tracks up, where all of them are known."""
    values = np.zeros(at_ns.size)
    is_known = np.ones(at_ns.size, np.bool_)
    oldest_ns = 0
    for track in tracks:
        interval_ns = max(interval_of(at_ns), interval_of(track.time_ns))
        joined = last_known(at_ns, track.time_ns, track.values * track.unit, interval_ns)
        values += joined.values
        is_known &= joined.is_known
        oldest_ns = max(oldest_ns, joined.oldest_ns)
    return _Column(values, is_known, oldest_ns)


def guest_series(path: Path, sampled: Sampled) -> GuestSeries | str:
    """Make the series of one guest, or say in a few words why there is none.

    Raises
    ------
    InputError
        What the file says of it cannot be.
    """
    remarks = list(sampled.remarks)
    sampled = _cleaned(path, sampled, remarks)
    if not sampled.of(Quantity.FREE) or not sampled.of(Quantity.TOTAL):
        lacking = Quantity.TOTAL if sampled.of(Quantity.FREE) else Quantity.FREE
        return f"{lacking.value} is not known"
    free = sampled.of(Quantity.FREE)[0]
    total = min(sampled.of(Quantity.TOTAL), key=lambda track: track.rank)
    rows, columns = _joined(sampled, free, total, remarks)
    if rows.size < SAMPLES_LEAST:
        samples = "1 sample" if rows.size == 1 else f"{rows.size} samples"
        return f"it has {samples}, and a series needs {SAMPLES_LEAST}"
    free = free.rows(rows)
    check_memory(path, free, total, columns)
    _clip_huge_pages(columns, remarks)
    columns["time_ns"] = free.time_ns
    remarks += mend(columns)
    remarks += _restart_remarks(sampled, free.time_ns)
    ordered = {name: columns[name] for name in GUEST_SERIES.column_names}
    return GuestSeries(sampled.name, ordered, remarks=tuple(remarks))


def _cleaned(path: Path, sampled: Sampled, remarks: list[str]) -> Sampled:
    """Clean every track, and forget those of which nothing is left."""
    missing: Counter[str] = Counter()
    doubled = 0
    tracks = []
    for track in sampled.tracks:
        one = cleaned(path, track)
        missing[track.key.partition("{")[0]] += one.missing
        doubled = max(doubled, one.doubled)
        if one.track.time_ns.size:
            tracks.append(one.track)
    named = [f"{on_one_line(key)} {n:,}" for key, n in sorted(missing.items()) if n]
    if named:
        remarks.append(f"values that are NaN or missing were left out: {', '.join(named)}")
    if doubled:
        remarks.append(f"{doubled:,} samples came twice with the same values, and were taken once")
    sampled.tracks = tracks
    return sampled


def _joined(
    sampled: Sampled, free: Track, total: Track, remarks: list[str]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.int64]]]:
    """Give the rows of free memory at which all is known, and the columns there."""
    all_memory = _column(free.time_ns, [total])
    is_kept = all_memory.is_known.copy()
    _remark_unknown(~is_kept, Quantity.TOTAL.value, remarks)
    found = {"total_bytes": all_memory}
    older = {Quantity.TOTAL.value: all_memory.oldest_ns}
    for quantity, name in _OPTIONAL:
        tracks = _tracks_of(sampled, quantity, remarks)
        if not tracks:
            continue
        column = _column(free.time_ns, tracks)
        unknown = is_kept & ~column.is_known
        if np.count_nonzero(unknown) >= _UNKNOWN_MOST * np.count_nonzero(is_kept) > 0:
            remarks.append(
                f"{quantity.value} is known of no more than half of the samples, and was left out"
            )
            continue
        _remark_unknown(unknown, quantity.value, remarks)
        is_kept &= column.is_known
        found[name] = column
        older[quantity.value] = column.oldest_ns
    if any(older.values()):
        named = ", ".join(name for name, age_ns in older.items() if age_ns)
        remarks.append(
            f"{named}: sampled at other instants than free memory; the last value before was "
            f"taken, up to {format_ns(max(older.values()))} old"
        )
    rows = np.flatnonzero(is_kept)
    columns = {name: np.rint(found[name].values[rows]).astype(np.int64) for name in found}
    columns["free_pages"] = np.floor(free.values[rows] * free.unit / PAGE_BYTES).astype(np.int64)
    for _, name in _OPTIONAL:
        columns.setdefault(name, np.full(rows.size, UNKNOWN, np.int64))
    return rows, columns


def _tracks_of(sampled: Sampled, quantity: Quantity, remarks: list[str]) -> list[Track]:
    """Give the tracks that add up to a column; none if they cannot."""
    tracks = sampled.of(quantity)
    if quantity is Quantity.HUGE:
        huge = [track for track in tracks if track.unit]
        if tracks and not huge:
            remarks.append(
                f"free huge pages are not known: all blocks are below order {HUGE_PAGE_ORDER}"
            )
        return huge
    if quantity is Quantity.CACHED and tracks:
        return [tracks[0], *sampled.of(Quantity.CACHED_TOO)]
    return tracks[:1]


def _remark_unknown(is_unknown: npt.NDArray[np.bool_], what: str, remarks: list[str]) -> None:
    count = int(np.count_nonzero(is_unknown))
    if count:
        remarks.append(f"{count:,} samples were left out: {what} was not known within an interval")


def _clip_huge_pages(columns: dict[str, npt.NDArray[np.int64]], remarks: list[str]) -> None:
    """Take no more for free in blocks than is free: a guest counts them one after the other."""
    most = columns["free_pages"] >> HUGE_PAGE_ORDER
    above = columns["free_huge_pages"] - most
    count = int(np.count_nonzero(above > 0))
    if count:
        remarks.append(
            f"{count:,} samples have more free in blocks of 2 MiB than is free, by up to "
            f"{int(above.max()):,} blocks; what is free was taken"
        )
        columns["free_huge_pages"] = np.minimum(columns["free_huge_pages"], most)


def _restart_remarks(sampled: Sampled, time_ns: npt.NDArray[np.int64]) -> list[str]:
    """Count the starts between the first and the last sample."""
    count = sum(int(time_ns[0]) < at_ns <= int(time_ns[-1]) for at_ns in sampled.restarts_ns)
    booted = sampled.of(Quantity.BOOT_TIME)
    if booted:
        joined = last_known(
            time_ns, booted[0].time_ns, booted[0].values * NANOSECONDS, interval_of(time_ns)
        )
        # It was started again where it booted later than it was seen before.
        count += int(np.count_nonzero(joined.values[1:] > time_ns[:-1]))
    if not count:
        return []
    times = "once" if count == 1 else f"{count:,} times"
    return [f"the guest was started again {times}; its memory is taken as its samples have it"]
