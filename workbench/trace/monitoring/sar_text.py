"""What `sar -r` prints: times of day under a date, in sections with a header each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.trace.monitoring.sar_memory import FREE, NEEDED, Row, sampled_memory
from workbench.trace.monitoring.sar_numbers import (
    LOCAL_TIME,
    RESTART,
    date_of,
    numbers,
    wanted_columns,
)
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.monitoring.tracks import Sampled

FIRST_LINE: Final = re.compile(r"Linux\s+\S+\s+\((?P<host>[^)]*)\)\s+(?P<date>\S+)")
"""Kernel, host and date; what follows is of the machine."""

_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\s+(AM|PM))?\s+(.*)")

_NOON: Final = 12
_HALF_DAY_S: Final = 12 * 3600
"""A time of day that is earlier by more than this is of the next day; by less, out of order."""


@dataclass(slots=True)
class _Host:
    rows: list[Row] = field(default_factory=list)
    restarts_ns: list[int] = field(default_factory=list)
    is_ambiguous: bool = False


class _Report:
    """Goes down a report, and knows the day and the columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hosts: dict[str, _Host] = {}
        self._host = _Host()
        self._day = date.min
        self._last_s = 0
        self._header: list[str] = []
        self._wanted: dict[str, int] = {}

    def read(self, line: int, content: str) -> None:
        """Take one line."""
        begun = FIRST_LINE.match(content)
        if begun:
            self._host = self.hosts.setdefault(begun["host"], _Host())
            self._day, is_ambiguous = date_of(f"{self.path}, line {line}", begun["date"])
            self._host.is_ambiguous |= is_ambiguous
            self._last_s, self._wanted = 0, {}
            return
        found = _TIME.match(content)
        if not found:  # An empty line, or averages: the section ends.
            self._wanted = {}
            return
        words = found[5].split()
        if RESTART.match(found[5]):
            self._wanted = {}
            self._host.restarts_ns.append(int(self._second(line, found)) * NANOSECONDS)
        elif FREE in words:
            self._header, self._wanted = words, wanted_columns(f"{self.path}, line {line}", words)
            self._second(line, found)
        elif words and (words[0][0].isalpha() or words[0].startswith("%")):
            self._wanted = {}  # The header of a section about something else.
        elif self._wanted:
            self._sample(line, self._second(line, found), words)

    def _sample(self, line: int, second: float, words: list[str]) -> None:
        place = f"{self.path}, line {line}"
        if len(words) != len(self._header):
            raise InputError(
                f"{place}: has {len(words)} values, expected {len(self._header)} as in the header; "
                "complete the line or remove it"
            )
        texts = {name: words[at] for name, at in self._wanted.items()}
        self._host.rows.append(Row(second, line, numbers(place, texts)))

    def _second(self, line: int, found: re.Match[str]) -> float:
        """Give the time, on the next day if the clock has gone past midnight."""
        hour, minute, second = (int(found[group]) for group in (1, 2, 3))
        if found[4]:
            hour = hour % _NOON + (_NOON if found[4] == "PM" else 0)
        try:
            of_day = time(hour, minute, second)
        except ValueError:
            raise InputError(
                f"{self.path}, line {line}: time is {found[1]}:{found[2]}:{found[3]}, expected a "
                "time of day; correct it or remove the line"
            ) from None
        since_s = hour * 3600 + minute * 60 + second
        if self._last_s - since_s > _HALF_DAY_S:
            self._day += timedelta(days=1)
        self._last_s = since_s
        return datetime.combine(self._day, of_day, UTC).timestamp()


def read_sar(path: Path, text: str) -> list[Sampled]:
    """Read what `sar -r` printed, of one host or several, one day after the other.

    Raises
    ------
    InputError
        A line is not as sar writes it, or none is of memory.
    """
    report = _Report(path)
    for line, content in enumerate(text.split("\n"), 1):
        report.read(line, content)
    found = []
    for name in sorted(name for name, host in report.hosts.items() if host.rows):
        host = report.hosts[name]
        sampled = sampled_memory(path, name, host.rows)
        sampled.restarts_ns += host.restarts_ns
        sampled.remarks.append(LOCAL_TIME)
        if host.is_ambiguous:
            sampled.remarks.append("its date was read with the month before the day")
        found.append(sampled)
    if not found:
        raise InputError(
            f"{path}: has no samples of memory, expected the columns {', '.join(NEEDED)}; export "
            "them with `sar -r ALL`"
        )
    return found
