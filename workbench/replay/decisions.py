"""QEMU's own decisions about reports, as captured: the discards that followed each range."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.schema import NO_ELEMENT, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from workbench.trace.reader import Columns

_KEY = ("vm", "element", "ram_block", "offset_bytes", "length_bytes")


class Decisions(NamedTuple):
    """What QEMU did about each reported range.  Columns of shape (event,)."""

    discarded: npt.NDArray[np.bool_]
    """For a report: whether a discard of this range, for this element, was captured."""
    status: npt.NDArray[np.int64]
    """For such a report: what the host answered; else 0."""
    discards_without_report: int


class Happened(NamedTuple):
    """Events, and QEMU's decisions about them."""

    columns: Columns
    decisions: Decisions


def happened(columns: Columns) -> Happened:
    """Find QEMU's decisions among the events."""
    return Happened(columns, captured_decisions(columns))


def captured_decisions(columns: Mapping[str, npt.NDArray[np.int64]]) -> Decisions:
    """Join each reported range with its discard.

    An element may name a range more than once; QEMU then discards it as often, so the first
    belongs to the first.
    """
    kind = columns["kind"]
    reports = np.flatnonzero(kind == Kind.REPORT)
    discards = np.flatnonzero((kind == Kind.DISCARD) & (columns["element"] != NO_ELEMENT))
    rows = np.concatenate((reports, discards))
    keys = np.stack([columns[name][rows].astype(np.int64) for name in _KEY])
    _, group = np.unique(keys, axis=1, return_inverse=True)
    group = group.reshape(-1)
    report_key = _numbered(group[: reports.size], rows.size)
    discard_key = _numbered(group[reports.size :], rows.size)
    _, of_report, of_discard = np.intersect1d(
        report_key, discard_key, assume_unique=True, return_indices=True
    )

    discarded = np.zeros(kind.size, np.bool_)
    status = np.zeros(kind.size, np.int64)
    discarded[reports[of_report]] = True
    status[reports[of_report]] = columns["status"][discards[of_discard]]
    return Decisions(discarded, status, discards.size - of_discard.size)


def _numbered(group: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.int64]:
    """Make each entry unique: its group, and how many of the group (at most `most`) come before."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    number = np.empty(group.size, np.int64)
    number[order] = ordered.astype(np.int64) * (most + 1) + (np.arange(group.size) - starts)
    return number
