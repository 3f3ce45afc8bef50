"""What memory can be: quantities of one guest, held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import InputError
from workbench.spelling import on_one_line
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from workbench.trace.monitoring.tracks import Track

_UNIT_STEP: Final = 1024
"""From one unit of memory to the next."""

_STEP_TOLERANCE: Final = 0.01
"""A resize hits that factor to this share by chance only; rounding to another unit always does."""


def check_memory(
    path: Path, free: Track, total: Track, columns: dict[str, npt.NDArray[np.int64]]
) -> None:
    """Refuse what cannot be of one guest at one time, which most often is another unit.

    Parameters
    ----------
    free
        The samples that are in `columns`, to say where they stand.

    Raises
    ------
    InputError
        Something cannot be.
    """
    all_bytes, cached_bytes = columns["total_bytes"], columns["cached_bytes"]
    free_bytes = columns["free_pages"] * PAGE_BYTES
    name = on_one_line(total.key)
    # The kernel reclaims until at least a thousandth is free above its reserve (Linux
    # Documentation/admin-guide/sysctl/vm.rst, watermark_scale_factor: 10 of 10,000 between one
    # watermark and the next), so that no guest is below a 1,024th of its memory throughout.
    never_free = int(free_bytes.max()) * _UNIT_STEP < int(all_bytes.min())
    judgements = (
        (all_bytes < HUGE_PAGE_BYTES, all_bytes, f"{name} here", "bytes, at least 2 MiB"),
        (_other_unit(all_bytes), all_bytes, f"{name}, 1,024 times another,", "one unit throughout"),
        (free_bytes > all_bytes, free_bytes, "free memory", f"no more than {name}, in one unit"),
        (cached_bytes > all_bytes, cached_bytes, "page cache", f"no more than {name}, in one unit"),
        (
            np.full(all_bytes.size, never_free),
            free_bytes,
            "free memory, never a 1,024th of all,",
            f"the same unit as of {name}",
        ),
    )
    for is_wrong, values, what, expected in judgements:
        wrong = np.flatnonzero(is_wrong)
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"{path}, {free.where(row)}: {what} is {values[row]} bytes and all memory "
                f"{all_bytes[row]}, expected {expected}; export everything in bytes"
            )


def _other_unit(all_bytes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell samples after which all memory is given in another unit."""
    before, after = all_bytes[:-1], all_bytes[1:]
    factor = np.maximum(before, after) / np.maximum(np.minimum(before, after), 1)
    jumps = np.abs(factor / _UNIT_STEP - 1) < _STEP_TOLERANCE
    return np.concatenate([[False], jumps])
