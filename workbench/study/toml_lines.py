"""On which line of a TOML file a key stands: tomllib tells what a file says, not where."""

from __future__ import annotations

import bisect
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Place: TypeAlias = tuple[str | int, ...]
"""Keys, and indices of arrays: ``("host", 1, "memory")``."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
"""What may stand between keys and values: also ends of lines and comments."""

_STRING: Final = (
    r'"""(?:\\.|[^\\])*?"{3,5}'  # Up to two quotes may stand before the three that end it.
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
)

_NAME: Final = rf"(?:[A-Za-z0-9_-]+|{_STRING})"

_KEY: Final = re.compile(rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*", re.DOTALL)

_WHOLE_STRING: Final = re.compile(_STRING, re.DOTALL)

_PLAIN: Final = re.compile(r"[^,\]}\n#]+")
"""A number, a switch or a time, which may have a blank in it."""

_DEEPEST: Final = 32
"""Keys within keys of which the line is kept: more than people write, and no work for a file that
only goes deep."""


class _Open(NamedTuple):
    """An array or an inline table that has not ended yet."""

    place: Place
    is_array: bool


class TomlLines:
    """The lines of a TOML document.

    Parameters
    ----------
    text
        What `tomllib` has read without complaint: nothing is checked again.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[Place, int] = {(): 1}
        self._lengths: dict[Place, int] = {}
        self._read()

    @property
    def lines(self) -> dict[Place, int]:
        """The line of everything in the document, counted from 1."""
        return dict(self._lines)

    def has(self, place: Sequence[str | int]) -> bool:
        """Tell whether the document has it."""
        return tuple(place) in self._lines

    def line(self, place: Sequence[str | int]) -> int:
        """Give the line on which a key or an element of an array stands.

        What is not in the document is where the table is that should have it.
        """
        known = tuple(place)
        while known not in self._lines:
            known = known[:-1]
        return self._lines[known]

    def _read(self) -> None:
        table: Place = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._value(self._key(table))

    def _header(self) -> Place:
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        self._skip_blank()
        line, names = self._line(), self._names()
        place: Place = ()
        for name in names[:-1]:
            place = self._last(self._note((*place, name), line))
        place = self._note((*place, names[-1]), line)
        if is_array:
            self._lengths[place] = self._lengths.get(place, 0) + 1
            place = self._note(self._last(place), line)
        self._at = self._text.index("]", self._at) + (2 if is_array else 1)
        return place

    def _key(self, table: Place) -> Place:
        """Read a key and what stands between it and its value."""
        line = self._line()
        for name in self._names():
            table = self._note((*table, name), line)
        self._at = self._text.index("=", self._at) + 1
        self._skip_blank()
        return table

    def _names(self) -> list[str]:
        found = _KEY.match(self._text, self._at)
        assert found is not None  # noqa: S101 - tomllib has found a key here.
        self._at = found.end()
        names: list[str] = []
        inner: Any = tomllib.loads(f"{found[0]} = 0")  # Which knows how quoted names are spelled.
        while isinstance(inner, dict):
            ((name, inner),) = inner.items()
            names.append(name)
        return names

    def _value(self, place: Place) -> None:
        """Read a value with all that is in it."""
        within: list[_Open] = []
        self._enter(place, within)
        while within:
            self._skip_blank()
            character = self._text[self._at]
            innermost = within[-1]
            if character in "]}":
                self._at += 1
                within.pop()
            elif character == ",":
                self._at += 1
            elif innermost.is_array:
                count = self._lengths.get(innermost.place, 0)
                self._lengths[innermost.place] = count + 1
                self._enter(self._note((*innermost.place, count), self._line()), within)
            else:
                self._enter(self._key(innermost.place), within)

    def _enter(self, place: Place, within: list[_Open]) -> None:
        """Begin with what stands here: go into it, or behind it where nothing is in it."""
        character = self._text[self._at]
        if character in "[{":
            self._at += 1
            within.append(_Open(place, character == "["))
            return
        pattern = _WHOLE_STRING if character in "\"'" else _PLAIN
        found = pattern.match(self._text, self._at)
        assert found is not None  # noqa: S101 - tomllib has found a value here.
        self._at = found.end()

    def _note(self, place: Place, line: int) -> Place:
        place = place[:_DEEPEST]
        self._lines.setdefault(place, line)
        return place

    def _last(self, place: Place) -> Place:
        """Go to the last element, where these are tables of one name."""
        return (*place, self._lengths[place] - 1) if place in self._lengths else place

    def _line(self) -> int:
        return bisect.bisect_left(self._ends, self._at) + 1

    def _skip_blank(self) -> bool:
        """Go to the next key, value or bracket; tell whether there is one."""
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at < len(self._text)
