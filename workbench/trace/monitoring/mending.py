"""What of a series is mended and remarked, whoever sampled it: gaps, and memory that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.trace.monitoring.gaps import GAP_INTERVALS, fill_gaps
from workbench.units import format_bytes, format_ns

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.trace.guest_series import GuestSeries
    from workbench.trace.monitoring.gaps import Gaps

_HOLDS: Final = "there the end with less free memory holds"
"""How each remark on gaps ends: a series that has one was mended before it was kept."""


def mend(columns: dict[str, npt.NDArray[np.int64]]) -> list[str]:
    """Fill the gaps of a series, and say what is strange in it: a sentence each."""
    gaps = fill_gaps(columns)
    return [*_memory_remarks(columns["total_bytes"]), *_gap_remarks(gaps)]


def mended(series: GuestSeries) -> GuestSeries:
    """Mend a series that stands as it was sampled; one that was mended before stays as it is."""
    if any(remark.endswith(_HOLDS) for remark in series.remarks):
        return series
    columns = dict(series.columns)
    new = [remark for remark in mend(columns) if remark not in series.remarks]
    return replace(series, columns=columns, remarks=(*series.remarks, *new))


def _memory_remarks(total_bytes: npt.NDArray[np.int64]) -> list[str]:
    changes = int(np.count_nonzero(np.diff(total_bytes)))
    if not changes:
        return []
    least, most = format_bytes(int(total_bytes.min())), format_bytes(int(total_bytes.max()))
    return [f"all memory changes {changes:,} times, between {least} and {most}"]


def _gap_remarks(gaps: Gaps) -> list[str]:
    if not gaps.gap_count:
        return []
    count = "1 gap" if gaps.gap_count == 1 else f"{gaps.gap_count:,} gaps"
    lengths = f"{GAP_INTERVALS} intervals of {format_ns(gaps.interval_ns)}"
    return [f"{count} longer than {lengths}, together {format_ns(gaps.length_ns)}: {_HOLDS}"]
