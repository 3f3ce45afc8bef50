"""How metrics are written for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


def metric_text(entry: Mapping[str, object]) -> str:
    """Write a metric's value with its unit, for example ``1.50 GiB`` or ``0.02 % of the peak``."""
    value = entry["value"]
    if not isinstance(value, int | float):
        return f"none: {entry.get('reason', 'not known')}"
    return quantity_text(value, str(entry["unit"]))


def quantity_text(value: float, unit: str) -> str:
    """Write a number with its unit; NaN is a dash."""
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

    Numbers become text with their unit, percentages get a sign, and rows that are 0 or unknown
    throughout are left out; the frame itself is not changed.
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
