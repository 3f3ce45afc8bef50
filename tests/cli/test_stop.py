"""Ctrl-C, `kill` and a terminal that goes away, as a command hears them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from tests.study.dask_cluster import wait_for

BUNDLED = Path(__file__).resolve().parents[2] / "traces"

WAIT_S = 60

SLOW = textwrap.dedent(
    """
    import sys, tempfile, time
    from workbench.cli import app

    def slow(arguments):
        with tempfile.TemporaryDirectory():
            print("begun", flush=True)
            try:
                time.sleep(600)  # Its work: nobody waits for the end of it.
            finally:
                time.sleep(float(sys.argv[1]))  # Its tidying.

    # Through the real door, with this in place of all commands.
    command = app.typer.main.get_command(app._root)
    command.main = lambda **options: slow(options)
    app.typer.main.get_command = lambda root: command
    app.main()
    """
)
"""A command that tidies up slowly."""


@pytest.fixture
def slow(tmp_path):
    """Begin it, and wait until it is at work."""
    running = []

    def begin(tidying_s=0.0, *, before=()):
        process = subprocess.Popen(
            [*before, sys.executable, "-c", SLOW, str(tidying_s)],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout.readline() == "begun\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_in_good_order(slow, tmp_path, number):
    process = slow()
    process.send_signal(number)
    _, said = process.communicate(timeout=WAIT_S)

    assert (process.returncode, said) == (130, "workbench: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_an_impatient_finger_does_not_cut_the_tidying_short(slow, tmp_path):
    process = slow(0.3)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)  # Between two presses.
    said = process.stderr.read()

    assert (process.returncode, said) == (130, "workbench: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_who_means_it_gets_away(slow):
    """Two seconds later it is another wish."""
    process = slow(600)
    process.send_signal(signal.SIGINT)
    time.sleep(2)  # Longer than what comes at once counts as one wish.
    process.send_signal(signal.SIGINT)

    assert process.wait(WAIT_S) == 130


def test_what_the_caller_had_ignored_stays_ignored(slow):
    process = slow(before=["nohup"])
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)

    assert process.wait(WAIT_S) == 130


@pytest.mark.parametrize("at_work_s", [1, 4])
def test_kernels_end_with_it(tmp_path, at_work_s):
    """Left to listen itself, nbclient leaves a kernel, or never ends."""
    command = [sys.executable, "-m", "workbench", "notebooks", "--execute"]
    trace = BUNDLED / "churn-on.trace"
    with subprocess.Popen(
        [*command, "-o", tmp_path / "written", "--trace", trace],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        own = psutil.Process(process.pid)
        wait_for(own.children, "no kernel was begun")
        # When it is interrupted is what is tested: 1 s later a kernel begins, 4 s later it works.
        time.sleep(at_work_s)
        kernels = own.children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WAIT_S)

    assert kernels
    assert (process.returncode, said) == (130, "workbench: interrupted\n")
    assert not any(kernel.is_running() for kernel in kernels)
    assert [path.name for path in tmp_path.iterdir()] == ["written"]
