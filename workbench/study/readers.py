"""How values are written in a study file: with units, in lists, as words.

What they may be is said in `rules`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from workbench.errors import UsageError
from workbench.quantity import size_bytes, time_ns, whole_number
from workbench.replay import Device, Guest
from workbench.spelling import suggestion
from workbench.study import rules
from workbench.study.rules import DEVICE_SETTINGS, GUEST_SETTINGS
from workbench.study.study import Phase
from workbench.toml_file import unknown_name
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.study.rules import Rule

WRONG: Final = "wrong_value"
"""The type of pydantic's error about a value; its context has a sentence, and where within."""

_OTHER: Final[Mapping[type, str]] = {Device: "guest", Guest: "device"}

HINTS: Final = {
    "free_page_hint": "; hints make migrations shorter and no host larger: leave it out"
}
"""What is no setting of a study, though it is one of the device."""

_EXAMPLES: Final = {
    "reporting_order": "[0, 9]",
    "reporting_delay_ns": '["250ms", "2s"]',
    "reporting_capacity": "[32]",
    "poison_val": "[0, 0xaaaaaaaa]",
    **dict.fromkeys((*DEVICE_SETTINGS, "init_on_free"), "[true, false]"),
}

_TIME: Final = 'with its unit, such as "90s" or "6h": no fractions'
_SIZE: Final = 'with its unit, such as "64G" or "1536M": no fractions'


def _wrong(sentence: str, *within: str | int) -> PydanticCustomError:
    return PydanticCustomError(WRONG, "{sentence}", {"sentence": sentence, "within": within})


@dataclasses.dataclass(frozen=True, slots=True)
class Reader(BeforeValidator):
    """Reads a value, and says what it may be."""

    expected: str = ""


def _reader(expected: str, read: Callable[[object], object]) -> Reader:
    """Take what `read` makes something of; None where it is nothing."""

    def read_or_refuse(value: object) -> object:
        found = read(value)
        if found is None:
            raise _wrong(f"expected {expected}; correct it")
        return found

    return Reader(read_or_refuse, expected=expected)


def plain(rule: Rule) -> Reader:
    """Take a value as it is."""
    return _reader(rule.expected, lambda value: value if rule.holds(value) else None)


def number(rule: Rule) -> Reader:
    """Take a number, whole or not, as a float."""

    def read(value: object) -> float | None:
        is_one = isinstance(value, int | float) and rule.holds(value)
        return float(value) if is_one else None  # type: ignore[arg-type]

    return _reader(rule.expected, read)


def _with_unit(rule: Rule, unit_of: Callable[[str], int | None], how: str) -> Reader:
    """Take text with a unit."""

    def read(value: object) -> int | None:
        found = unit_of(value) if isinstance(value, str) else None
        return found if rule.holds(found) else None

    return _reader(f"{rule.expected}, {how}", read)


def time(rule: Rule) -> Reader:
    """Take a time with its unit, in ns."""
    return _with_unit(rule, time_ns, _TIME)


def size(rule: Rule) -> Reader:
    """Take a size with its unit, in bytes."""
    return _with_unit(rule, size_bytes, _SIZE)


def _read_ns(value: object) -> int | None:
    found = whole_number(value, times=True)
    return found if rules.FAULT.holds(found) else None


def _read_seconds(value: object) -> float | None:
    found = time_ns(value) if isinstance(value, str) else None
    return None if found is None or found <= 0 else found / NANOSECONDS


def _read_phase(value: object) -> Phase:
    known = {phase.value: phase for phase in Phase}
    if isinstance(value, str) and value in known:
        return known[value]
    meant = suggestion(value, known) if isinstance(value, str) else ""
    raise _wrong(f"expected {_PHASES}{meant or '; correct it'}")


def _read_patterns(value: object) -> tuple[str, ...] | None:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        return None
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            within = (index,) if isinstance(value, list) else ()
            raise _wrong("expected a path or a pattern; correct it", *within)
    return tuple(texts)


def _read_seeds(value: object) -> tuple[int, ...] | None:
    return tuple(value) if isinstance(value, list) and rules.SEEDS.holds(value) else None


def _read_shares(value: object) -> tuple[float, ...]:
    found = _list(value, "[0.0, 0.1]")
    for index, share in enumerate(found):
        if not rules.SHARE.holds(share):
            raise _wrong(rules.SHARE.sentence, index)
    return _distinct([float(share) for share in found])


_PHASES: Final = " or ".join(phase.value for phase in Phase)

NANOSECONDS_OR_TIME: Final = _reader(f"{rules.FAULT.expected}, in ns or {_TIME}", _read_ns)
IN_SECONDS: Final = _reader(f"{rules.DRAIN.expected}, {_TIME}", _read_seconds)
PHASE: Final = _reader(_PHASES, _read_phase)
PATTERNS: Final = _reader(
    'a path, a pattern such as "web-*.csv", or a list of them', _read_patterns
)
SEEDS: Final = _reader(rules.SEEDS.expected, _read_seeds)
SHARES: Final = Reader(_read_shares, expected="a list of numbers from 0 to 1")


def tables(name: str) -> Reader:
    """Take one table or more of a name."""

    def read(value: object) -> tuple[object, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
            raise _wrong(f"expected tables; write [[{name}]] before the keys of each {name}")
        return tuple(value)

    return Reader(read, expected="tables, one or more")


def _list(value: object, example: str, *within: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _wrong(f"expected a list of what to compare, such as {example}; give one", *within)
    return value


def _distinct(values: list[Any], *within: str) -> tuple[Any, ...]:
    """Refuse a value that is there twice, however it is written."""
    seen: set[Any] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise _wrong("expected every value once; remove it", *within, index)
        seen.add(value)
    return tuple(values)


def _setting(table: type[Device | Guest], name: str, value: object, *within: str | int) -> Any:  # noqa: ANN401 - as settings are.
    try:
        return getattr(table(**{name: value}), name)  # type: ignore[arg-type]
    except UsageError as error:
        expected = str(error).partition(", ")[2]
        raise _wrong(f"{expected}; correct it", *within) from None


def _known_settings(table: type[Device | Guest], value: object) -> Mapping[str, object]:
    """Refuse settings that have no say in a study."""
    if not isinstance(value, dict):
        raise _wrong("expected a table of settings, such as {reporting_order = [0, 9]}")
    known, others = DEVICE_SETTINGS, GUEST_SETTINGS
    if table is Guest:
        known, others = others, known
    for name in value:
        if name in others:
            raise unknown_name(name, f"; it is a setting of the {_OTHER[table]}: move it there")
        if name not in known:
            there_are = f"a study knows {', '.join(known)}"
            close = HINTS.get(name) or suggestion(name, known, otherwise=there_are)
            raise unknown_name(name, close)
    return value


def _one_of(table: type[Device | Guest]) -> str:
    return ", ".join(DEVICE_SETTINGS if table is Device else GUEST_SETTINGS)


def own_settings(table: type[Device | Guest]) -> Reader:
    """Read settings that guests of one kind have."""

    def read(value: object) -> Device | Guest:
        found = _known_settings(table, value)
        return table(**{name: _setting(table, name, each, name) for name, each in found.items()})

    return Reader(read, expected=f"a table of {_one_of(table)}")


def compared_settings(table: type[Device | Guest]) -> Reader:
    """Read a list of values for each of some settings."""

    def read(value: object) -> dict[str, tuple[Any, ...]]:
        return {
            name: _distinct(
                [
                    _setting(table, name, each, name, index)
                    for index, each in enumerate(_list(values, _EXAMPLES[name], name))
                ],
                name,
            )
            for name, values in _known_settings(table, value).items()
        }

    return Reader(read, expected=f"a table of lists of {_one_of(table)}")
