"""A real guest, captured from its boot, and a second time from the middle of its life.

What the second capture reads of the running device is held against what the first saw happen.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest

from workbench.capture.recorder import Capture
from workbench.lab import LabSettings, load_scenario, run_lab
from workbench.replay import replay
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Feature, Kind
from workbench.trace import Trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.capture.guests import Target
    from workbench.capture.recorder import Origin

pytestmark = pytest.mark.live

POISON = 0xAAAAAAAA
FIRST_FREE = 3
"""The step of the scenario `quick` that comes after its first pages were freed and reported."""


class Twice:
    """A capture, and from a step of the scenario on a second one beside it."""

    def __init__(self, targets: Sequence[Target], output: Path, origin: Origin) -> None:
        self._whole = Capture(targets, output, origin)
        self._late = Capture(targets, output.with_suffix(".late"), origin)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin the first."""
        self._stack.enter_context(self._whole)
        return self

    def __exit__(self, *exception: object) -> None:
        """End both, the second first."""
        self._stack.close()

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """Begin the second, once."""
        self._whole.mark(vm, step, time_ns)
        if step == FIRST_FREE:
            self._stack.enter_context(self._late)

    def guest_sample(
        self, vm: int, time_ns: int, guest_time_ns: int, free_blocks: Sequence[int]
    ) -> None:
        """Pass it on."""
        self._whole.guest_sample(vm, time_ns, guest_time_ns, free_blocks)


def elements(trace: Trace) -> int:
    """How many elements the driver reported."""
    events = trace.columns("events")
    return np.unique(events["element"][events["kind"] == Kind.REPORT]).size


def last_status(trace: Trace, kind: Kind, before_ns: int, offset_bytes: int = 0) -> int:
    """What the last event of a kind before a time said."""
    events = trace.columns("events")
    chosen = (events["kind"] == kind) & (events["time_ns"] < before_ns)
    chosen &= events["offset_bytes"] == offset_bytes
    return int(events["status"][chosen][-1])


def test_a_late_capture_reads_what_an_early_one_saw(tmp_path: Path) -> None:
    """Features, poison value, how far the queue had come; and both replay to the page."""
    settings = LabSettings(
        scenario=load_scenario("quick"), poison=POISON, free_page_hint=True, settle_s=4.0
    )
    run_lab(settings, tmp_path / "whole.trace", capture=Twice, command="a test")
    whole, late = read_trace(tmp_path / "whole.trace"), read_trace(tmp_path / "whole.late")
    machine, start_ns = late.manifest.virtual_machines[0], late.manifest.start_time_ns
    poison_val = last_status(whole, Kind.CONFIG_WRITE, start_ns, CONFIG_POISON_OFFSET_BYTES)
    elements_before = elements(whole) - elements(late)

    assert machine.features == last_status(whole, Kind.FEATURES, start_ns)
    assert machine.features >> Feature.FREE_PAGE_HINT & 1
    assert machine.poison_val == poison_val == POISON
    assert machine.reporting_queue is not None
    assert machine.reporting_queue.used_idx == machine.reporting_queue.last_avail_idx
    # An element that came while the second capture began is in its count as well.
    assert 0 < elements_before <= machine.reporting_queue.used_idx <= elements(whole)
    assert machine.hint_queue is not None
    assert machine.hint_queue.last_avail_idx == machine.hint_cmd_id == 0
    for trace in (whole, late):
        run = replay(trace)
        assert trace.manifest.lost_events == 0
        assert run.model_error["resident_bytes"]["final_pages"] == 0
        assert run.events["discarded"] == 0
        assert run.events["skipped"]["poisoned"] == run.events["ranges"]
