"""`workbench conform`: how it ends, when it is interrupted, killed or robbed of a worker."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.test_conform import QUICK, is_a_sentence

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60.0
"""Nothing here takes a tenth of it on a machine that has nothing else to do."""
POLL_S = 0.02
POOL_PAGES = 5

COMMAND = """
import dataclasses, functools, pathlib, signal, sys
from workbench.cli.app import run
from workbench.validation import conform, corpus, huge_pages
signal.signal(signal.SIGINT, signal.default_int_handler)
pool = pathlib.Path(sys.argv[1])
conform.huge_pages = functools.partial(huge_pages.huge_pages, pool=pool)
corpus.BUNDLED = "absent"
reporting = dataclasses.replace(conform.KINDS["reporting"], needs=frozenset({"huge pages"}))
conform.KINDS = conform.KINDS | {"reporting": reporting}
sys.exit(run(sys.argv[2:]))
"""
"""The command: interruptible, with a file for a pool of huge pages, and nothing stored.

Huge pages are borrowed for a kind whose machines take none, because there are none."""


def read_to_the_end(terminal):
    """Read what is shown on a terminal until nobody is left to write."""
    shown = b""
    with contextlib.suppress(OSError):  # What a terminal says instead of an end.
        while piece := os.read(terminal, 1 << 16):
            shown += piece
    os.close(terminal)
    return shown.decode()


class Running:
    """The command in a process of its own, with folders of its own."""

    def __init__(self, folder, *arguments, stderr=subprocess.PIPE):
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.pool = folder / "pool"
        self.pool.write_text(str(POOL_PAGES))
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(self.pool), "conform", *arguments],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def processes(self, name=""):
        """Find our processes by their environment, those of a program (`name`) or all."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                mine = folder.name.isdigit() and mark in (folder / "environ").read_bytes()
                if mine and (folder / "comm").read_text("utf-8").startswith(name):
                    found.append(int(folder.name))
            except OSError:
                continue  # It is another user's, or has ended.
        return found

    def wait_until(self, holds):
        """Wait for a condition."""
        deadline = time.monotonic() + SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(POLL_S)

    def interrupt(self, *, everybody):
        """Do what Ctrl-C does, to the command and all that it has started, or to it alone."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if everybody else os.kill)(self.process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.3)

    def wait_for_qemus(self, count):
        self.wait_until(lambda: len(self.processes("qemu")) >= count)


LONG = ("--kind", "reporting", "--seed", "s", "--workers", "2", "--count", "1000000")
"""Longer than anybody waits."""


@pytest.mark.qemu
class TestEnding:
    @pytest.mark.parametrize(("times", "everybody"), [(1, True), (2, False)])
    def test_an_interrupt_leaves_nothing(self, tmp_path, times, everybody):
        """No QEMU, no worker, no folder, no huge page; also where somebody is impatient."""
        with Running(tmp_path, *LONG) as running:
            running.wait_for_qemus(2)
            borrowed = int(running.pool.read_text()) - POOL_PAGES
            for _ in range(times):
                running.interrupt(everybody=everybody)
            out, err = running.process.communicate(timeout=SECONDS_MAX)
            running.wait_until(lambda: not running.processes())

            assert running.process.returncode == 130
            assert out == ""
            assert re.fullmatch(
                r"(until then: [\d,]+ programs .*seed s\n)?workbench: interrupted\n", err
            )
            assert borrowed > 0
            assert int(running.pool.read_text()) == POOL_PAGES
            assert list(running.temporary.iterdir()) == []
            assert not (tmp_path / "conform-corpus").exists()

    def test_a_kill_leaves_no_process(self, tmp_path):
        """Nobody is left who could clean up: processes end by themselves."""
        with Running(tmp_path, *LONG) as running:
            running.wait_for_qemus(2)
            running.process.kill()
            running.wait_until(lambda: not running.processes("qemu"))
            running.wait_until(lambda: not running.processes())

    def test_a_run_that_has_nothing_to_do_ends(self, tmp_path):
        """Its only kind is left out: it does not wait for the time to pass, or for ever."""
        with Running(tmp_path, "--kind", "huge pages", "--seconds", "1s") as running:
            running.pool.unlink()
            _, err = running.process.communicate(timeout=SECONDS_MAX)

            assert (running.process.returncode, "cannot set aside" in err) == (4, True)

    def test_a_killed_worker_is_told(self, tmp_path):
        """As when the host runs out of memory: one sentence, and no QEMU without its worker."""
        with Running(tmp_path, *LONG) as running:
            running.wait_for_qemus(2)
            parent = (Path("/proc") / str(running.processes("qemu")[0]) / "stat").read_text()
            os.kill(int(parent.rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
            out, err = running.process.communicate(timeout=SECONDS_MAX)

            assert (running.process.returncode, out) == (4, "")
            assert is_a_sentence(err)
            assert running.processes() == []
            assert int(running.pool.read_text()) == POOL_PAGES

    def test_stdout_is_one_document_whatever_a_terminal_shows(self, tmp_path):
        """A bar is drawn on stderr."""
        ours, theirs = pty.openpty()
        arguments = (*QUICK, "--kind", "reporting", "--json")
        with (
            ThreadPoolExecutor() as threads,
            Running(tmp_path, *arguments, stderr=theirs) as running,
        ):
            os.close(theirs)
            # Whoever does not read a terminal stops those who write to it.
            shown = threads.submit(read_to_the_end, ours)
            out, _ = running.process.communicate(timeout=SECONDS_MAX)

        assert running.process.returncode == 0
        assert json.loads(out)["programs"] > 30
        assert "programs" in shown.result()
