"""A type checker knows what the package gives to those who use it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import workbench as wb

trace = wb.read_trace("x.trace")
run = wb.replay(trace, guest=wb.Guest(poison_val=1), progress=False)
reveal_type(trace)
reveal_type(trace.columns("events"))
reveal_type(trace.frame("events"))
reveal_type(run)
reveal_type(run.final_resident_bytes)
reveal_type(run.model_error)
reveal_type(wb.replay_all(trace, [run.settings]))
reveal_type(wb.compare(run, run))
reveal_type(wb.curve(trace).bytes_for(100))
reveal_type(wb.totals(trace).metrics)
reveal_type(wb.measure.metrics(run)["refaults"]["value"])
reveal_type(wb.measure.memory_over_time(run))
reveal_type(wb.plot.resident_memory(run))
"""

WRONG = """
import workbench as wb

wb.repaly
wb.plot.resident_memry
wb.Guest(posion_val=1)
wb.replay(wb.read_trace("x.trace"), gest=None)
wb.replay("x.trace")
"""


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Check a script as strictly as the project checks itself, and give what mypy says."""
    folder = tmp_path_factory.mktemp("user")

    def run(code):
        (folder / "script.py").write_text(code, encoding="utf-8")
        mypy = (sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml")
        done = subprocess.run(
            [*mypy, folder / "script.py"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return [line for line in done.stdout.splitlines() if "script.py" in line]

    return run


def test_what_is_given_has_a_type(check):
    said = check(SCRIPT)
    revealed = [re.search(r'Revealed type is "(.*)"', line)[1] for line in said]

    assert len(revealed) == SCRIPT.count("reveal_type")
    assert [each for each in revealed if re.fullmatch(r"(builtins\.)?(Any|object)", each)] == []
    for each, expected in zip(
        revealed,
        (
            *("Trace", "dict", "DataFrame", "Replay", "int", "dict", "list", "MetricFrame"),
            *("int | None", "Metrics", "float | ", "DataFrame", "Figure"),
        ),
        strict=True,
    ):
        assert expected in each


def test_a_wrong_name_is_found_before_anything_runs(check):
    said = check(WRONG)
    lines = {re.search(r"script\.py:(\d+)", line)[1] for line in said if "error" in line}

    assert lines == {str(number) for number in range(4, 9)}
