"""What guests report, by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.measure.attributes import run_label, runs_attributes
from workbench.measure.required import require_run
from workbench.measure.sums import total
from workbench.replay import SKIPPED, Outcome
from workbench.schema import Kind
from workbench.units import LARGEST_ORDER, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from workbench.replay import Replay

REPORT_OUTCOMES: Final[dict[Outcome, str]] = {
    Outcome.DISCARDED: "discarded",
    Outcome.DISCARD_FAILED: "discard failed",
    **{outcome: f"skipped_{reason}" for reason, outcome in SKIPPED.items()},
}
"""What can become of a reported range."""

_SMALLEST_BYTES: Final = np.array(
    [0, *(PAGE_BYTES << order for order in range(LARGEST_ORDER + 1))], np.int64
)
"""The smallest range of each size: Linux reports blocks of 2**order pages, up to the largest."""


def report_sizes(*runs: Replay) -> pd.DataFrame:
    """Say what became of the reported ranges, by their size.

    Returns
    -------
    One row per run, size and outcome that occurs: run (its number), label, smallest_bytes (ranges
    of this size and more, and less than the next power of two; 0: less than a page; the largest
    block of Linux and more count as one size), outcome, ranges and length_bytes, which add up
    to the metrics `ranges` and `reported_bytes`, and by outcome to `discards`,
    `discarded_bytes`, `discards_failed` and `skipped_...`.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    for run in runs:
        require_run(run)
    rows = [
        {"run": number, "label": run_label(run), **row}
        for number, run in enumerate(runs)
        for row in _rows(run)
    ]
    names = ["run", "label", "smallest_bytes", "outcome", "ranges", "length_bytes"]
    frame = pd.DataFrame(rows, columns=names)
    frame.attrs = {**runs_attributes(runs), "labels": [run_label(run) for run in runs]}
    return frame


def _rows(run: Replay) -> Iterator[dict[str, object]]:
    is_report = run.ledger.kind == Kind.REPORT
    length_bytes = run.columns["length_bytes"][is_report]
    size = np.searchsorted(_SMALLEST_BYTES, length_bytes, side="right") - 1
    cell = size * len(Outcome) + run.ledger.outcome[is_report]
    order = np.argsort(cell, kind="stable")
    found, first = np.unique(cell[order], return_index=True)
    for code, rows in zip(found.tolist(), np.split(order, first)[1:], strict=True):
        size_index, outcome = divmod(code, len(Outcome))
        yield {
            "smallest_bytes": int(_SMALLEST_BYTES[size_index]),
            "outcome": REPORT_OUTCOMES[Outcome(outcome)],
            "ranges": rows.size,
            "length_bytes": total(length_bytes[rows]),
        }
