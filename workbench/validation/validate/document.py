"""The comparison as one document, and as the rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.measure import BY_NAME, quantity_text
from workbench.replay.door import made_with
from workbench.units import NANOSECONDS
from workbench.validation.validate.avoided import avoided
from workbench.validation.validate.baselines import BASELINES
from workbench.validation.validate.bootstrap import LEVEL, RESAMPLES, SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.validation.validate.avoided import AvoidedBy
    from workbench.validation.validate.bootstrap import Interval
    from workbench.validation.validate.predictions import Compared, Comparison

COLUMNS: Final = (
    "scenario",
    "captured",
    "asked",
    "runs",
    "quantity",
    "predicted",
    "live",
    "95 %",
    "difference",
    "verdict",
    *(name.replace("_", " ") for name in BASELINES),
)
RIGHT: Final = COLUMNS[5:9] + COLUMNS[10:]


def document(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Give all comparisons as JSON takes them."""
    return {
        "made_with": made_with(),
        "bootstrap": {"seed": SEED, "resamples": RESAMPLES, "level": LEVEL},
        "comparisons": [_entry(comparison) for comparison in comparisons],
        "avoided": [_avoided_entry(one) for one in avoided(comparisons)],
    }


def _entry(comparison: Comparison) -> dict[str, Any]:
    return {
        "scenario": comparison.workload.label,
        "captured": comparison.captured.label,
        "asked": comparison.asked.label,
        "captures": list(comparison.captures),
        "live": list(comparison.live),
        "window_seconds": comparison.window_ns / NANOSECONDS,
        "captured_seconds": comparison.captured_ns / NANOSECONDS,
        "live_seconds": comparison.live_ns / NANOSECONDS,
        "model_error_mean": comparison.model_error,
        "reasons": list(comparison.reasons),
        "notes": list(comparison.notes),
        "quantities": {
            name: _quantity(name, compared) for name, compared in comparison.quantities.items()
        },
    }


def _avoided_entry(one: AvoidedBy) -> dict[str, Any]:
    return {
        "scenario": one.workload.label,
        "setting": one.setting.label,
        "live_without": one.live_without,
        "live_with": one.live_with,
        "quantities": {
            pages.quantity: {
                "unit": BY_NAME[pages.quantity].unit,
                "without": pages.without,
                "measured": pages.measured,
                "measured_interval": None if pages.interval is None else list(pages.interval),
                "predicted": pages.predicted,
                "predicted_dead": pages.predicted_dead,
            }
            for pages in one.pages
        },
    }


def _quantity(name: str, compared: Compared) -> dict[str, Any]:
    return {
        "unit": BY_NAME[name].unit,
        "predicted": compared.predicted,
        "live": compared.live,
        "live_interval": None if compared.interval is None else list(compared.interval),
        "difference": compared.difference,
        "verdict": compared.verdict,
        "baselines": compared.baselines,
    }


def rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Give the table's rows: one for each quantity that was compared."""
    return [
        (
            comparison.workload.label,
            comparison.captured.label,
            comparison.asked.label,
            f"{len(comparison.captures)} / {len(comparison.live)}",
            name,
            *_texts(name, compared),
        )
        for comparison in comparisons
        for name, compared in comparison.quantities.items()
    ]


AVOIDED_COLUMNS: Final = (
    "scenario",
    "setting",
    "runs",
    "quantity",
    "without",
    "avoided",
    "95 %",
    "predicted",
    "of it dead (predicted only)",
)
AVOIDED_RIGHT: Final = AVOIDED_COLUMNS[4:]


def avoided_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Give the rows of the table of what reporting avoided."""
    return [
        (
            one.workload.label,
            one.setting.label,
            f"{one.live_without} / {one.live_with}",
            pages.quantity,
            _value(pages.without, unit),
            _value(pages.measured, unit),
            _between(pages.interval, unit),
            _value(pages.predicted, unit),
            _value(pages.predicted_dead, unit),
        )
        for one in avoided(comparisons)
        for pages in one.pages
        for unit in (BY_NAME[pages.quantity].unit,)
    ]


def _texts(name: str, compared: Compared) -> tuple[str, ...]:
    unit = BY_NAME[name].unit
    return (
        _value(compared.predicted, unit),
        _value(compared.live, unit),
        _between(compared.interval, unit),
        _percent(compared.difference),
        compared.verdict,
        *(_percent(compared.baselines.get(baseline)) for baseline in BASELINES),
    )


def _between(interval: Interval | None, unit: str) -> str:
    if interval is None:
        return "-"
    return f"{_value(interval.low, unit)} to {_value(interval.high, unit)}"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return quantity_text(round(value) if unit == "pages" else value, unit)


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:+.1f} %"
