"""A setting that differs from the capture by a nanosecond is answered as the capture was.

No live run is needed to know what that guest would have done: its demand, placed anew, has to come
out where it was.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.measure import metrics
from workbench.replay import Guest, replay
from workbench.trace import read_trace

BUNDLED = Path(__file__).resolve().parents[2] / "traces"

NEARNESS = {
    "resident_bytes_mean": 0.025,  # Passes leave something over by their small blocks.
    "resident_bytes_peak": 0.01,
    "resident_bytes_final": 0.001,
}


@pytest.mark.parametrize(
    "name",
    [
        "churn-init-on-free",
        "churn-on",
        "churn-order0",
        "file-cache-on",
        "file-cache-order0",
        "fragment-order0",
        "fragment-order9",
        "migration-order0",
        "staircase-mid-life",
        "staircase-order0",
        "staircase-two-guests",
    ],
)
def test_a_delay_longer_by_a_nanosecond_changes_next_to_nothing(name: str) -> None:
    """All that report, do not swap, and are not poisoned, which no longer delay can answer."""
    trace = read_trace(BUNDLED / f"{name}.trace")
    delay_ns = trace.manifest.virtual_machines[0].guest.reporting_delay_ns
    assert delay_ns is not None
    captured = metrics(replay(trace))
    placed = metrics(replay(trace, guest=Guest(reporting_delay_ns=delay_ns + 1)))

    for metric, nearness in NEARNESS.items():
        expected = captured[metric]["value"]
        assert placed[metric]["value"] == pytest.approx(expected, rel=nearness), metric
