"""Replays batch by batch come to what replays of the whole trace come to, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.measure import metrics, totals
from workbench.replay import Device, Guest, Host, Settings, UnanswerableError, replay
from workbench.trace import read_trace
from workbench.units import MIB

TRACES = sorted((Path(__file__).parents[2] / "traces").glob("*.trace"))
AS_CAPTURED = Settings()
INHIBITED = Settings(device=Device(discard_inhibited=True))
POISONED = Settings(guest=Guest(poison_val=0xAA))
PRESSED = Settings(host=Host(memory_bytes=100 * MIB, reclaim="two-list"))
LEAST_RECENT = Settings(
    host=Host(memory_bytes=100 * MIB, reclaim="least-recent", swap="ssd", page_cluster=3)
)

pytestmark = pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)


def added(path, entries):
    """The metrics that add up: all but drains, and what is about migrations where there is one."""
    left_out = ("drain_seconds", "migration_") if "migration" in path.stem else ("drain_seconds",)
    return {name: entry for name, entry in entries.items() if not name.startswith(left_out)}


def of_all(path, settings):
    """What a replay of the whole trace says."""
    run = replay(read_trace(path), settings=settings)
    document = run.to_dict()
    return {
        "metrics": added(path, metrics(run)),
        "events": document["events"],
        "notes": document["identifiable"]["notes"],
        "model_error": {k: v for k, v in document["model_error"].items() if k != "host"},
    }


def of_batches(path, settings, row_count):
    """What a replay in batches says of the same."""
    document = totals(read_trace(path), settings=settings, row_count=row_count).to_dict()
    return {
        "metrics": added(path, document["metrics"]),
        "events": document["events"],
        "notes": document["identifiable"]["notes"],
        "model_error": document["model_error"],
    }


@pytest.mark.parametrize("row_count", [997, 20_000, 1 << 20])
def test_as_captured(path, row_count):
    assert of_batches(path, AS_CAPTURED, row_count) == of_all(path, AS_CAPTURED)


@pytest.mark.parametrize("settings", [INHIBITED, POISONED], ids=["inhibited", "poisoned"])
def test_a_device_that_decides_otherwise(path, settings):
    if path.stem.startswith("pressure"):
        with pytest.raises(UnanswerableError, match=r"how much memory the host had .* at once"):
            of_batches(path, settings, 5_000)
    else:
        assert of_batches(path, settings, 5_000) == of_all(path, settings)


@pytest.mark.parametrize("settings", [PRESSED, LEAST_RECENT], ids=["two lists", "least recent"])
def test_a_host_of_another_size(path, settings):
    if path.stem.endswith("-off") or path.stem == "migration-hinting":
        assert of_batches(path, settings, 5_000) == of_all(path, settings)
    else:
        with pytest.raises(UnanswerableError, match="what is free in a guest that reports"):
            of_batches(path, settings, 5_000)


def test_a_guest_that_reports_otherwise_needs_all_of_the_trace(path):
    settings = Settings(guest=Guest(reporting_order=5))
    if path.stem == "pressure-off":
        with pytest.raises(UnanswerableError, match="how much memory the host had"):
            of_batches(path, settings, 5_000)
    elif path.stem.endswith("-off"):  # A guest that does not report does not notice.
        assert of_batches(path, settings, 5_000) == of_all(path, settings)
    else:
        with pytest.raises(UnanswerableError, match=r"placed anew: .* at once"):
            of_batches(path, settings, 5_000)
