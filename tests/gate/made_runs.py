"""Runs and results made by hand: every number in them has a reason."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.gate import Run, Side
from workbench.measure import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAGE = 4096
RECLAIMED = 780_140_544
"""As of a real replay: 190,464 pages."""

FIGURES = {
    "reclaimed_bytes": RECLAIMED,
    "resident_bytes_mean": 215_345_937.0,
    "refaults": 175,
    "reports": 12,
    "swap_in_pages": 0,
    "events_lost": 0,
}

_RECORDINGS = itertools.count()

PLAIN = Run(
    name="churn",
    trace="a" * 64,
    settings="as captured",
    model="0123456789abcdef",
    schema="1.2",
    lost_events=0,
    model_figures=FIGURES,
)


def changed(run: Run = PLAIN, **figures: float) -> Run:
    """Give a run some other figures."""
    return replace(run, model_figures={**run.model_figures, **figures})


def side(*runs: Run, label: str = "side") -> Side:
    """Make a side of runs."""
    return Side(label=label, runs=runs)


def live(metric: str, values: Sequence[float], **facts: Any) -> Side:
    """Make a side of as many live runs, each its own recording, of one metric alone."""
    is_measured = metric.startswith("measured_")
    runs = [
        replace(
            PLAIN,
            name=f"on-{number:02d}",
            trace=f"recording {next(_RECORDINGS)}",
            model_figures={} if is_measured else {metric: value},
            measured_figures={metric: value} if is_measured else {},
            **{"work": "quick", "machine": "2 processors", **facts},
        )
        for number, value in enumerate(values, 1)
    ]
    return side(*runs)


def write_result(path: Path, **overrides: Any) -> Path:
    """Write a result as `workbench replay -o` does; of the overrides, `metrics` are added."""
    metrics = {
        name: {"value": value, "unit": BY_NAME[name].unit} for name, value in FIGURES.items()
    }
    document = {
        "lineage": {
            "trace": PLAIN.trace,
            "recording": {"name": PLAIN.name, "start_time_ns": 1, "duration_ns": 2},
            "model": PLAIN.model,
            "settings": {},
            "versions": {"schema": "1.2", "numpy": "2", "python": "3", "workbench": "0"},
        },
        "settings": {},
        "identifiable": {"answerable": True},
        "metrics": {**metrics, **overrides.pop("metrics", {})},
        "model_error": {},
        "events": {},
    }
    path.mkdir(parents=True)
    (path / "result.json").write_text(json.dumps({**document, **overrides}), encoding="utf-8")
    return path
