"""Compiled or not, commands print the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRACES = Path(__file__).parents[2] / "traces"


def printed(arguments, **environment):
    """What a command prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *arguments, "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "churn-on"],
        ["replay", "churn-off", "--set", "host.memory_bytes=60MiB"],
        ["replay", "churn-order0", "--set", "guest.reporting_order=5"],
        ["replay", "churn-off", "--totals", "--set", "host.memory_bytes=60MiB"],
        ["curve", "churn-off"],
    ],
    ids=" ".join,
)
def test_compiled_or_not_the_bytes_are_the_same(arguments):
    command, name, *rest = arguments
    arguments = [command, str(TRACES / f"{name}.trace"), *rest]

    assert printed(arguments, NUMBA_DISABLE_JIT="1") == printed(arguments)
