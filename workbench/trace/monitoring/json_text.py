"""JSON that is larger than what one wants to hold of it: walked from outside, decoded from inside.

What `json.loads` makes of ten million pairs takes five times the memory of their text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


class JsonText:
    """A place in a text, and what stands there."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._text = text
        self._at = 0
        self._counted = (0, 1)

    @property
    def line(self) -> int:
        """The number of the line on which the next value stands."""
        self.next_character()
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line

    def next_character(self) -> str:
        """Give the next character that is not space; nothing at the end."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON has.
        """Decode the value that stands here, and go behind it."""
        self.next_character()
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            # The decoder names what it missed at the end of a text as it does elsewhere.
            self._at = error.pos
            self.refuse(error.msg[0].lower() + error.msg[1:])
        except RecursionError:
            self.refuse("it is nested too deeply")
        return value

    def entries(self) -> Iterator[str]:
        """Go through the object that stands here: gives each key, and stands before its value."""
        self._take("{")
        if self.next_character() != "}":
            while True:
                key = self.value()
                if not isinstance(key, str):
                    self.refuse("a key is not text")
                self._take(":")
                yield key
                if self.next_character() != ",":
                    break
                self._take(",")
        self._take("}")

    def items(self) -> Iterator[int]:
        """Go through the list that stands here: gives each number, and stands before its value."""
        self._take("[")
        if self.next_character() != "]":
            number = 0
            while True:
                yield number
                number += 1
                if self.next_character() != ",":
                    break
                self._take(",")
        self._take("]")

    def refuse(self, found: str) -> NoReturn:
        """Say that it is not JSON, and where."""
        if not self._text[self._at :].strip():
            found = "it ends in the middle"
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        raise InputError(
            f"{self.path}, line {line}, column {column}: is not JSON ({found}), expected all of "
            "it; export it again"
        )

    def _take(self, character: str) -> None:
        if self.next_character() != character:
            self.refuse(f"{character!r} is missing")
        self._at += 1
