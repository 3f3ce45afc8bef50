"""Samples of a guest's free memory: read from what other tools wrote, checked, kept as Parquet."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError
from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.trace.segments import arrow_schema, read_segment
from workbench.trace.writer import write_parquet
from workbench.units import HUGE_PAGE_BYTES, HUGE_PAGE_ORDER, NANOSECONDS, PAGE_BYTES, format_bytes

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
}
"""Whole numbers, by the name they have in a CSV; `time` stands beside them, in seconds."""

_NEEDED: Final = ("time", "small", "huge", "total")

SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}

_STOP_S: Final = 10**9
_STOP_BYTES: Final = 2**52
"""What an x86-64 processor can address at most (Intel SDM 3A, 4.1.4: MAXPHYADDR is 52)."""

_STOPS: Final = {"time_ns": _STOP_S * NANOSECONDS}


class Reporting(NamedTuple):
    """How a guest reported while it was sampled."""

    order: int
    delay_ns: int
    capacity: int


@dataclass(frozen=True)
class GuestSeries:
    """Samples of one guest, in the order of time.

    Attributes
    ----------
    name
        Of the file or folder it came from.
    columns
        Arrays of one length, by the names of `schema.GUEST_SERIES`.
    reporting
        How the guest reported; None if nobody has said so.
    """

    name: str
    columns: dict[str, npt.NDArray[np.int64]]
    reporting: Reporting | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the host's resident set was sampled too."""
        return not bool((self.columns["resident_bytes"] == UNKNOWN).any())

    @cached_property
    def digest(self) -> str:
        """Name the content: a hash over what a model reads, so the yardstick is left out."""
        digest = hashlib.sha256()
        for name, values in self.columns.items():
            if name != "resident_bytes":
                digest.update(name.encode())
                digest.update(values.tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        """Say what it is, in one line."""
        time_ns = self.columns["time_ns"]
        span_s = int(time_ns[-1] - time_ns[0]) / NANOSECONDS
        total = format_bytes(int(self.columns["total_bytes"].max()))
        return (
            f"<GuestSeries {self.name}: {time_ns.size:,} samples over {span_s:,.0f} s of {total}>"
        )


def read_guest_series(path: Path | str) -> GuestSeries:
    """Read a CSV, or a series that was imported before.

    Parameters
    ----------
    path
        A CSV with the columns time (s), small (free pages), huge (free units of 2 MiB), total
        and, if it was measured, rss (both bytes); or a folder that `write_guest_series` made.

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
        reporting = _read_reporting(path)
    else:
        columns, places = _read_csv(path)
        name, reporting = path.stem, None
    _check(path, columns, places)
    return GuestSeries(name, columns, reporting)


def write_guest_series(series: GuestSeries, folder: Path) -> None:
    """Write a series into a folder that is there; how the guest reported travels in the file."""
    arrays = [pa.array(series.columns[name]) for name in GUEST_SERIES.column_names]
    table = pa.Table.from_arrays(arrays, schema=arrow_schema(GUEST_SERIES))
    if series.reporting is not None:
        known = {f"reporting_{name}": str(n) for name, n in series.reporting._asdict().items()}
        table = table.replace_schema_metadata(known)
    write_parquet(table, folder / SERIES_NAME)


def _read_reporting(path: Path) -> Reporting | None:
    known = pq.read_schema(path).metadata or {}
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
    columns.setdefault("resident_bytes", np.full(len(times), UNKNOWN, np.int64))
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
            f"{path}, line 1: has the columns {', '.join(header)}, expected also "
            f"{', '.join(missing)}; add or rename them (time in s, small in pages of 4 KiB, huge "
            "in units of 2 MiB, total in bytes)"
        )
    double = [name for name in {*_NEEDED, "rss"} if header.count(name) > 1]
    if double:
        raise InputError(f"{path}, line 1: has {double[0]!r} twice, expected it once; remove one")


def _number(place: str, name: str, text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputError(
            f"{place}: {name} is {text.strip()!r}, expected {expected}; remove the line if the "
            "guest did not answer there"
        )
    return value


def _time_ns(place: str, text: str) -> int:
    value = _number(place, "time", text, "seconds")
    if not 0 <= value < _STOP_S:
        raise InputError(f"{place}: time is {text.strip()}, expected seconds from 0 to {_STOP_S:,}")
    return round(value * NANOSECONDS)


def _whole(place: str, name: str, text: str) -> int:
    value = _number(place, name, text, "a whole number")
    if not 0 <= value < _STOP_BYTES or value != int(value):
        raise InputError(
            f"{place}: {name} is {text.strip()}, expected a whole number from 0; correct it or "
            "remove the line"
        )
    return int(value)


def _check(path: Path, columns: dict[str, npt.NDArray[np.int64]], places: list[str]) -> None:
    """Refuse what cannot be of one guest at one time."""
    time_ns, total = columns["time_ns"], columns["total_bytes"]
    if time_ns.size < 2:  # noqa: PLR2004 - an interval has two ends.
        raise InputError(
            f"{path}: has {time_ns.size} samples, expected at least 2; sample for longer"
        )
    free, huge = columns["free_pages"], columns["free_huge_pages"]
    resident = columns["resident_bytes"]
    is_measured = (resident != UNKNOWN).any()
    judgements = [
        (name, (values < 0) & (values != UNKNOWN) | (values >= _STOPS.get(name, _STOP_BYTES)),
         "what memory can be")
        for name, values in columns.items()
    ]  # fmt: skip
    judgements += [
        ("time_ns", np.diff(time_ns, prepend=-1) <= 0, "a later time than in the line before"),
        ("total_bytes", total < HUGE_PAGE_BYTES, "at least 2 MiB"),
        ("free_pages", (free < 0) | (free * PAGE_BYTES > total), "what total_bytes has room for"),
        ("free_huge_pages", (huge < 0) | (huge > free >> HUGE_PAGE_ORDER),
         "what free_pages has room for"),
        ("resident_bytes", (resident == UNKNOWN) & is_measured, "a value, as in other lines"),
    ]  # fmt: skip
    for name, is_wrong, expected in judgements:
        rows = np.flatnonzero(is_wrong)
        if rows.size:
            found = f"{path}, {places[rows[0]]}: {name} is {columns[name][rows[0]]}"
            raise InputError(f"{found}, expected {expected}; correct it or remove the line")
