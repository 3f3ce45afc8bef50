"""How metrics are written for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NotRequired, TypedDict

from workbench.card import Card
from workbench.measure.dictionary import BY_NAME, Aggregate
from workbench.spelling import Named
from workbench.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd


class Entry(TypedDict):
    """What a metric is in one run: without a value there is a reason."""

    value: float | int | None
    unit: str
    reason: NotRequired[str]


class Metrics(Named[Entry]):
    """Metrics by name, in the order of the dictionary; a wrong name is answered with the right."""

    def __init__(
        self, content: Mapping[str, Entry] | Iterable[tuple[str, Entry]] = (), what: str = "metric"
    ) -> None:
        super().__init__(content, what)

    def _repr_html_(self) -> str:
        return metrics_card("metrics", self).html()


def metrics_card(title: str, metrics: Mapping[str, Entry]) -> Card:
    """Show metrics as a table, without counters that stayed 0, and why others have no value."""
    shown = {
        name: entry
        for name, entry in metrics.items()
        if entry["value"] != 0 or BY_NAME[name].aggregate is not Aggregate.COUNT
    }
    left_out = len(metrics) - len(shown)
    reasons: dict[str, list[str]] = {}
    for name, entry in shown.items():
        if entry["value"] is None:
            reasons.setdefault(metric_text(entry), []).append(name)
    return Card(
        title=title,
        columns=("metric", "value"),
        rows=[
            (name, metric_text(entry))
            for name, entry in shown.items()
            if entry["value"] is not None
        ],
        remarks=[
            *(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()),
            *([f"not shown: {left_out} metrics that are 0"] if left_out else []),
        ],
    )


def metric_text(entry: Mapping[str, object]) -> str:
    """Write a metric's value with its unit; without a value, the reason.

    Parameters
    ----------
    entry
        Of `metrics`: value, unit and, where there is no value, reason.

    Examples
    --------
    >>> metric_text({"value": 3 << 29, "unit": "bytes"})
    '1.50 GiB'
    """
    value = entry["value"]
    if not isinstance(value, int | float):
        return f"none: {entry.get('reason', 'not known')}"
    return quantity_text(value, str(entry["unit"]))


def quantity_text(value: float, unit: str) -> str:
    """Write a number with its unit; NaN is a dash.

    Parameters
    ----------
    value
        In this unit, one of the dictionary's.

    Examples
    --------
    >>> quantity_text(0.0002, "of the peak"), quantity_text(1, "faults")
    ('0.020 % of the peak', '1 fault')
    """
    if math.isnan(value):
        return "-"
    match unit:
        case "bytes":
            return format_bytes(value)
        case "byte-seconds":
            return f"{format_bytes(value)}-seconds"
        case "of the peak":
            return f"{100 * value:.3f} % of the peak"
        case "s":
            return f"{value:,.2f} s"
        case _:
            return f"{value:,.0f} {unit.removesuffix('s') if value == 1 else unit}"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Write out a frame of metrics (one with the columns metric and unit) for reading.

    Returns
    -------
    One row per metric, which is its index: numbers as text with their unit, percentages with a
    sign.  Rows that are 0 or unknown throughout are left out; `frame` itself is not changed.
    """
    shown = frame[frame.select_dtypes("number").fillna(0).ne(0).any(axis=1)]
    written = shown.set_index("metric").drop(columns="unit")
    units = shown["unit"].tolist()
    for name in written.select_dtypes("number").columns:
        values = written[name].tolist()
        if "percent_of" in name:
            written[name] = ["-" if math.isnan(value) else f"{value:+.1f} %" for value in values]
        else:
            written[name] = [
                quantity_text(value, unit) for value, unit in zip(values, units, strict=True)
            ]
    return written
