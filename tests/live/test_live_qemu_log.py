"""One run of a guest, captured by eBPF and logged by QEMU itself: both tell the same.

What the log can know is every discard, its element, and what the driver wrote to the status.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from workbench.capture.recorder import Capture
from workbench.lab import LabSettings, load_scenario, run_lab
from workbench.lab.settings import QUIET_S
from workbench.measure import metrics, totals
from workbench.measure.dictionary import KNOWN_WITHOUT_FAULTS
from workbench.replay import replay
from workbench.schema import NO_ELEMENT, Kind
from workbench.trace import Trace, read_trace
from workbench.trace.qemu_blocks import ONLY
from workbench.trace.qemu_log import LogOptions, import_qemu_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

PLACE = ("vm", "ram_block", "offset_bytes", "length_bytes", "status", "element")

SLOWER_NS = 2_000_000_000
"""How much later than the other one of two observers may see something, on a loaded host."""


def events(trace: Trace, kind: Kind, *names: str) -> list[tuple[int, ...]]:
    """The columns of one kind of event, in order."""
    columns = trace.columns("events")
    rows = columns["kind"] == kind
    return list(zip(*(columns[name][rows].tolist() for name in names), strict=True))


def first_address(log: Path) -> int:
    """Where QEMU's memory was first discarded, read with nothing of what is tested."""
    found = re.search(r"pc\.ram@(0x[0-9a-f]+)", log.read_text())
    assert found is not None
    return int(found[1], 16)


def test_an_imported_log_agrees_with_the_capture_of_the_same_run(tmp_path: Path) -> None:
    """Discards in order, their elements, and every metric that needs no faults are equal.

    The host base is no secret of the capture's: a monitor answers it.  Here it is what puts the
    first discard where the capture saw it, and all others have to follow.
    """
    settings = LabSettings(scenario=load_scenario("quick"), settle_s=QUIET_S)
    run_lab(
        settings, tmp_path / "ebpf.trace", capture=Capture, command="a test", qemu_logs=tmp_path
    )
    captured = read_trace(tmp_path / "ebpf.trace")
    discards = events(captured, Kind.DISCARD, *PLACE)
    log = tmp_path / f"{captured.manifest.virtual_machines[0].name}.log"
    base = first_address(log) - discards[0][PLACE.index("offset_bytes")]
    options = LogOptions({ONLY: settings.memory_bytes}, {ONLY: base})
    import_qemu_log(log, tmp_path / "log.trace", options)
    imported = read_trace(tmp_path / "log.trace")

    assert events(imported, Kind.DISCARD, *PLACE) == discards != []
    assert all(row[PLACE.index("element")] != NO_ELEMENT for row in discards)
    assert events(imported, Kind.REPORT, *PLACE) == events(captured, Kind.REPORT, *PLACE)

    # QEMU writes its log from before the capture attaches until after it has ended.
    status, logged = (events(trace, Kind.STATUS, "status") for trace in (captured, imported))
    assert status != []
    assert any(logged[first:][: len(status)] == status for first in range(len(logged)))

    # The clocks differ by a constant, but for how long the observers take.
    times = [np.array(events(trace, Kind.DISCARD, "time_ns")) for trace in (imported, captured)]
    apart_ns = times[0] - times[1]
    assert apart_ns.max() - apart_ns.min() < SLOWER_NS

    known = KNOWN_WITHOUT_FAULTS - {"model_error_mean", "model_error_final"}
    from_log, from_ebpf = metrics(replay(imported)), metrics(replay(captured))
    assert {name: from_log[name] for name in known} == {name: from_ebpf[name] for name in known}
    assert from_log["discarded_bytes"]["value"] > 0
    assert totals(imported).metrics["discards"] == from_ebpf["discards"]
    assert replay(imported).events["as_captured"]["differing_decisions"] == 0

    unknown = [from_log[name]["value"] for name in from_log.keys() - known]
    assert unknown == [None] * len(unknown)
