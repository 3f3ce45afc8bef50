"""Samples of Prometheus as CSV: wide, as Grafana exports a panel, or long, one sample a line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from workbench.errors import InputError
from workbench.spelling import on_one_line, shorten
from workbench.trace.guest_series import SEPARATORS, STOP_S
from workbench.trace.monitoring.metrics import Metrics
from workbench.trace.monitoring.names import MEANINGS
from workbench.trace.monitoring.series_name import labels_of
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from workbench.trace.monitoring.tracks import Sampled

_TIMES: Final = frozenset({"time", "timestamp", "date", "datetime", "ts"})
_METRICS: Final = ("__name__", "metric", "name")
_VALUES: Final = ("value", "val")
"""How columns are called, without regard to case."""

_BLOCK_BYTES: Final = 1 << 26
"""Read at once: a line of a thousand guests is tens of kilobytes, and blocks of few are slow."""

_EXCEL_LINE: Final = "sep="
"""What Grafana puts in front for Excel."""

_MICROSECONDS: Final = 1_000_000
_MILLISECONDS: Final = 1000
"""In a second.  Grafana gives times in milliseconds where it does not format them."""

_SHOWN_CHARACTERS: Final = 80
"""Of a cell, in a message."""

_MISSING: Final = ("", "null", "undefined", "NaN", "nan", "-")
"""Cells without a value, as Grafana and Prometheus write them."""

NO_ZONE: Final = "its times have no zone, and were taken for UTC"

_ADVICE: Final = "export the numbers as they are (in Grafana without formatted data)"


class Layout(NamedTuple):
    """What the header of a file says.

    Attributes
    ----------
    skipped
        Lines before the header.
    metric, value
        The columns of a long file; None in a wide one.
    """

    skipped: int
    header: list[str]
    time: str
    metric: str | None = None
    value: str | None = None


def layout_of(path: Path, head: str) -> Layout | None:
    """Tell from its first lines whether a file is such a CSV; None if not.

    Raises
    ------
    InputError
        It would be, were it not for its header.
    """
    first, _, others = head.partition("\n")
    skipped = int(first.lower().startswith(_EXCEL_LINE))
    try:
        header = next(csv.reader(io.StringIO(others if skipped else head, newline="")), [])
    except csv.Error:  # It is none, or of more than whoever exports series has.
        return None
    times = [name for name in header if name.strip().lower() in _TIMES]
    is_about = [name for name in header if any(metric in name for metric in MEANINGS)]
    metric = _first_of(header, _METRICS)
    value = _first_of(header, _VALUES)
    if not is_about and not (metric and value):
        return None
    line = f"{path}, line {skipped + 1}"
    for separator, named in SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            raise InputError(
                f"{line}: columns are separated by {named}, expected commas; export it with commas"
            )
    if not times:
        shown = shorten(on_one_line(", ".join(header)), _SHOWN_CHARACTERS)
        raise InputError(
            f"{line}: has the columns {shown}, expected also Time; export it with its times"
        )
    double = [name for name in header if header.count(name) > 1]
    if double:
        raise InputError(
            f"{line}: has {on_one_line(double[0])!r} twice, expected each series once; remove one"
        )
    if is_about:
        _check_names(line, is_about)
        return Layout(skipped, header, times[0])
    return Layout(skipped, header, times[0], metric, value)


def _first_of(header: list[str], names: tuple[str, ...]) -> str | None:
    return next((cell for name in names for cell in header if cell.strip().lower() == name), None)


def _check_names(line: str, names: list[str]) -> None:
    for name in names:
        labels = labels_of(name)
        if labels is None or labels["__name__"] not in MEANINGS:
            shown = shorten(on_one_line(repr(name)), 2 * _SHOWN_CHARACTERS)
            raise InputError(
                f"{line}: column {shown} is not the name of a series, expected "
                f'metric{{label="value"}} without a unit or anything else; {_ADVICE}'
            )


def read_csv_samples(path: Path, layout: Layout) -> list[Sampled]:
    """Read the samples of every guest in a CSV.

    Raises
    ------
    InputError
        A cell cannot be, or no column tells a guest's memory.
    """
    metrics = Metrics(path)
    table = _table(path, layout)
    if not table.num_rows:
        raise InputError(
            f"{path}: has a header and no samples, expected them; export a longer time"
        )
    lines = _lines(path, layout, table.num_rows)
    time_ns, has_zone = _times_ns(path, table[layout.time], lines)
    if layout.metric is None:
        _add_wide(metrics, layout, table, time_ns, lines)
    else:
        _add_long(metrics, layout, table, time_ns, lines)
    guests = metrics.guests()
    if not has_zone:
        for guest in guests:
            guest.remarks.append(NO_ZONE)
    return guests


def _table(path: Path, layout: Layout) -> pa.Table:
    """Read what is used of the file, values as float64."""
    if layout.metric is None:
        used = [name for name in layout.header if name != layout.time]
        named = {name: labels_of(name) for name in used}
        values = [name for name in used if (named[name] or {}).get("__name__") in MEANINGS]
        types: dict[str, pa.DataType] = dict.fromkeys(values, pa.float64())
        columns = [layout.time, *values]
    else:
        types = {
            name: pa.dictionary(pa.int32(), pa.string())
            for name in layout.header
            if name not in {layout.time, layout.value}
        }
        types[str(layout.value)] = pa.float64()
        columns = layout.header
    try:
        return pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(
                block_size=_BLOCK_BYTES, skip_rows=layout.skipped, use_threads=False
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=types,
                include_columns=columns,
                null_values=list(_MISSING),
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _explained(path, layout, str(error)) from None


def _explained(path: Path, layout: Layout, arrow: str) -> InputError:
    """Find the cell that Arrow could not read, and say where it stands."""
    values = {layout.value} if layout.value else set(layout.header) - {layout.time}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for number, cells in enumerate(reader):
                if number <= layout.skipped or not cells:
                    continue
                place = f"{path}, line {reader.line_num}"
                if len(cells) != len(layout.header):
                    return InputError(
                        f"{place}: has {len(cells)} values, expected {len(layout.header)} as in "
                        "the header; complete the line or remove it"
                    )
                for name, cell in zip(layout.header, cells, strict=True):
                    if name in values and not _is_number(cell):
                        shown = shorten(on_one_line(repr(cell)), _SHOWN_CHARACTERS)
                        column = shorten(on_one_line(name), 2 * _SHOWN_CHARACTERS)
                        return InputError(
                            f"{place}: {column} is {shown}, expected a number in bytes; {_ADVICE}"
                        )
    except (UnicodeDecodeError, csv.Error):
        pass  # Then Arrow's own words have to do.
    return InputError(f"{path}: is not CSV ({on_one_line(arrow)}), expected samples; {_ADVICE}")


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return cell.strip() in _MISSING
    return True


def _lines(path: Path, layout: Layout, count: int) -> npt.NDArray[np.int64]:
    """Number the lines of samples, as empty ones are passed over."""
    with path.open("rb") as file:
        filled = (number for number, line in enumerate(file, 1) if not line.isspace())
        lines = np.fromiter(filled, np.int64)[layout.skipped + 1 :]
    # A quoted name may go over several lines.
    return lines if lines.size == count else np.arange(count) + layout.skipped + 2


def _times_ns(
    path: Path, column: pa.ChunkedArray, lines: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], bool]:
    """Read the times, and say whether they have a zone."""
    kind = column.type
    if column.null_count:
        row = int(pc.index(pc.is_null(column), value=True).as_py())
        raise _no_time(path, lines[row], "none")
    if pa.types.is_timestamp(kind):
        us = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()).to_numpy()
        wrong = np.flatnonzero((us < 0) | (us >= STOP_S * _MICROSECONDS))
        if wrong.size:
            row = int(wrong[0])
            raise _no_time(path, lines[row], str(column[row].cast(pa.string())))
        return us * (NANOSECONDS // _MICROSECONDS), bool(kind.tz)
    if not pa.types.is_integer(kind) and not pa.types.is_floating(kind):
        row, text = _first_odd(column)
        raise _no_time(path, lines[row], on_one_line(repr(text)))
    numbers = column.cast(pa.float64(), safe=False).to_numpy()
    in_ms = bool((numbers[:1] >= STOP_S).all())
    seconds = numbers / _MILLISECONDS if in_ms else numbers
    # Which of the two they are is told by the first one, and has to hold for all.
    wrong = np.flatnonzero(~((seconds >= 0) & (seconds < STOP_S) & ((numbers >= STOP_S) == in_ms)))
    if wrong.size:
        row = int(wrong[0])
        raise _no_time(path, lines[row], f"{numbers[row]:.17g}")
    return np.rint(seconds * _MICROSECONDS).astype(np.int64) * (NANOSECONDS // _MICROSECONDS), True


def _first_odd(column: pa.ChunkedArray) -> tuple[int, str]:
    """Give the first row that is not of the kind of the first one, or the first one."""
    texts = column.cast(pa.string())
    for kind in (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        for row, text in enumerate(texts):
            try:
                pa.array([text.as_py()], pa.string()).cast(kind)
            except pa.ArrowInvalid:
                if row:
                    return row, text.as_py()
                break
    return 0, texts[0].as_py()


def _no_time(path: Path, line: int, found: str) -> InputError:
    return InputError(
        f"{path}, line {line}: time is {found}, expected seconds or milliseconds since 1970 or a "
        "time such as 2026-01-31 12:00:00, of one kind throughout; export it so"
    )


def _numpy(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    filled: Any = pc.fill_null(column, np.nan)
    return np.asarray(filled.to_numpy(), np.float64)


def _add_wide(
    metrics: Metrics,
    layout: Layout,
    table: pa.Table,
    time_ns: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
) -> None:
    used = set(table.column_names)
    for name in layout.header:
        if name == layout.time:
            continue
        if name not in used:
            labels = labels_of(name)
            metrics.ignored[name if labels is None else labels["__name__"]] += 1
            continue
        metrics.add(labels_of(name) or {}, name, time_ns, _numpy(table[name]), lines=lines)


def _add_long(
    metrics: Metrics,
    layout: Layout,
    table: pa.Table,
    time_ns: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
) -> None:
    """Tell the series apart by their labels, and give each its rows in the order of the file."""
    names = [name for name in layout.header if name not in {layout.time, layout.value}]
    encoded = {name: _encoded(table[name]) for name in names}
    series = np.zeros(time_ns.size, np.int64)
    for codes, known in encoded.values():
        # Numbered anew each time, so that the product of all labels' sizes never overflows.
        _, series = np.unique(series * len(known) + codes, return_inverse=True)
    order = np.argsort(series, kind="stable")
    begins = np.flatnonzero(np.diff(series[order], prepend=-1))
    values = _numpy(table[layout.value])
    for rows in np.split(order, begins[1:]) if order.size else []:
        cells = {name: known[codes[rows[0]]] for name, (codes, known) in encoded.items()}
        metric = cells.pop(str(layout.metric))
        labels = labels_of(metric) or {"__name__": metric}
        labels |= {name: text for name, text in cells.items() if text}
        if labels["__name__"] in MEANINGS:
            place = f"series {metric}"
            metrics.add(labels, place, time_ns[rows], values[rows], lines=lines[rows])
        else:
            metrics.ignored[labels["__name__"]] += 1


def _encoded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Give the number of each cell's text, and the texts."""
    chunks = column.unify_dictionaries().chunks
    if not chunks:
        return np.zeros(0, np.int64), [""]
    codes = np.concatenate([np.asarray(chunk.indices, np.int64) for chunk in chunks])
    return codes, [str(text) for text in chunks[0].dictionary.to_pylist()]
