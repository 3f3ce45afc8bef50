"""Frozen dataclasses from the plain values of a JSON file, which anybody may have edited."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal, TypeVar

from workbench.errors import InputError

T = TypeVar("T")


def from_plain(kind: type[T], plain: object, where: str) -> T:
    """Make a dataclass of a dict.

    Its fields may be numbers, texts, truths, choices (Literal), dataclasses, tuples of one kind of
    these, or None.  A field that is not given has its default.

    Raises
    ------
    InputError
        A key is unknown or missing, or a value is of the wrong kind; the message names it.
    """
    if not isinstance(plain, dict):
        raise InputError(f"{where} is {plain!r}, expected a table of {', '.join(_names(kind))}")
    for name in plain:
        if name not in _names(kind):
            raise InputError(
                f"{where} has an unknown key {name!r}, expected {', '.join(_names(kind))}"
            )
    hints = typing.get_type_hints(kind)
    given = {name: _value(hints[name], value, f"{where}.{name}") for name, value in plain.items()}
    missing = [name for name in _required(kind) if name not in given]
    if missing:
        raise InputError(f"{where} has no {missing[0]}")
    return kind(**given)


def _value(hint: Any, value: object, where: str) -> object:  # noqa: ANN401 - a type, or a form of it
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _value(choices[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{where} is {value!r}, expected a list")
        return tuple(_value(choices[0], item, f"{where}[{row}]") for row, item in enumerate(value))
    if origin is Literal:
        if value not in choices:
            raise InputError(f"{where} is {value!r}, expected {' or '.join(choices)}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, value, where)
    # A truth is a number to Python, not to us.
    if type(value) is not hint:
        raise InputError(f"{where} is {value!r}, expected {_WORDS[hint]}")
    return value


_WORDS = {int: "a whole number", bool: "true or false", str: "a text"}


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _required(kind: type) -> list[str]:
    return [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
