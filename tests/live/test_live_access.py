"""The accesses of a real guest, recorded by QEMU's plugin and written among the other events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from workbench.capture.access import ACCESS_INTERVAL_NS, ACCESS_SOURCE
from workbench.capture.recorder import Capture
from workbench.lab import LabSettings, parse_scenario, run_lab
from workbench.replay import replay
from workbench.schema import FaultFlag, Kind
from workbench.trace import read_trace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

SAMPLES_MAX = 5
"""A busy host takes a sample late; then an access is written down later, but it is."""


def test_every_page_the_guest_faulted_on_was_accessed(tmp_path: Path) -> None:
    """A write fault is followed by a written page; the replay is as exact as without.

    From the first step on: before, QEMU's firmware device copies the kernel into guest RAM, and a
    device's writes are not marked.
    """
    scenario = parse_scenario("take a 32M\nfree a\nidle 3\n", name="access")
    settings = LabSettings(scenario=scenario, record_access=True, settle_s=4.0)
    run_lab(settings, tmp_path / "x.trace", capture=Capture, command="a test")
    trace = read_trace(tmp_path / "x.trace")
    events = trace.columns("events")
    is_access = events["kind"] == Kind.ACCESS
    last_ns = events["time_ns"][is_access].max() - SAMPLES_MAX * ACCESS_INTERVAL_NS
    is_write = (events["kind"] == Kind.FAULT) & (events["status"] & FaultFlag.WRITE != 0)
    first_ns = events["time_ns"][events["kind"] == Kind.MARKER].min()
    is_between = (events["time_ns"] > first_ns) & (events["time_ns"] < last_ns)
    writes = np.flatnonzero(is_write & is_between)

    assert trace.manifest.access_interval_ns == ACCESS_INTERVAL_NS
    assert trace.manifest.access_source == ACCESS_SOURCE
    assert writes.size > 0
    for row in writes:
        later_ns = events["time_ns"] - events["time_ns"][row]
        distance = events["offset_bytes"][row] - events["offset_bytes"]
        seen = is_access & (events["status"] == 1) & (later_ns >= 0)
        seen &= later_ns <= SAMPLES_MAX * ACCESS_INTERVAL_NS
        assert (seen & (distance >= 0) & (distance < events["length_bytes"])).any()
    assert (np.diff(events["time_ns"]) >= 0).all()
    assert replay(trace).model_error["resident_bytes"]["final_pages"] == 0
