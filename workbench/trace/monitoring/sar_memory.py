"""What sysstat says of memory: one guest's rows, and how much memory there is in all.

Source: sysstat, CHANGES of 11.7.4, 11.6.4 and 11.4.10, and sar(1).  Before, kbmemused is all that
is not free; since then page cache, buffers and slabs are neither used nor free, and `sar -r` prints
the slabs only when it is asked for ALL.  %memused is always of all memory, and tells them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.trace.monitoring.sampled_rows import Column, Rows
from workbench.trace.monitoring.tracks import LINE, Quantity, Sampled
from workbench.units import KIB, format_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_ROUNDED_PERCENT: Final = 0.005
"""%memused is printed with two places."""

_SLACK_PERCENT: Final = 1e-9
"""What float64 adds to that."""

FREE, USED, PERCENT, BUFFERS, CACHED, SLAB = (
    "kbmemfree",
    "kbmemused",
    "%memused",
    "kbbuffers",
    "kbcached",
    "kbslab",
)
NEEDED: Final = (FREE, USED, PERCENT, BUFFERS, CACHED)
NAMES: Final = (*NEEDED, SLAB)
"""Of columns; all but the share are in KiB."""

_TOTAL: Final = "kbmemtotal"
"""Not a name of sysstat's: what the others come to."""


class Row(NamedTuple):
    """A sample, by the names of its columns, and its line or number in the file."""

    second: float
    line: int
    values: dict[str, float]


def sampled_memory(path: Path, name: str, rows: list[Row], numbered: str = LINE) -> Sampled:
    """Make one guest's tracks of its rows, which are numbered as in `Track`.

    Raises
    ------
    InputError
        How much memory there is in all cannot be told.
    """
    made = Rows(
        {
            FREE: Column(Quantity.FREE, FREE, KIB),
            CACHED: Column(Quantity.CACHED, CACHED, KIB),
            BUFFERS: Column(Quantity.CACHED_TOO, BUFFERS, KIB),
            _TOTAL: Column(Quantity.TOTAL, "all memory of sar", KIB),
        }
    )
    total_kib, remarks = _total_kib(f"{path}, {numbered.format(rows[0].line)}", rows)
    for row, total in zip(rows, total_kib, strict=True):
        made.add(row.second, row.line, {**row.values, _TOTAL: float(total)})
    sampled = made.sampled(path, name, numbered)
    sampled.remarks += remarks
    return sampled


def _total_kib(place: str, rows: list[Row]) -> tuple[npt.NDArray[np.float64], list[str]]:
    columns = {
        name: np.array([row.values.get(name, np.nan) for row in rows], np.float64) for name in NAMES
    }
    free, used, percent = columns[FREE], columns[USED], columns[PERCENT]
    if _is_share(percent, used, free + used):
        return free + used, []
    seen = free + used + columns[BUFFERS] + columns[CACHED]
    if _is_share(percent, used, seen + columns[SLAB]):
        return seen + columns[SLAB], []
    with np.errstate(divide="ignore"):
        least = np.nanmax(np.maximum(100 * used / (percent + _ROUNDED_PERCENT), seen))
        most = np.nanmin(100 * used / np.maximum(percent - _ROUNDED_PERCENT, 0))
    if not least <= most < np.inf:
        raise InputError(
            f"{place}: {USED} is {used[0]:.0f} and {PERCENT} {percent[0]:.2f}, "
            "which are not of the same memory throughout, expected one size of all memory or the "
            f"column {SLAB}; export it with `-r ALL`, and shares with two places"
        )
    middle = (least + most) / 2
    remark = (
        f"all memory was taken from {PERCENT} as {format_bytes(middle * KIB)}, to within "
        f"{format_bytes((most - least) / 2 * KIB)}; `-r ALL` tells it"
    )
    return np.full(len(rows), np.rint(middle)), [remark]


def _is_share(
    percent: npt.NDArray[np.float64], part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> bool:
    """Whether a printed share is that of a part in a whole, in every row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(percent - 100 * part / whole)
    return bool((off <= _ROUNDED_PERCENT + _SLACK_PERCENT).all())
