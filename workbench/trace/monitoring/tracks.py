"""What a reader of another tool's file hands over: tracks of one quantity each, by guest."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import InputError
from workbench.spelling import on_one_line
from workbench.trace.guest_series import STOP_S
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

LINE: Final = "line {}"
"""How a sample's number in its file is called, in most."""

_MICROSECONDS: Final = 1_000_000
"""In a second.  A float64 of seconds in this century is exact to less than one."""


class Quantity(enum.Enum):
    """What a track is of."""

    FREE = "free memory"
    TOTAL = "all memory"
    CACHED = "page cache"
    CACHED_TOO = "buffers and reclaimable slabs"
    RESIDENT = "resident set"
    HUGE = "free blocks"
    BOOT_TIME = "time of booting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Values of one quantity of one guest, as the file has them.

    Attributes
    ----------
    key
        The name that the file's tool gives it.
    place
        Where in the file it stands; `lines` are used instead where the file has lines.
    time_ns, values
        Shape (sample,); a value times `unit` is in bytes, in huge pages, or in seconds.
    rank
        Of several tracks of all memory the lowest one is taken.
    lines, numbered
        The line of each sample, and how it is called: a line, or something else that is numbered.
    is_merged
        Whether it is of several places, which is why its samples are told by their time.
    """

    quantity: Quantity
    key: str
    place: str
    time_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    unit: float = 1
    rank: int = 0
    lines: npt.NDArray[np.int64] | None = None
    numbered: str = LINE
    is_merged: bool = False

    def where(self, row: int) -> str:
        """Say where one sample stands, and what it is of."""
        if self.lines is not None:
            stands = self.numbered.format(self.lines[row])
        elif self.is_merged:
            stands = f"{self.place} at {int(self.time_ns[row]) / NANOSECONDS:.3f} s"
        else:
            stands = f"{self.place}[{row}]"
        return f"{stands}: {on_one_line(self.key)}"

    def rows(self, chosen: npt.NDArray[Any]) -> Track:
        """Give the samples that an array of booleans or numbers chooses."""
        return replace(
            self,
            time_ns=self.time_ns[chosen],
            values=self.values[chosen],
            lines=None if self.lines is None else self.lines[chosen],
        )


@dataclass(slots=True, kw_only=True)
class Sampled:
    """All that a file says of one guest.

    Attributes
    ----------
    restarts_ns
        When it was started again, where the file says so itself.
    remarks
        What the reader found and left out.
    """

    name: str
    tracks: list[Track] = field(default_factory=list)
    restarts_ns: list[int] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def of(self, quantity: Quantity) -> list[Track]:
        """Give the tracks of one quantity."""
        return [track for track in self.tracks if track.quantity is quantity]


def times_ns(path: Path, place: str, seconds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Turn seconds since 1970 into nanoseconds, to the microsecond.

    Raises
    ------
    InputError
        One cannot be.
    """
    if not {type(second) for second in seconds} <= {int, float}:
        seconds = [s if type(s) in {int, float} else math.nan for s in seconds]
    times = np.array([min(second, STOP_S) for second in seconds], np.float64)
    wrong = np.flatnonzero(~((times >= 0) & (times < STOP_S)))
    if wrong.size:
        raise InputError(
            f"{path}, {place}[{wrong[0]}]: time is {seconds[wrong[0]]}, expected seconds since "
            f"1970, from 0 to {STOP_S:,}; export it in seconds"
        )
    return np.rint(times * _MICROSECONDS).astype(np.int64) * (NANOSECONDS // _MICROSECONDS)


def check_order(path: Path, track: Track) -> None:
    """Refuse times that go back.

    Raises
    ------
    InputError
        They do.
    """
    back = np.flatnonzero(np.diff(track.time_ns) < 0)
    if back.size:
        row = int(back[0]) + 1
        time_s, before_s = (int(track.time_ns[r]) / NANOSECONDS for r in (row, row - 1))
        raise InputError(
            f"{path}, {track.where(row)}: time is {time_s:.3f} s after {before_s:.3f} s, expected "
            "times in order; sort the samples, or export them again"
        )


def merged(path: Path, tracks: list[Track]) -> Track:
    """Put the parts of one track together; what two have of one time comes twice.

    Raises
    ------
    InputError
        The times of a part go back.
    """
    for track in tracks:
        check_order(path, track)
    if len(tracks) == 1:
        return tracks[0]
    first = tracks[0]
    lines = [track.lines for track in tracks if track.lines is not None]
    together = replace(
        first,
        time_ns=np.concatenate([track.time_ns for track in tracks]),
        values=np.concatenate([track.values for track in tracks]),
        lines=np.concatenate(lines) if len(lines) == len(tracks) else None,
        is_merged=True,
    )
    return together.rows(np.argsort(together.time_ns, kind="stable"))
