"""TOML files that people write: read, and held to the names they may have."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from workbench.errors import InputError
from workbench.quantity import shown
from workbench.spelling import suggestion

if TYPE_CHECKING:
    from pathlib import Path

_DIGITS: Final = re.compile(rb"[0-9_]+")

UNKNOWN_NAME: Final = "unknown_name"
"""The type of pydantic's error about a name that a table does not have."""


class Strict(BaseModel):
    """Frozen, of exactly the names it has; a wrong one is answered with the closest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _know_the_names(cls, given: object) -> object:
        for name in given if isinstance(given, dict) else ():
            if name not in cls.model_fields:
                raise unknown_name(name, cls.meant(name))
        return given

    @classmethod
    def meant(cls, name: str) -> str:
        """Say what may have been meant by a wrong name, to be put behind what was wrong with it."""
        there_are = f"there are {', '.join(cls.model_fields)}"
        return suggestion(name, cls.model_fields, otherwise=there_are)


def unknown_name(name: str, meant: str, *within: str | int) -> PydanticCustomError:
    """Give the error about a name that a table does not have.

    Parameters
    ----------
    meant
        What to say behind it.
    within
        Where the table is, beyond what pydantic knows.
    """
    facts = {"name": name, "shown": shown(name), "meant": meant, "within": within}
    return PydanticCustomError(UNKNOWN_NAME, "there is no {shown}{meant}", facts)


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Read a TOML file: what it says, and its text.

    Raises
    ------
    InputError
        It cannot be read, or is not TOML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        text = content.decode("utf-8-sig")
        return tomllib.loads(text), text
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML ({_reason(error, content)}); correct it") from None


def _reason(error: ValueError | RecursionError, content: bytes) -> str:
    """Say what is wrong, and on which line; tomllib knows that only of what it calls an error."""
    if isinstance(error, tomllib.TOMLDecodeError):
        return str(error)
    if isinstance(error, RecursionError):
        return "too deeply nested"
    if isinstance(error, UnicodeDecodeError):
        what, before = "not text in UTF-8", content[: error.start]
    else:
        longest = max(_DIGITS.finditer(content), key=lambda found: len(found[0]))
        what, before = "a number of thousands of digits", content[: longest.start()]
    line = before.count(b"\n") + 1
    return f"{what} (at line {line})"
