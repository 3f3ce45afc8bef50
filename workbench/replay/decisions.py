"""QEMU's own decisions about reports, as captured: the discards that followed each range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.schema import NO_ELEMENT, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt

    from workbench.trace.reader import Columns

DISCARD_ROWS_MAX: Final = 1 << 14
"""QEMU discards what an element reports before it looks at the next: a report without a discard
among so many events from it on has none."""

# Plain numbers: beside one of an enumeration, NumPy would turn a whole column into int64 first.
DISCARD: Final = int(Kind.DISCARD)
REPORT: Final = int(Kind.REPORT)

_KEY = ("vm", "element", "ram_block", "offset_bytes", "length_bytes")


class Decisions(NamedTuple):
    """What QEMU did about each reported range.  Columns of shape (event,)."""

    discarded: npt.NDArray[np.bool_]
    """For a report: whether a discard of this range, for this element, was captured."""
    status: npt.NDArray[np.int64]
    """For such a report: what the host answered; else 0."""
    discards_of_reports: int
    discards_without_report: int


class Happened(NamedTuple):
    """Events, and QEMU's decisions about them."""

    columns: Columns
    decisions: Decisions


def happened(columns: Columns) -> Happened:
    """Find QEMU's decisions among the events."""
    return Happened(columns, captured_decisions(columns))


def captured_decisions(columns: Mapping[str, npt.NDArray[np.int64]]) -> Decisions:
    """Join each reported range with its discard."""
    asked, answers = _asked_and_answered(columns)
    reports, discards = _joined(columns, asked, answers)
    discarded = np.zeros(columns["kind"].size, np.bool_)
    status = np.zeros(columns["kind"].size, np.int64)
    discarded[reports] = True
    status[reports] = columns["status"][discards]
    return Decisions(discarded, status, discards.size, answers.size - discards.size)


def whole_batches(batches: Iterable[Columns]) -> Iterator[Columns]:
    """Cut events anew, so that no report is parted from its discard, nor events of one time."""
    held: Columns = {}
    for batch in batches:
        if held and _are_apart(held, batch):
            yield held
            held = batch
        elif held:
            cut = _last_cut(held)
            if cut:
                yield {name: values[:cut] for name, values in held.items()}
            held = _concatenated({name: values[cut:] for name, values in held.items()}, batch)
        else:
            held = batch
    if held:
        yield held


def _are_apart(before: Columns, after: Columns) -> bool:
    """Tell whether events can be cut between two batches; where reports are, more is to be seen."""
    times = before["time_ns"][-1:], after["time_ns"][:1]
    is_later = all(time.size for time in times) and times[0][0] != times[1][0]
    return bool(is_later and not (before["kind"] == REPORT).any())


def _concatenated(before: Columns, after: Columns) -> Columns:
    return {name: np.concatenate((values, after[name])) for name, values in before.items()}


def _last_cut(columns: Columns) -> int:
    """Give the last row before which events can be cut, whatever comes after them; 0 is none."""
    size = columns["kind"].size
    asked, answers = _asked_and_answered(columns)
    if asked.size == 0:
        last_ns = columns["time_ns"][-1:]
        return int(np.searchsorted(columns["time_ns"], last_ns).sum())
    reports, discards = _joined(columns, asked, answers)
    # How far an event reaches: to its discard, which may be still to come.
    reach = np.zeros(size, np.int64)
    latest = asked[asked >= size - DISCARD_ROWS_MAX]
    reach[latest] = size
    reach[reports] = discards
    is_cut = np.maximum.accumulate(reach)[:-1] < np.arange(1, size)
    is_cut &= columns["time_ns"][1:] != columns["time_ns"][:-1]
    cuts = np.flatnonzero(is_cut)
    return int(cuts[-1]) + 1 if cuts.size else 0


def _asked_and_answered(
    columns: Mapping[str, npt.NDArray[np.int64]],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Give the rows of reports, and of the discards that answer any."""
    discards = np.flatnonzero(columns["kind"] == DISCARD)
    answers = discards[columns["element"][discards] != NO_ELEMENT]
    return np.flatnonzero(columns["kind"] == REPORT), answers


def _joined(
    columns: Mapping[str, npt.NDArray[np.int64]],
    reports: npt.NDArray[np.intp],
    discards: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Give those of reports that have a discard, and those of discards that belong to them.

    An element may name a range more than once; QEMU then discards it as often, so the first
    belongs to the first.
    """
    if reports.size == 0 or discards.size == 0:
        return reports[:0], discards[:0]
    rows = np.concatenate((reports, discards))
    keys = np.stack([columns[name][rows].astype(np.int64) for name in _KEY])
    _, group = np.unique(keys, axis=1, return_inverse=True)
    group = group.reshape(-1)
    report_key = _numbered(group[: reports.size], rows.size)
    discard_key = _numbered(group[reports.size :], rows.size)
    _, of_report, of_discard = np.intersect1d(
        report_key, discard_key, assume_unique=True, return_indices=True
    )
    reports, discards = reports[of_report], discards[of_discard]
    follows = (discards > reports) & (discards - reports < DISCARD_ROWS_MAX)
    return reports[follows], discards[follows]


def _numbered(group: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.int64]:
    """Make each entry unique: its group, and how many of the group (at most `most`) come before."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    number = np.empty(group.size, np.int64)
    number[order] = ordered.astype(np.int64) * (most + 1) + (np.arange(group.size) - starts)
    return number
