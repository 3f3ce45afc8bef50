"""Which of the settings that a study compares matter for its guests, and which do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from workbench.quantity import time_text
from workbench.study.words import said, setting_named, varies
from workbench.units import format_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

_KNOWN_AXES: Final = {
    "reporting_order": "the order",
    "reporting_delay_ns": "the delay",
    "reporting_capacity": "the capacity",
    "inhibited_share": "the share of inhibited guests",
    "page_cache_given_back": "the page cache",
}

_FIGURES: Final = {
    "guests": "guests",
    "byte_seconds": "byte_seconds_per_guest_day",
    "drain_seconds": "drain_90_seconds",
    "refault_cpu_seconds": "refault_cpu_seconds_per_guest_day",
}
"""By the name of their change, the columns of the answers."""

_NOT_BY_MEMORY: Final = ("drain", "swap_in")
"""Limits that byte-seconds say nothing of."""

_HARDLY: Final = 0.01
"""Of byte-seconds.  A prediction from samples is no nearer to what is measured than that
(docs/validation.md)."""


_LEAST_SECONDS: Final = 0.001
"""That are worth a word: no person notices less, of a drain or of a day."""


def sensitivity(answers: pd.DataFrame) -> pd.DataFrame:
    """Say of each setting that is compared what comes of changing it alone.

    Parameters
    ----------
    answers
        The frame of that name.

    Returns
    -------
    A row for each setting with more than one value, what matters most first: axis (the column of
    the answers), setting (in words), values (in words, in order); then, of the rows that differ in
    this setting only, on one host, the largest and the mean difference of their highest and lowest
    (`_largest`, `_mean`): guests_change; byte_seconds_change, as a part of the lowest;
    drain_seconds_change; refault_cpu_seconds_change, per guest and day; and matters, whether it
    changes a guest and at least 1 % of the byte-seconds, or a guest where drains or what is read
    back from swap limit how many fit.  Settings under which a freed GiB never drains are no part of
    drain_seconds_change.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    compared = answers[answers["reporting"]]
    axes = [name for name in compared.columns if _is_axis(name) and varies(compared[name])]
    rows = []
    for axis in axes:
        others = [name for name in axes if name != axis]
        changes = pd.DataFrame(
            _changes(compared, axis, others), columns=[*_FIGURES, "at_other_limit"]
        )
        row: dict[str, object] = {
            "axis": axis,
            "setting": _KNOWN_AXES.get(axis, setting_named(axis)),
            "values": ", ".join(_values(compared, axis)),
        }
        for name in _FIGURES:
            row[f"{name}_change_largest"] = float(changes[name].max())
            row[f"{name}_change_mean"] = float(changes[name].mean())
        largest = changes.max()
        row["matters"] = bool(
            (largest["guests"] >= 1 and largest["byte_seconds"] >= _HARDLY)
            or ((changes["guests"] >= 1) & (changes["at_other_limit"] > 0)).any()
        )
        rows.append(row)
    order = ["guests_change_largest", "byte_seconds_change_largest", "drain_seconds_change_largest"]
    frame = pd.DataFrame(rows, columns=_columns())
    frame = frame.sort_values(order, ascending=False, kind="stable", ignore_index=True)
    frame.attrs = dict(answers.attrs)
    return frame


def sensitivity_sentences(sensitivity: pd.DataFrame) -> list[str]:
    """Say of each setting whether it matters for these guests, with figures; in the same order.

    Parameters
    ----------
    sensitivity
        The frame of that name.
    """
    return [_sentence(row) for row in sensitivity.to_dict("records")]


def _columns() -> list[str]:
    changes = [f"{name}_change_{which}" for name in _FIGURES for which in ("largest", "mean")]
    return ["axis", "setting", "values", *changes, "matters"]


def _is_axis(name: str) -> bool:
    return name in _KNOWN_AXES or bool(setting_named(name))


def _changes(compared: pd.DataFrame, axis: str, others: list[str]) -> Iterator[list[float]]:
    """Compare rows that differ in one setting alone; last, whether memory is not the limit."""
    for _, rows in compared.groupby(["host", *others], dropna=False, sort=False):
        if not varies(rows[axis]):
            continue
        found = []
        for name, column in _FIGURES.items():
            values = [float(value) for value in rows[column] if math.isfinite(value)]
            change = max(values) - min(values) if values else math.nan
            if name == "byte_seconds":
                change = change / min(values) if min(values) else 0.0
            found.append(change)
        yield [*found, float(rows["limited_by"].isin(_NOT_BY_MEMORY).any())]


def _values(compared: pd.DataFrame, axis: str) -> list[str]:
    values = compared[axis].drop_duplicates()
    ordered = values if values.isna().any() or values.dtype == object else values.sort_values()
    return [_value(axis, value) for value in ordered]


def _value(axis: str, value: Any) -> str:  # noqa: ANN401 - of any setting.
    if axis == "reporting_delay_ns":
        return time_text(int(value))
    if axis == "inhibited_share":
        return f"{format_number(100 * value, 12)} %"
    if axis == "page_cache_given_back":
        return "given back" if value else "kept"
    return said(value)


def _sentence(row: dict[Any, Any]) -> str:
    name = f"{str(row['setting'])[:1].upper()}{str(row['setting'])[1:]} ({row['values']})"
    guests = round(row["guests_change_largest"])
    counted = "no guest" if not guests else f"up to {guests:,} guest{'s' * (guests != 1)}"
    byte_seconds = f"{_percent(row['byte_seconds_change_largest'])} of byte-seconds"
    verdict = "matters" if row["matters"] else "hardly matters"
    figures = f"{verdict}: {counted} and {byte_seconds}"
    if guests and not row["matters"]:
        figures = f"hardly matters for what guests need: {byte_seconds}, which decide on {counted}"
    more = []
    drain, refaults = row["drain_seconds_change_largest"], row["refault_cpu_seconds_change_largest"]
    if drain >= _LEAST_SECONDS:
        more.append(f"it changes by {format_number(drain)} s when a freed GiB can be used again")
    if refaults >= _LEAST_SECONDS:
        more.append(f"{format_number(refaults)} s of processor time per guest and day")
    rest = f"; {', and '.join(more)}" if more else ""
    return f"{name} {figures}{rest}."


def _percent(share: float) -> str:
    if 0 < share < 0.001:  # noqa: PLR2004 - a tenth of a percent.
        return "less than 0.1 %"
    return f"{format_number(100 * share, 2)} %"
