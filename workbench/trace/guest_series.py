"""Samples of a guest's free memory: read from what other tools wrote, checked, kept as Parquet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.card import Card, Shown
from workbench.errors import InputError
from workbench.quantity import shown
from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.spelling import on_one_line, shorten
from workbench.trace.segments import arrow_schema, read_segment
from workbench.trace.writer import write_parquet
from workbench.units import (
    HUGE_PAGE_BYTES,
    HUGE_PAGE_ORDER,
    NANOSECONDS,
    PAGE_BYTES,
    format_bytes,
    format_ns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

SERIES_NAME: Final = "guest_series.parquet"
"""The file of an imported series in its folder."""

_CSV_COLUMNS: Final = {
    "small": "free_pages",
    "huge": "free_huge_pages",
    "total": "total_bytes",
    "rss": "resident_bytes",
    "cached": "cached_bytes",
}
"""Whole numbers, by the name they have in a CSV; `time` stands beside them, in seconds."""

_REMARKS: Final = "remarks"
"""Under this key, in the metadata of a kept series, stands a JSON list of its remarks."""

_NEEDED: Final = ("time", "small", "huge", "total")

SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}

_SHOWN_CHARACTERS: Final = 200
"""Of a cell or a header, in a message."""

STOP_S: Final = 4 * 10**9
"""Since 1970 that is the year 2096: in nanoseconds an int64 has room for it, and whoever gives
milliseconds is found out."""

STOP_BYTES: Final = 2**52
"""What an x86-64 processor can address at most (Intel SDM 3A, 4.1.4: MAXPHYADDR is 52)."""

_STOPS: Final = {"time_ns": STOP_S * NANOSECONDS}


class Reporting(NamedTuple):
    """How a guest reported while it was sampled."""

    order: int
    delay_ns: int
    capacity: int

    @property
    def label(self) -> str:
        """Name it the way people say it."""
        delay = format_ns(self.delay_ns)
        return f"order {self.order}, delay {delay}, capacity {self.capacity}"


@dataclass(frozen=True, repr=False)
class GuestSeries(Shown):
    """Samples of one guest, in the order of time.

    Attributes
    ----------
    name
        Of the file or folder it came from.
    columns
        Arrays of one length, by the names of `schema.GUEST_SERIES`.
    reporting
        How the guest reported; None if nobody has said so.
    remarks
        What was found and mended when it was read from what another tool wrote: a sentence each.
    """

    name: str
    columns: dict[str, npt.NDArray[np.int64]]
    reporting: Reporting | None = None
    remarks: tuple[str, ...] = ()

    @property
    def is_measured(self) -> bool:
        """Whether the host's resident set was sampled too."""
        return not bool((self.columns["resident_bytes"] == UNKNOWN).any())

    @property
    def knows_page_cache(self) -> bool:
        """Whether the page cache was sampled too."""
        return not bool((self.columns["cached_bytes"] == UNKNOWN).any())

    @property
    def interval_ns(self) -> int:
        """The median of the intervals between samples."""
        return interval_of(self.columns["time_ns"])

    @cached_property
    def digest(self) -> str:
        """Name the content: a hash over what a model reads, so the yardstick is left out."""
        digest = hashlib.sha256()
        for name, values in self.columns.items():
            if name != "resident_bytes":
                digest.update(name.encode())
                digest.update(values.tobytes())
        return digest.hexdigest()

    def _card(self) -> Card:
        time_ns = self.columns["time_ns"]
        span_s = int(time_ns[-1] - time_ns[0]) / NANOSECONDS
        return Card(
            title=f"GuestSeries {self.name}: {time_ns.size:,} samples over {span_s:,.0f} s",
            facts=[
                ("memory", format_bytes(int(self.columns["total_bytes"].max()))),
                ("reporting", "not known" if self.reporting is None else self.reporting.label),
                ("resident set", "measured" if self.is_measured else "not measured"),
            ],
        )


def interval_of(*times_ns: npt.NDArray[np.int64]) -> int:
    """Give the median of the intervals between times, the lower of two; 0 if there is none.

    Parameters
    ----------
    times_ns
        Of one series, or of several: then the median is that of all their intervals.
    """
    intervals = np.concatenate([np.diff(each) for each in times_ns])
    if not intervals.size:
        return 0
    middle = (intervals.size - 1) // 2
    return int(np.partition(intervals, middle)[middle])


def read_guest_series(path: Path | str) -> GuestSeries:
    """Read a CSV, or a series that was imported before.

    Parameters
    ----------
    path
        A CSV with the columns time (s), small (free pages), huge (free units of 2 MiB), total
        and, if they were measured, rss and cached (bytes as well); or a folder that
        `write_guest_series` made.

    Raises
    ------
    InputError
        It is neither, or a value cannot be; the message names the line.
    """
    path = Path(path)
    if path.is_dir():
        path /= SERIES_NAME
    if path.suffix == ".parquet":
        content = read_segment(path, GUEST_SERIES, "import the series again")
        columns = {name: content[name].to_numpy() for name in GUEST_SERIES.column_names}
        places = [f"row {row}" for row in range(content.num_rows)]
        name = path.parent.name if path.name == SERIES_NAME else path.stem
        reporting, remarks = _read_known(path)
        names = {each: each for each in columns}
    else:
        columns, places = _read_csv(path)
        name, reporting, remarks = path.stem, None, ()
        names = {column: each for each, column in _CSV_COLUMNS.items()} | {"time_ns": "time"}
    _check(path, columns, places, names)
    return GuestSeries(name, columns, reporting, remarks)


def write_guest_series(series: GuestSeries, folder: Path) -> None:
    """Write a series into a folder that is there.

    How the guest reported, and the remarks, travel in the file; the name is the folder's.
    """
    arrays = [pa.array(series.columns[name]) for name in GUEST_SERIES.column_names]
    table = pa.Table.from_arrays(arrays, schema=arrow_schema(GUEST_SERIES))
    known: dict[str, str] = {}
    if series.reporting is not None:
        known = {f"reporting_{name}": str(n) for name, n in series.reporting._asdict().items()}
    if series.remarks:
        known[_REMARKS] = json.dumps(series.remarks)
    table = table.replace_schema_metadata(known or None)
    write_parquet(table, folder / SERIES_NAME)


def _read_known(path: Path) -> tuple[Reporting | None, tuple[str, ...]]:
    """Read what travels beside the columns."""
    known = pq.read_schema(path).metadata or {}
    return _read_reporting(path, known), _read_remarks(path, known)


def _read_remarks(path: Path, known: dict[bytes, bytes]) -> tuple[str, ...]:
    try:
        remarks = json.loads(known.get(_REMARKS.encode(), b"[]"))
    except ValueError:
        remarks = None
    if not isinstance(remarks, list) or not all(isinstance(text, str) for text in remarks):
        message = f"{path}: does not say in words what was mended, expected a list of sentences"
        raise InputError(f"{message}; import the series again")
    return tuple(remarks)


def _read_reporting(path: Path, known: dict[bytes, bytes]) -> Reporting | None:
    texts = [known.get(f"reporting_{name}".encode()) for name in Reporting._fields]
    if None in texts:
        return None
    try:
        return Reporting(*(int(text) for text in texts if text is not None))
    except ValueError:
        message = f"{path}: does not say in numbers how the guest reported, expected order, delay"
        raise InputError(f"{message} and capacity; import the series again") from None


def _read_csv(path: Path) -> tuple[dict[str, npt.NDArray[np.int64]], list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text, expected a CSV of samples") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    lines = _lines(path, reader)
    header = [name.strip() for name in next(lines, (1, []))[1]]
    _check_header(path, header)
    wanted = [name for name in _CSV_COLUMNS if name in header]
    times: list[int] = []
    values: dict[str, list[int]] = {name: [] for name in wanted}
    places: list[str] = []
    for number, cells in lines:
        place = f"{path}, line {number}"
        if len(cells) != len(header):
            raise InputError(
                f"{place}: has {len(cells)} values, expected {len(header)} as in the header; "
                "complete the line or remove it"
            )
        row = dict(zip(header, cells, strict=True))
        times.append(_time_ns(place, row["time"]))
        for name in wanted:
            values[name].append(_whole(place, name, row[name]))
        places.append(f"line {number}")
    columns = {_CSV_COLUMNS[name]: np.array(values[name], np.int64) for name in wanted}
    columns["time_ns"] = np.array(times, np.int64)
    for name in ("resident_bytes", "cached_bytes"):
        columns.setdefault(name, np.full(len(times), UNKNOWN, np.int64))
    return {name: columns[name] for name in GUEST_SERIES.column_names}, places


def _lines(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:  # noqa: ANN401 - csv's own.
    """Give the lines that are not blank, with their numbers."""
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        message = f"{path}, line {reader.line_num}: is not CSV ({error}); export the samples again"
        raise InputError(message) from None


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise InputError(f"{path}: is empty, expected a header such as {','.join(_NEEDED)}")
    if len(header) == 1:
        for separator, name in SEPARATORS.items():
            if separator in header[0]:
                raise InputError(
                    f"{path}, line 1: columns are separated by {name}, expected commas; "
                    "export it with commas"
                )
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        raise InputError(
            f"{path}, line 1: has the columns {_cut(', '.join(header))}, expected also "
            f"{', '.join(missing)}; add or rename them (time in s, small in pages of 4 KiB, huge "
            "in units of 2 MiB, total in bytes)"
        )
    double = [name for name in ("time", *_CSV_COLUMNS) if header.count(name) > 1]
    if double:
        raise InputError(f"{path}, line 1: has {double[0]!r} twice, expected it once; remove one")


def _cut(text: str) -> str:
    return shorten(on_one_line(text.strip()), _SHOWN_CHARACTERS)


def _number(place: str, name: str, text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(
            f"{place}: {name} is {shown(text.strip())}, expected {expected}; remove the line "
            "if the guest did not answer there"
        )
    return value


def _time_ns(place: str, text: str) -> int:
    value = _number(place, "time", text, "seconds")
    if not 0 <= value < STOP_S:
        raise InputError(f"{place}: time is {_cut(text)}, expected seconds from 0 to {STOP_S:,}")
    return round(value * NANOSECONDS)


def _whole(place: str, name: str, text: str) -> int:
    value = _number(place, name, text, "a whole number")
    if not 0 <= value < STOP_BYTES or value != int(value):
        raise InputError(
            f"{place}: {name} is {_cut(text)}, expected a whole number from 0; correct it or "
            "remove the line"
        )
    return int(value)


def _check(
    path: Path,
    columns: dict[str, npt.NDArray[np.int64]],
    places: list[str],
    names: dict[str, str],
) -> None:
    """Refuse what cannot be of one guest at one time; `names` are those of the file's columns."""
    time_ns, total = columns["time_ns"], columns["total_bytes"]
    if time_ns.size < 2:  # noqa: PLR2004 - an interval has two ends.
        raise InputError(
            f"{path}: has {time_ns.size} sample{'s' * (time_ns.size != 1)}, expected at least 2; "
            "sample for longer"
        )
    free, huge = columns["free_pages"], columns["free_huge_pages"]
    judgements = [
        (name, (values < 0) & (values != UNKNOWN) | (values >= _STOPS.get(name, STOP_BYTES)),
         "what memory can be")
        for name, values in columns.items()
    ]  # fmt: skip
    judgements += [
        (name, (values == UNKNOWN) & bool((values != UNKNOWN).any()), "a value, as in other lines")
        for name, values in columns.items()
    ]
    all_memory, all_free = names["total_bytes"], names["free_pages"]
    judgements += [
        ("time_ns", np.diff(time_ns, prepend=-1) <= 0, "a later time than in the line before"),
        ("total_bytes", total < HUGE_PAGE_BYTES, "at least 2 MiB"),
        ("free_pages", (free < 0) | (free > total // PAGE_BYTES),
         f"what {all_memory} has room for"),
        ("free_huge_pages", huge > free >> HUGE_PAGE_ORDER, f"what {all_free} has room for"),
    ]  # fmt: skip
    for name, is_wrong, expected in judgements:
        rows = np.flatnonzero(is_wrong)
        if rows.size:
            value: float = columns[name][rows[0]]
            if names[name] == "time":
                value = value / NANOSECONDS
            found = f"{path}, {places[rows[0]]}: {names[name]} is {value}"
            raise InputError(f"{found}, expected {expected}; correct it or remove the line")
