"""`workbench lab overcommit` on real guests and real swap: interrupted, then gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli.app import INTERRUPTED
from workbench.errors import HostError
from workbench.lab.host import CGROUPS, PAGE_CLUSTER
from workbench.schema import Kind
from workbench.trace import read_trace
from workbench.units import PAGE_BYTES

pytestmark = pytest.mark.live

SCENARIO = """
host guests 2
host memory-limit 430M
host swap 1G
host page-cluster 5
take kept 32M
repeat 2 {
    take work 96M
    free work
    idle 4
}
touch kept
"""

END_SECONDS_MAX = 300

ATTEMPTS = 3
"""Linux may kill a guest of an overcommitted cgroup although swap is free; the command says so, and
makes that run when it is given again."""


def start(folder: Path) -> subprocess.Popen[str]:
    """Begin, or go on with, the runs in a folder."""
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "workbench", "lab", "overcommit", str(folder / "x.scenario")]
    command += ["--repeats", "1", "-o", str(folder / "out"), "--json"]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(folder)}
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def host_state(folder: Path) -> dict[str, object]:
    """What a run changes on its host and makes there, but for what runs beside it may share."""
    groups = [*CGROUPS.glob("memory/workbench-lab-*"), *CGROUPS.glob("workbench-lab-*")]
    return {
        "page cluster": PAGE_CLUSTER.read_text("utf-8"),
        "groups": sum((folder / group.name).exists() for group in groups),
        "swap devices": len(Path("/proc/swaps").read_text("utf-8").splitlines()) - 1,
        "files": len(list(folder.glob("workbench-lab-*"))),
    }


def test_an_interrupted_series_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C in the second run; given again, the command makes that one and counts both."""
    (tmp_path / "x.scenario").write_text(SCENARIO, "utf-8")
    before = host_state(tmp_path)
    heard: list[str] = []
    with start(tmp_path) as process:
        for line in process.stderr or ():
            heard.append(line)
            if "step 3 of" in line and (tmp_path / "out/on-01.trace").exists():
                break
        during = host_state(tmp_path)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=END_SECONDS_MAX)
    assert process.returncode == INTERRUPTED, "".join(heard)
    after = host_state(tmp_path)
    for _ in range(ATTEMPTS):
        with start(tmp_path) as process:
            out, said = process.communicate(timeout=END_SECONDS_MAX)
        if process.returncode != HostError.exit_code:
            break
    assert process.returncode == 0, said
    first, second = json.loads(out)["runs"]
    trace = read_trace(tmp_path / "out/off-01.trace")
    events, last = (
        trace.columns("events"),
        {name: int(values[-1]) for name, values in trace.columns("samples").items()},
    )
    is_reclaim = events["kind"] == Kind.RECLAIM

    assert (during["groups"], during["page cluster"]) == (1, "5\n")
    assert during["swap devices"] == before["swap devices"] + 1
    assert after == before
    assert "run 1 of 2: on, repeat 1: is there" in said
    assert (first["setting"], second["setting"]) == ("on", "off")
    assert second["pswpout"] >= sum(guest["swap_out_pages"] for guest in second["guests"]) > 0
    assert (events["kind"] == Kind.SWAP_OUT).any()
    # A guest in a full memory cgroup has to make room for itself.
    assert events["length_bytes"][is_reclaim].sum() > 0
    assert events["duration_ns"][is_reclaim].sum() > 0
    # Alone on its host they are equal; another's swap may have come after the capture began.
    assert 0 < last["swap_read_bytes"] <= last["swap_in_pages"] * PAGE_BYTES
    assert 0 < last["swap_written_bytes"] <= last["swap_out_pages"] * PAGE_BYTES
    assert host_state(tmp_path) == before
