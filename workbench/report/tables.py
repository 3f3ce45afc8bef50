"""The tables: every metric under every setting, with its unit, its better side and its meaning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.measure import (
    BY_NAME,
    MATRIX_METRICS,
    MEASURED_METRICS,
    METRICS,
    Better,
    measured_metrics,
    measured_pair,
    metric_text,
    quantity_text,
)
from workbench.report.document import Block, Cell, Column, Section, Table
from workbench.report.text import sentence_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from workbench.measure import Metric
    from workbench.report.findings import Findings


def table_section(findings: Findings) -> Section:
    """Give the tables."""
    answered = [found for found in findings.answered if found.answer.partner is None]
    blocks: list[Block] = []
    if answered:
        labels = [found.label for found in answered]
        blocks.append(metric_table(labels, [found.entries for found in answered]))
    if findings.pair is not None:
        blocks.append(_pair_table(findings))
    if findings.matrix is not None:
        blocks.append(_matrix_table(findings.matrix))
    blocks += _measured_blocks(findings)
    return Section(key="tables", heading="Tables", blocks=tuple(blocks))


def metric_table(labels: Sequence[str], runs: Sequence[Mapping[str, Mapping[str, Any]]]) -> Table:
    """Give the metrics of some runs, a column for each; what is 0 or unknown throughout is named.

    Parameters
    ----------
    runs
        Metrics by name, each ``{value, unit}``.
    """
    shown, zero = [], []
    unknown: dict[str, list[str]] = {}
    for metric in METRICS:
        entries = [run[metric.name] for run in runs if metric.name in run]
        values = [entry["value"] for entry in entries]
        if not entries or all(value is None for value in values):
            reason = str(entries[0].get("reason") if entries else "not in the result")
            unknown.setdefault(reason, []).append(metric.name)
        elif any(values):
            shown.append(metric)
        else:
            zero.append(metric.name)
    said = [f"0 throughout: {sentence_list(zero)}."] if zero else []
    said += [f"No value: {sentence_list(names)} ({reason})." for reason, names in unknown.items()]
    return Table(
        caption="What the replay came to",
        columns=_columns(labels),
        rows=tuple(_row(metric, [_value(run, metric.name) for run in runs]) for metric in shown),
        note=" ".join(said),
    )


def _value(run: Mapping[str, Mapping[str, Any]], name: str) -> str:
    entry = run.get(name)
    return "-" if entry is None or entry["value"] is None else metric_text(entry)


def _columns(labels: Iterable[str]) -> tuple[Column, ...]:
    values = (Column(name=label, is_number=True) for label in labels)
    return (Column(name="metric"), *values, Column(name="sums up"), Column(name="better"))


def _row(metric: Metric, values: Iterable[str]) -> tuple[str | Cell, ...]:
    name = Cell(text=metric.name, detail=metric.formula)
    better = "-" if metric.better is Better.NEITHER else metric.better.value
    return (name, *values, metric.aggregate.value, better)


def _pair_table(findings: Findings) -> Block:
    """Lay the two halves of a measured pair beside each other."""
    pair = findings.pair
    rows = measured_pair(*pair).to_dict("records") if pair is not None else []
    names = ("reporting on", "reporting off", "saved", "saved, of off")
    return Table(
        caption="Two live runs of one scenario, measured",
        columns=(
            Column(name="metric"),
            *(Column(name=name, is_number=True) for name in names),
        ),
        rows=tuple(_pair_row(row) for row in rows if row["reporting_on"] or row["reporting_off"]),
        note="Saved is off minus on. Swap is the whole host's.",
    )


def _pair_row(row: Mapping[Any, Any]) -> tuple[str | Cell, ...]:
    name, unit = str(row["metric"]), str(row["unit"])
    share = row["saved_percent_of_off"]
    return (
        Cell(text=name, detail=BY_NAME[name].formula),
        *(
            quantity_text(row[column], unit)
            for column in ("reporting_on", "reporting_off", "saved")
        ),
        "-" if math.isnan(share) else f"{share:+.1f} %",
    )


def _matrix_table(matrix: pd.DataFrame) -> Table:
    """List every combination of poison and reporting, or why it cannot be told."""
    return Table(
        caption="Every combination of how the guest poisons and reports",
        columns=(
            Column(name="poison and reporting"),
            *(Column(name=name, is_number=True) for name in MATRIX_METRICS),
        ),
        rows=tuple(
            (
                Cell(text=f"{row['poison']}; {row['reporting']}", detail=str(row["reason"])),
                *(quantity_text(row[name], BY_NAME[name].unit) for name in MATRIX_METRICS),
            )
            for row in matrix.to_dict("records")
        ),
        note="A dash: this trace cannot tell.",
    )


def _measured_blocks(findings: Findings) -> Iterable[Block]:
    """Give what the host measured of this capture, if it did."""
    entries = measured_metrics(findings.trace)
    known = [metric for metric in MEASURED_METRICS if entries[metric.name]["value"] is not None]
    if not known:
        return []
    return [
        Table(
            caption="What the host measured during the capture",
            columns=_columns(["measured"]),
            rows=tuple(_row(metric, [metric_text(entries[metric.name])]) for metric in known),
            note="A replay never reads these; it is compared with them.",
        )
    ]
