"""Make series of what people's monitoring has recorded, one folder for each guest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workbench.cli.output import JsonOption, counting, note, print_json, print_table, print_text
from workbench.errors import InputError
from workbench.spelling import on_one_line, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.trace import GuestSeries

_UNUSUAL: Final = re.compile(r"[^\w.@+-]|^[.-]")
"""What the name of a folder does without."""

_FOLDER_CHARACTERS: Final = 200
"""Of a folder's name; Linux has room for 255 bytes (NAME_MAX)."""

_SHOWN_CHARACTERS: Final = 40
"""Of a folder's name, where others or figures stand beside it."""

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S

_NAMED_AT_MOST: Final = 3
"""Guests that are named where many have one thing in common."""

_MISSING: Final = {
    "free_huge_pages": (
        "what is free in blocks of 2 MiB or more is not known: `import series` has no answer, a "
        "study needs huge_share for orders above 0; the node exporter tells it with "
        "--collector.buddyinfo"
    ),
    "cached_bytes": (
        "the page cache is not known: how much of the answer it holds back has no value"
    ),
    "resident_bytes": (
        "the resident set was not measured: predictions cannot be compared with what guests held"
    ),
}
"""By the column that nobody asked for: which question stays open."""


def monitoring(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="What monitoring exported or logged.")
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="The folder to make, of a folder each."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a series of each guest's memory, of what monitoring has recorded.

    Takes answers of Prometheus to range queries (JSON, CSV), `sadf -d`, `sadf -j` and `sar -r`,
    logs of `virsh dommemstat` and of QEMU's guest-stats, told apart by their content
    (docs/interchange.md).  What was found and mended is said, and kept with each series.

    Example: workbench import monitoring node-memory.json web.log -o series
    """
    from workbench.trace import write_guest_series
    from workbench.trace.imported import taking_place

    with taking_place(output) as made:
        guests = _read(files)
        made.mkdir()
        for name, series in guests.items():
            (made / name).mkdir()
            write_guest_series(series, made / name)
    if as_json:
        print_json(_document(output, guests))
    else:
        _print(output, guests)


def _read(files: Sequence[Path]) -> dict[str, GuestSeries]:
    """Give the series of all files by the name of their folder.

    Raises
    ------
    InputError
        Two would have one folder.
    """
    from workbench.trace import read_monitoring

    found: dict[str, GuestSeries] = {}
    whence: dict[str, Path] = {}
    with counting("files", len(files)) as count:
        for path in files:
            for series in read_monitoring(path):
                folder = _UNUSUAL.sub("_", series.name)[:_FOLDER_CHARACTERS] or "_"
                if folder in found:
                    raise InputError(
                        f"{path}: has a guest {on_one_line(series.name)!r}, and {whence[folder]} "
                        f"has {on_one_line(found[folder].name)!r}, expected names that differ in "
                        "letters and digits; import them into folders of their own"
                    )
                found[folder], whence[folder] = series, path
            count(1)
    return dict(sorted(found.items()))


def _guest(folder: str, series: GuestSeries) -> dict[str, Any]:
    columns = series.columns
    time_ns = columns["time_ns"]
    return {
        "name": series.name,
        "folder": folder,
        "samples": time_ns.size,
        "begin_ns": int(time_ns[0]),
        "span_ns": int(time_ns[-1] - time_ns[0]),
        "interval_ns": series.interval_ns,
        "memory_bytes": int(columns["total_bytes"].max()),
        "cached_bytes_mean": float(columns["cached_bytes"].mean())
        if _is_known(series, "cached_bytes")
        else None,
        "knows_huge_pages": _is_known(series, "free_huge_pages"),
        "knows_resident_set": _is_known(series, "resident_bytes"),
        "remarks": series.remarks,
    }


def _is_known(series: GuestSeries, column: str) -> bool:
    from workbench.schema import UNKNOWN

    return bool((series.columns[column] != UNKNOWN).all())


def _document(output: Path, guests: dict[str, GuestSeries]) -> dict[str, Any]:
    return {
        "output": output,
        "guests": [_guest(folder, series) for folder, series in guests.items()],
        "missing": [
            {"sentence": sentence, "guests": names} for sentence, names in _missing(guests).items()
        ],
    }


def _missing(guests: dict[str, GuestSeries]) -> dict[str, list[str]]:
    """Give which question stays open for which guests."""
    found = {
        sentence: [name for name, series in guests.items() if not _is_known(series, column)]
        for column, sentence in _MISSING.items()
    }
    return {sentence: names for sentence, names in found.items() if names}


def _print(output: Path, guests: dict[str, GuestSeries]) -> None:
    from workbench.units import format_bytes, format_ns

    said: dict[str, list[str]] = {}
    rows = []
    for folder, series in guests.items():
        facts = _guest(folder, series)
        cached = facts["cached_bytes_mean"]
        rows.append(
            (
                shorten(folder, _SHOWN_CHARACTERS),
                f"{facts['samples']:,}",
                _long(facts["span_ns"]),
                format_ns(facts["interval_ns"]),
                format_bytes(facts["memory_bytes"]),
                "not known" if cached is None else format_bytes(cached),
                "known" if facts["knows_huge_pages"] else "not known",
                str(len(series.remarks)),
            )
        )
        for remark in series.remarks:
            said.setdefault(remark, []).append(folder)
    print_table(
        ("guest", "samples", "span", "interval", "memory", "page cache", "huge pages", "remarks"),
        rows,
        right=("samples", "span", "interval", "memory", "page cache", "remarks"),
    )
    for sentence, names in {**said, **_missing(guests)}.items():
        note(f"{_listed(names, len(guests))}: {sentence}")
    print_text(f"\n{len(guests):,} series: {output}")


def _long(span_ns: int) -> str:
    """Write a span that may be of days."""
    from workbench.units import NANOSECONDS, format_ns

    for seconds, name in ((_DAY_S, "days"), (_HOUR_S, "h")):
        if span_ns >= seconds * NANOSECONDS:
            return f"{span_ns / (seconds * NANOSECONDS):,.2f} {name}"
    return format_ns(span_ns)


def _listed(names: list[str], of: int) -> str:
    if len(names) == of > 1:
        return f"all {of:,} guests"
    shown = ", ".join(
        shorten(on_one_line(name), _SHOWN_CHARACTERS) for name in names[:_NAMED_AT_MOST]
    )
    more = len(names) - _NAMED_AT_MOST
    return f"{shown} and {more:,} more" if more > 0 else shown
