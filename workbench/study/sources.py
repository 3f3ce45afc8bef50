"""Recordings of guests, found by the patterns of a study file and read."""

from __future__ import annotations

import contextlib
import glob
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workbench.errors import InputError
from workbench.quantity import shown
from workbench.spelling import suggestion
from workbench.study.rules import WrongStudyError
from workbench.trace import read_monitoring, read_trace
from workbench.trace.guest_series import SERIES_NAME
from workbench.trace.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.study.toml_lines import Place
    from workbench.trace import GuestSeries, Trace


class Found(NamedTuple):
    """What a pattern stands for, where that pattern is, and how many patterns stand for it."""

    path: Path
    place: Place
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file or folder that a pattern stands for, and where the pattern is in the study file."""

    path: Path
    place: Place
    clock_offset_ns: int = 0
    is_trace: bool = False

    def read(self) -> tuple[GuestSeries | Trace, ...]:
        """Read the guests that are in it."""
        holds_trace = (self.path / MANIFEST_NAME).exists()
        if self.is_trace and holds_trace:
            return (read_trace(self.path),)
        if self.is_trace != holds_trace:
            found, key = ("a trace", "trace") if holds_trace else ("no trace", "series")
            raise InputError(f"{self.path}: is {found}; if it is meant, give it as {key}")
        if self.path.is_dir() and not (self.path / SERIES_NAME).exists():
            raise InputError(
                f"{self.path}: is a folder that holds no imported series, expected files; give a "
                f"pattern such as {self.path.name}/*.json"
            )
        return tuple(read_monitoring(self.path, clock_offset_ns=self.clock_offset_ns))


def find(folder: Path, patterns: Sequence[str], key: Place) -> list[Found]:
    """Find what patterns stand for, in the order of patterns and then of names: each once.

    Parameters
    ----------
    folder
        Where relative patterns begin.
    key
        Where the patterns are in the study file.

    Raises
    ------
    WrongStudyError
        One of them matches nothing, or is to search the whole file system.
    """
    found: dict[Path, Found] = {}
    for index, pattern in enumerate(patterns):
        place = (*key, index)
        _check_bounds(folder, pattern, place)
        matching = _matching(folder, pattern)
        if not matching:
            meant = suggestion(Path(pattern).name, _alike(folder / pattern), otherwise="correct it")
            raise WrongStudyError(
                f"nothing matches {shown(pattern)}, expected a path or a pattern from the folder "
                f"of the study file{meant}",
                place,
            )
        for path in matching:
            # A link is another guest, another way to one file is not.
            same = path.parent.resolve() / path.name
            before = found.get(same, Found(path, place, 0))
            found[same] = before._replace(times=before.times + 1)
    return list(found.values())


def _matching(folder: Path, pattern: str) -> list[Path]:
    if "\0" in pattern:  # No file's name has one.
        return []
    path = folder / pattern
    with contextlib.suppress(OSError):  # It is longer than names can be.
        if path.exists():  # Whatever signs its name has.
            return [path]
    return [Path(each) for each in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - takes absolute patterns.


def _check_bounds(folder: Path, pattern: str, place: Place) -> None:
    """Refuse to go through all folders there are."""
    if "**" not in pattern or "\0" in pattern:
        return
    parts = (folder / pattern).parts
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    begin = Path(*fixed).resolve()
    if begin == Path(begin.anchor):
        raise WrongStudyError(
            f"{shown(pattern)} goes through all folders of this machine, expected a folder before "
            "the first sign of a pattern; name one",
            place,
        )


def _alike(path: Path) -> list[str]:
    """Name what lies beside it and is like it without the suffix, which many have in common."""
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except (OSError, ValueError):
        return []
    return [name for name in beside if suggestion(path.stem, [Path(name).stem])]
