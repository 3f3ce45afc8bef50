"""Numbers and times as sysstat prints them, in any locale."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.spelling import on_one_line
from workbench.trace.monitoring.sar_memory import NAMES, NEEDED
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCAL_TIME: Final = "its times have no zone, and were taken for UTC"

RESTART: Final = re.compile(r"LINUX[- ]RESTART")

_MONTHS: Final = 12

_NUMBER: Final = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")


def wanted_columns(place: str, header: Sequence[str]) -> dict[str, int]:
    """Give where the columns of memory stand in a header.

    Raises
    ------
    InputError
        One that is needed is missing.
    """
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise InputError(
            f"{place}: has no column {', '.join(missing)}, expected those of `sar -r`: "
            f"{', '.join(NEEDED)}; export all of them"
        )
    return {name: header.index(name) for name in NAMES if name in header}


def numbers(place: str, texts: Mapping[str, str]) -> dict[str, float]:
    """Read the values of a row.

    Raises
    ------
    InputError
        One is no number; `--human` puts units behind them.
    """
    for name, text in texts.items():
        if not _NUMBER.fullmatch(text):
            raise InputError(
                f"{place}: {name} is {on_one_line(repr(text))}, expected a number; export it "
                "without --human"
            )
    return {name: float(text.replace(",", ".")) for name, text in texts.items()}


def second_of(place: str, text: str) -> tuple[float, bool]:
    """Read the time of a row of sadf's; and whether it has a zone.

    Raises
    ------
    InputError
        It is no time.
    """
    if text.isdecimal() and len(text) < len(str(NANOSECONDS**2)):
        return float(text), True
    try:
        when = datetime.strptime(text.removesuffix(" UTC") + "+0000", "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        raise InputError(
            f"{place}: timestamp is {on_one_line(repr(text))}, expected a time such as "
            "2026-01-31 12:00:00 UTC, or seconds since 1970; export it with sadf -U"
        ) from None
    return when.timestamp(), text.endswith(" UTC")


def date_of(place: str, text: str) -> tuple[date, bool]:
    """Read the date of a report of sar's; and whether day and month could be the other way round.

    Raises
    ------
    InputError
        It is no date.
    """
    found = re.fullmatch(r"([0-9]{1,4})([-/.])([0-9]{1,2})\2([0-9]{1,4})", text)
    if found:
        first, middle, last = int(found[1]), int(found[3]), int(found[4])
        if len(found[1]) == len("2026"):
            orders = [(first, middle, last)]
        else:
            year = last + 2000 if len(found[4]) <= len("26") else last
            # In the locale C, and in the United States, the month comes first; in none with dots.
            orders = [(year, first, middle), (year, middle, first)]
            if found[2] != "/":
                orders.reverse()
        for year, month, day in orders:
            try:
                is_ambiguous = found[2] == "/" and len(orders) > 1 and month != day <= _MONTHS
                return date(year, month, day), is_ambiguous
            except ValueError:
                continue
    raise InputError(
        f"{place}: date is {on_one_line(repr(text))}, expected one such as 2026-01-31; "
        "export it with S_TIME_FORMAT=ISO"
    )
