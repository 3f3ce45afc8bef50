"""The figures of live runs in lab_runs/: one run a row, the command that made them in the head."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.gate.made_runs import PLAIN, side
from workbench.measure import MEASURED_METRICS

if TYPE_CHECKING:
    from workbench.gate import Side

FOLDER = Path(__file__).parent / "lab_runs"

_MEASURED = {metric.name for metric in MEASURED_METRICS}


def lab_rows(name: str) -> list[dict[str, float]]:
    """Read a table; a metric that a run has no value of is not in its row."""
    lines = (FOLDER / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    table = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [{metric: float(text) for metric, text in row.items() if text} for row in table]


def lab_side(name: str) -> Side:
    """Make a side of the runs of a table."""
    runs = [
        replace(
            PLAIN,
            name=f"{name}-{number:02d}",
            trace=f"{name} {number}",
            model_figures={m: value for m, value in row.items() if m not in _MEASURED},
            measured_figures={m: value for m, value in row.items() if m in _MEASURED},
        )
        for number, row in enumerate(lab_rows(name), 1)
    ]
    return side(*runs, label=name)
