"""The whole path on a real guest: boot, capture, replay, compare.

CI runs this with WORKBENCH_REQUIRE=live, so that a host that cannot do it fails instead of skips.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

import numpy as np
import pytest

from workbench.capture.recorder import Capture
from workbench.cli import app
from workbench.cli.notebook import bundled_notebooks
from workbench.lab import LabSettings, load_scenario, run_lab
from workbench.measure import metrics
from workbench.replay import Device, Guest, replay
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Feature, Kind
from workbench.trace import Trace, read_trace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

SEED_VARIABLE = "WORKBENCH_SEED"
"""Set it to the number that a failed run names, to run the same scenario again."""

POISON = 0xAAAAAAAA


def capture(path: Path, settings: LabSettings) -> Trace:
    """Run a guest of the lab and read what was captured."""
    run_lab(settings, path, capture=Capture, command="a test")
    return read_trace(path)


def count(trace: Trace, kind: Kind) -> int:
    """How many events of a kind a trace has."""
    return int(np.count_nonzero(trace.columns("events")["kind"] == kind))


def poison_values(trace: Trace) -> list[int]:
    """What was written to poison_val, in order."""
    events = trace.columns("events")
    is_poison = events["offset_bytes"] == CONFIG_POISON_OFFSET_BYTES
    written: list[int] = events["status"][
        (events["kind"] == Kind.CONFIG_WRITE) & is_poison
    ].tolist()
    return written


def features(trace: Trace) -> int:
    """The features in force when the driver was last ready."""
    events = trace.columns("events")
    return int(events["status"][events["kind"] == Kind.FEATURES][-1])


def assert_other_settings_are_right(trace: Trace, again: str) -> None:
    """What hardly differs from the capture is answered much as it was; reporting saves memory."""
    delay_ns = trace.manifest.virtual_machines[0].guest.reporting_delay_ns
    assert delay_ns is not None
    almost = Guest(reporting_delay_ns=delay_ns + 1)
    asked = ({}, {"guest": almost}, {"device": Device(free_page_reporting=False)})
    runs = [metrics(replay(trace, **settings)) for settings in asked]
    captured, same, without = (found["resident_bytes_mean"]["value"] for found in runs)

    assert same == pytest.approx(captured, rel=0.1), again
    assert without > captured, again


def test_a_scenario_nobody_has_seen_is_replayed_to_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new scenario at every run: exact at the last quiet sample, 0.5 % of the peak on average.

    The whole path as a user goes it: `workbench live`, what its document says, and the notebooks
    about the fresh capture.
    """
    seed = os.environ.get(SEED_VARIABLE) or str(secrets.randbits(32))
    code = app.run(["live", "--seed", seed, "-o", str(tmp_path / "out"), "--json"])
    said = capsys.readouterr()
    again = f"to run it again: {SEED_VARIABLE}={seed}\n{said.err}"
    assert code == 0, again
    document = json.loads(said.out)
    trace = read_trace(document["trace"])
    error, events = document["model_error"], document["events"]

    assert trace.manifest.lost_events == 0, again
    assert error["quiet_samples"] > 0, again
    assert error["resident_bytes"]["final_pages"] == 0, again
    assert error["resident_bytes"]["mean"] < 0.005, again
    assert events["as_captured"]["differing_decisions"] == 0, again
    assert events["discarded"] == count(trace, Kind.DISCARD) > 0, again
    assert_other_settings_are_right(trace, again)

    about = ("--trace", document["trace"], "-o", str(tmp_path / "notebooks"))
    code = app.run(["notebooks", *about, "--execute"])
    assert code == 0, f"{again}\n{capsys.readouterr().err}"
    assert len(list((tmp_path / "notebooks").glob("*.html"))) == len(bundled_notebooks()), again


def test_an_init_on_free_guest_gives_everything_back(tmp_path: Path) -> None:
    """It negotiates PAGE_POISON with the value 0, and every reported range is discarded."""
    settings = LabSettings(scenario=load_scenario("quick"), poison="init_on_free")
    trace = capture(tmp_path / "x.trace", settings)
    run = replay(trace)

    assert features(trace) >> Feature.PAGE_POISON & 1
    assert run.events["discarded"] == run.events["ranges"] == count(trace, Kind.DISCARD) > 0
    assert run.model_error["resident_bytes"]["final_pages"] == 0


def test_a_poison_value_stops_every_discard(tmp_path: Path) -> None:
    """The guest goes on reporting; QEMU discards nothing, and the replay knows why."""
    settings = LabSettings(scenario=load_scenario("quick"), poison=POISON)
    trace = capture(tmp_path / "x.trace", settings)
    run = replay(trace)

    assert poison_values(trace)[-1] == POISON
    assert count(trace, Kind.DISCARD) == 0
    assert run.events["skipped"]["poisoned"] == run.events["ranges"] > 0
    assert run.model_error["resident_bytes"]["final_pages"] == 0


def test_a_host_that_locked_the_memory_refuses_every_discard(tmp_path: Path) -> None:
    """QEMU tries and says so; the guest's memory stays, all of it from the start."""
    settings = LabSettings(scenario=load_scenario("quick"), lock_memory=True)
    run = replay(capture(tmp_path / "x.trace", settings))

    assert run.events["discarded"] == 0
    assert metrics(run)["discards_failed"]["value"] == run.events["ranges"] > 0
    assert metrics(run)["resident_bytes_final"]["value"] == settings.memory_bytes
    assert run.model_error["resident_bytes"]["final_pages"] == 0
