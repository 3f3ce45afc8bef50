"""A capture that costs more than it may records less, says so, and still counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.capture.qtest import VERSION_1, halted_machine
from tests.capture.segments import rows
from workbench.capture.guests import Target
from workbench.capture.recorder import Capture, Origin
from workbench.replay import UnanswerableError, replay
from workbench.schema import Detail, Feature, Kind
from workbench.trace import read_trace
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

FEATURES = VERSION_1 | 1 << Feature.REPORTING
FIRST = 16 * MIB

NOTHING = 1e-6
"""Of a processor: every capture takes more."""

PATIENCE_S = 60.0


def test_ranges_become_counts_and_counts_samples(tmp_path: Path) -> None:
    """What is reported at lower detail is counted, in all its bytes; in the end there are samples.

    The trace answers no question, and says what part of it would.
    """
    output = tmp_path / "x.trace"
    with halted_machine(tmp_path) as (process, device):
        device.set_up(FEATURES)
        target = [Target(pid=process.pid)]
        with Capture(target, output, Origin(command="test"), budget=NOTHING) as recording:
            device.report([(FIRST, PAGE_BYTES)])
            said = [next_sentence(recording)]
            device.report([(FIRST, PAGE_BYTES), (FIRST, 2 * PAGE_BYTES)])
            said.append(next_sentence(recording))
            device.report([(FIRST, PAGE_BYTES)])
            time.sleep(1.5)  # As long as it takes to measure and write once more.
    trace = read_trace(output)
    samples = trace.columns("samples")["time_ns"]
    lowered = rows(trace, Kind.DETAIL, "time_ns", "status")
    counted = rows(trace, Kind.COUNTED, "status", "offset_bytes", "length_bytes")

    assert ["how many ranges" in said[0], "only samples" in said[1]] == [True, True]
    assert [status for _, status in lowered] == [Detail.COUNTS, Detail.SAMPLES]
    assert rows(trace, Kind.REPORT, "offset_bytes") == [(FIRST,)]
    assert (Kind.REPORT, 2, 3 * PAGE_BYTES) in counted
    assert (Kind.DISCARD, 2, 3 * PAGE_BYTES) in counted
    assert samples.max() > lowered[1][0]
    with pytest.raises(UnanswerableError, match="slice --to"):
        replay(trace)


def next_sentence(recording: Capture) -> str:
    """What the capture says next."""
    return recording.news.get(timeout=PATIENCE_S)
