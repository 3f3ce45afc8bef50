"""What `sadf` prints of sysstat's files: with -d a table with semicolons, with -j JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.errors import InputError
from workbench.spelling import on_one_line
from workbench.trace.monitoring.sar_memory import FREE, NAMES, NEEDED, Row, sampled_memory
from workbench.trace.monitoring.sar_numbers import (
    LOCAL_TIME,
    RESTART,
    numbers,
    second_of,
    wanted_columns,
)
from workbench.trace.monitoring.tracks import LINE
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.monitoring.json_text import JsonText
    from workbench.trace.monitoring.tracks import Sampled

HEADER: Final = "# hostname;interval;timestamp"
"""What a table begins with, and every part of it that has other columns."""

_COMMENT: Final = "-1"
"""The interval of what is no sample."""

_HOST, _TIME, _FIRST = 0, 2, 3
"""Cells of a row: whose it is, when, and the first value; a restart has its words there."""

_SAMPLE: Final = "sample {}"
"""Where a sample of memory stands in JSON: they are counted from the beginning of the file."""

_JSON_NAMES: Final = {
    "kbmemfree": "memfree",
    "kbmemused": "memused",
    "%memused": "memused-percent",
    "kbbuffers": "buffers",
    "kbcached": "cached",
    "kbslab": "slab",
}
"""How the columns are called in JSON."""


class _Hosts:
    """The rows of each host, and when it was started again."""

    def __init__(self, path: Path, numbered: str = LINE) -> None:
        self._path = path
        self._numbered = numbered
        self._rows: dict[str, list[Row]] = {}
        self._restarts: dict[str, list[int]] = {}
        self._local: set[str] = set()

    def add(self, name: str, row: Row, *, has_zone: bool) -> None:
        """Take a sample."""
        self._rows.setdefault(name, []).append(row)
        if not has_zone:
            self._local.add(name)

    def restart(self, name: str, second: float) -> None:
        """Take note of a start."""
        self._restarts.setdefault(name, []).append(int(second) * NANOSECONDS)

    def sampled(self) -> list[Sampled]:
        """Give every host that has rows, by name."""
        if not self._rows:
            raise InputError(
                f"{self._path}: has no samples of memory, expected the columns "
                f"{', '.join(NEEDED)}; export them with `-- -r`"
            )
        found = []
        for name in sorted(self._rows):
            sampled = sampled_memory(self._path, name, self._rows[name], self._numbered)
            sampled.restarts_ns += self._restarts.get(name, [])
            if name in self._local:
                sampled.remarks.append(LOCAL_TIME)
            found.append(sampled)
        return found


def read_sadf_table(path: Path, text: str) -> list[Sampled]:
    """Read the output of `sadf -d`, of one host or several.

    Raises
    ------
    InputError
        A line is not as sadf writes it, or none is of memory.
    """
    hosts = _Hosts(path)
    header: list[str] = []
    wanted: dict[str, int] = {}
    for line, content in enumerate(text.split("\n"), 1):
        place = f"{path}, line {line}"
        cells = [cell.strip() for cell in content.split(";")]
        if content.startswith("#"):
            header = [cell.lstrip("# ") for cell in cells]
            wanted = wanted_columns(place, header) if FREE in header else {}
        elif len(cells) > _FIRST and RESTART.match(cells[_FIRST]):
            hosts.restart(cells[_HOST], second_of(place, cells[_TIME])[0])
        elif wanted and content.strip() and _COMMENT not in cells[1:_TIME]:
            if len(cells) != len(header):
                raise InputError(
                    f"{place}: has {len(cells)} values, expected {len(header)} as in "
                    "the header; complete the line or remove it"
                )
            values = numbers(place, {name: cells[at] for name, at in wanted.items()})
            second, has_zone = second_of(place, cells[_TIME])
            hosts.add(cells[_HOST], Row(second, line, values), has_zone=has_zone)
    return hosts.sampled()


def read_sadf_json(path: Path, text: JsonText) -> list[Sampled]:
    """Read the output of `sadf -j`, of one file of sysstat's or several after each other.

    Raises
    ------
    InputError
        It is not as sadf writes it, or has no samples of memory.
    """
    hosts = _Hosts(path, _SAMPLE)
    try:
        count = 0
        while text.next_character():
            for host in text.value()["sysstat"]["hosts"]:
                name = str(host["nodename"])
                for entry in host["statistics"]:
                    if "memfree" in entry.get("memory", ()):
                        count += 1
                        _add_json(path, hosts, name, count, entry)
                for entry in host.get("restarts", ()):
                    hosts.restart(name, _json_second(f"{path}, restarts", entry["boot"])[0])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, sysstat.hosts: is not as sadf writes it ({on_one_line(repr(error))}), "
            "expected hosts with nodename and statistics; export it with `sadf -j -- -r`"
        ) from None
    return hosts.sampled()


def _add_json(path: Path, hosts: _Hosts, name: str, row: int, entry: dict[str, Any]) -> None:
    memory, place = entry["memory"], f"{path}, {_SAMPLE.format(row)}"
    texts = {column: memory.get(_JSON_NAMES[column]) for column in NAMES}
    missing = [_JSON_NAMES[column] for column in NEEDED if texts[column] is None]
    if missing:
        raise InputError(
            f"{place}: has no {', '.join(missing)}, expected those of `sar -r`; export all of them"
        )
    values = numbers(place, {key: str(text) for key, text in texts.items() if text is not None})
    second, has_zone = _json_second(place, entry["timestamp"])
    hosts.add(name, Row(second, row, values), has_zone=has_zone)


def _json_second(place: str, stamp: dict[str, Any]) -> tuple[float, bool]:
    suffix = " UTC" if stamp.get("utc") else ""
    return second_of(place, f"{stamp['date']} {stamp['time']}{suffix}")
