"""Regressions planted in the model are found, and the summary's first line says what was lost.

Each is an edit of the source in a copy of the package; what is run is what anybody would run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.synthetic import (
    HUGE,
    PAGE_POISON,
    REPORTING,
    event,
    features,
    given_back,
    machine,
    report,
    touch,
    write_poison,
    write_trace,
)
from workbench.cli.app import run
from workbench.schema import Kind

ROOT = Path(__file__).resolve().parents[2]


class Planted(NamedTuple):
    """An edit of one file of the model, a question that shows it, and the summary's first line."""

    file: str
    edits: dict[str, str]
    trace: str
    settings: tuple[str, ...]
    first_line: str


PLANTED = {
    "every second range is ignored": Planted(
        "run.py",
        {
            "    for row in range(events.kind.size):\n": (
                "    reported = 0\n    for row in range(events.kind.size):\n"
                "        reported += events.kind[row] == REPORT\n"
            ),
            "        else:\n            outcome, surprise = apply_other(": (
                "        elif event.kind == REPORT and reported % 2 == 0:\n"
                "            outcome, surprise = SKIPPED_INHIBITED, NO_SURPRISE\n"
                "        else:\n            outcome, surprise = apply_other("
            ),
        },
        "churn-on",
        (),
        r"Regression: resident_bytes_final of churn-on is 198\.00 MiB more \(\+167\.8 %\)",
    ),
    "a poison value stays after a reset": Planted(
        "device.py",
        {"    device.poison_val[0] = 0\n": "    pass\n"},
        "poisoned-then-reset",
        (),
        r"Regression: reclaimed_bytes of poisoned-then-reset is 2\.00 MiB less \(-100\.0 %\)",
    ),
    "the guest waits 4 s instead of 2": Planted(
        "guest/buddy.py",
        {"+ constants.reporting_delay_ns": "+ 2 * constants.reporting_delay_ns"},
        "churn-on",
        ("--set", "guest.reporting_order=10"),
        r"Regression: drain_seconds of churn-on is 2\.\d\d s more \(\+[\d.]+ %\)",
    ),
}


def replay_in(package: Path, *arguments: object) -> None:
    """Replay with the package in a folder, uncompiled: these traces are small."""
    environment = {**os.environ, "PYTHONPATH": str(package), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "workbench", "replay", *map(str, arguments)]
    subprocess.run(command, env=environment, cwd=package, capture_output=True, check=True)


@pytest.fixture
def changed_package(tmp_path):
    """Copy the package, and make edits in the copy."""

    def change(planted: Planted) -> Path:
        shutil.copytree(
            ROOT / "workbench",
            tmp_path / "changed/workbench",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        path = tmp_path / "changed/workbench/model" / planted.file
        text = path.read_text(encoding="utf-8")
        for old, new in planted.edits.items():
            assert old in text
            # The last one: loops before it are of other functions.
            head, _, tail = text.rpartition(old)
            text = head + new + tail
        path.write_text(text, encoding="utf-8")
        return path.parents[len(Path(planted.file).parts) + 1]

    return change


def trace_of(name: str, folder: Path) -> Path:
    """Find a bundled trace, or write the one of a guest that poisons, is reset, and reports."""
    bundled = ROOT / "traces" / f"{name}.trace"
    if bundled.exists():
        return bundled
    rows = [
        features(0.1, REPORTING | PAGE_POISON),
        write_poison(0.2),
        event(0.3, Kind.RESET),
        features(0.4, REPORTING),
        touch(1, 0),
        *given_back(report(2, 0, HUGE)),
    ]
    return write_trace(folder / f"{name}.trace", rows, machines=[machine()]).path


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_regression_changes_the_verdict_and_is_named(name, changed_package, tmp_path):
    planted = PLANTED[name]
    question = [str(trace_of(planted.trace, tmp_path)), *planted.settings]
    base, new, summary = (str(tmp_path / each) for each in ("base", "new", "summary.md"))
    replay_in(changed_package(planted), *question, "-o", new)

    assert run(["replay", *question, "-o", base]) == 0
    assert run(["compare", base, base]) == 0
    assert run(["compare", base, new, "--markdown", summary]) == 5
    assert re.match(planted.first_line, Path(summary).read_text(encoding="utf-8").splitlines()[0])
