"""Tables of a trace as pandas frames, for people: names for codes, seconds beside nanoseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import UsageError
from workbench.schema import PAGE_STATE_CODES, PAGE_STATE_MASK, Kind, PageFlag, PageState
from workbench.trace.batches import ROWS_AT_ONCE, table_named
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

    from workbench.trace.reader import Columns, Trace


def _state_name(code: int) -> str:
    """Name the state of pages, with what a slice knows of them from before."""
    flags = [flag.name or "" for flag in PageFlag if code & flag]
    return "|".join([PageState(code & PAGE_STATE_MASK).name, *flags]).lower()


_NAMES: Final[Mapping[str, Mapping[int, str]]] = {
    "kind": {int(kind): kind.name.lower() for kind in Kind},
    "page_state": {code: _state_name(code) for code in PAGE_STATE_CODES},
}
"""What the codes of a column stand for, by column."""


def table_frame(
    trace: Trace, table_name: str, first_row: int, stop_row: int | None
) -> pd.DataFrame:
    """Give the rows [first_row, stop_row) of a table: see `Trace.frame`."""
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    if first_row < 0 or (stop_row is not None and stop_row < first_row):
        raise UsageError(
            f"rows {first_row} to {stop_row} were asked for, expected a first row of 0 or more and "
            "a stop row that is not before it"
        )
    columns = _rows(trace, table_name, first_row, stop_row)
    shown: dict[str, Any] = {}
    if "time_ns" in columns:
        since_ns = columns["time_ns"] - trace.manifest.start_time_ns
        shown["time_s"] = since_ns / NANOSECONDS
    for name, values in columns.items():
        shown[name] = _named(values, _NAMES[name]) if name in _NAMES else values
    count = len(columns["vm"])
    frame = pd.DataFrame(shown, index=pd.RangeIndex(first_row, first_row + count, name="row"))
    frame.attrs = {
        "caption": f"{table_name} of trace {trace.name}",
        "lost_events": trace.manifest.lost_events,
    }
    return frame


def _rows(trace: Trace, table_name: str, first_row: int, stop_row: int | None) -> Columns:
    """Read rows; all of a table are kept with the trace, a part is not."""
    table = table_named(table_name)
    if stop_row is None:
        return {name: values[first_row:] for name, values in trace.columns(table_name).items()}
    parts, begin = [], 0
    for batch in trace.batches(table_name, table.column_names, row_count=ROWS_AT_ONCE):
        count = len(batch["vm"])
        rows = slice(max(first_row - begin, 0), max(stop_row - begin, 0))
        parts.append({name: values[rows] for name, values in batch.items()})
        begin += count
        if begin >= stop_row:
            break
    empty = {column.name: np.zeros(0, column.dtype) for column in table.columns}
    return {name: np.concatenate([empty[name], *(part[name] for part in parts)]) for name in empty}


def _named(codes: npt.NDArray[np.int64], names: Mapping[int, str]) -> pd.Categorical[str]:
    """Give codes by their names, in the order of the codes, without those that do not occur."""
    import pandas as pd  # noqa: PLC0415 - It was imported already.

    found, index = np.unique(codes, return_inverse=True)
    categories = pd.Index([names[int(code)] for code in found], dtype="str")
    return pd.Categorical.from_codes(index, categories)
