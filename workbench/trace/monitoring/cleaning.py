"""One track at a time: what cannot be is refused, what says nothing is left out and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.trace.guest_series import STOP_BYTES
from workbench.trace.monitoring.tracks import Quantity, Track, check_order
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


class Cleaned(NamedTuple):
    """A track whose times rise and whose values are numbers, and how many samples it lost."""

    track: Track
    missing: int
    doubled: int


def cleaned(path: Path, track: Track) -> Cleaned:
    """Leave out what has no value, and what comes twice.

    Raises
    ------
    InputError
        Times go back, a value cannot be, or one time has two values.
    """
    check_order(path, track)
    values = track.values
    is_missing = np.isnan(values)
    _refuse(path, track, ~is_missing & (values < 0), "a number from 0")
    if track.quantity is not Quantity.BOOT_TIME:
        too_large = ~is_missing & (values * max(track.unit, 1) >= STOP_BYTES)
        _refuse(path, track, too_large, "what memory can be, less than 2^52 bytes")
    else:
        _refuse(path, track, np.isinf(values), "seconds since 1970")
    if is_missing.any():
        track = track.rows(~is_missing)
    is_again = np.diff(track.time_ns, prepend=-1) == 0
    if is_again.any():
        _refuse_two_values(path, track, is_again)
        track = track.rows(~is_again)
    return Cleaned(track, int(is_missing.sum()), int(is_again.sum()))


def _refuse(path: Path, track: Track, is_wrong: npt.NDArray[np.bool_], expected: str) -> None:
    wrong = np.flatnonzero(is_wrong)
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"{path}, {track.where(row)} is {track.values[row]:.17g}, expected {expected}; correct "
            "it or leave it out"
        )


def _refuse_two_values(path: Path, track: Track, is_again: npt.NDArray[np.bool_]) -> None:
    before = np.roll(track.values, 1)
    wrong = np.flatnonzero(is_again & (track.values != before))
    if wrong.size:
        row = int(wrong[0])
        time_s = int(track.time_ns[row]) / NANOSECONDS
        raise InputError(
            f"{path}, {track.where(row)} is {track.values[row]:.17g} and {before[row]:.17g} at "
            f"{time_s:.3f} s, expected one value at each time; export each guest once"
        )
