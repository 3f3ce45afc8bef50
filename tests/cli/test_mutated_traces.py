"""Traces damaged at random: every command ends with an answer or with one sentence.

CI takes a few, other ones every time.  WORKBENCH_MUTATIONS=10000 takes more;
WORKBENCH_SEED=N WORKBENCH_MUTATION=M repeats one that failed.
"""

from __future__ import annotations

import collections
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

COUNT = int(os.environ.get("WORKBENCH_MUTATIONS", "300"))
SEED = int(os.environ.get("WORKBENCH_SEED") or secrets.randbits(32))
ONLY = os.environ.get("WORKBENCH_MUTATION")

LONGEST_S = 300.0
"""A command that takes longer hangs: whole, these traces take a second."""

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A process that damages traces; it may die or hang."""

    def __init__(self, first: int, stop: int) -> None:
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutations.worker", str(SEED), str(first), str(stop)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self.lines.put(line)
        self.lines.put(None)

    def next(self) -> dict[str, Any] | None:
        """Give what it says next; None once it has ended.  Raises `queue.Empty` where it hangs."""
        line = self.lines.get(timeout=LONGEST_S)
        return None if line is None else json.loads(line)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def code(self) -> int:
        """Wait for its end, and give its exit code."""
        code = self._process.wait()
        self._listener.join()
        if self._process.stdout:
            self._process.stdout.close()
        return code


def run_mutations(first: int, stop: int) -> tuple[list[str], collections.Counter[str]]:
    """Give what went wrong, and how often each command ended with each exit code."""
    findings: list[str] = []
    counts: collections.Counter[str] = collections.Counter()
    while first < stop:
        worker = Worker(first, stop)
        last: dict[str, Any] = {"begins": first, "damage": [], "command": "warm-up"}
        try:
            while (said := worker.next()) is not None:
                last = said
                if "ended" in said:
                    counts.update([f"{said['command'][0]} {said['code']}"])
                    if said["fault"]:
                        findings.append(f"mutation {said['ended']}: {said}")
        except queue.Empty:
            worker.kill()
            findings.append(f"hangs: {last}")
        code = worker.code()
        if code == 0:
            break
        if "begins" in last:
            findings.append(f"died with {code}: {last}")
        first = int(last.get("begins", last.get("ended"))) + 1
    return findings, counts


def test_no_damaged_trace_makes_a_command_crash_hang_or_fill_memory() -> None:
    first, stop = (int(ONLY), int(ONLY) + 1) if ONLY else (0, COUNT)
    findings, counts = run_mutations(first, stop)

    print(f"seed {SEED}: {dict(sorted(counts.items()))}")  # noqa: T201
    assert sum(counts.values()) >= 2 * (stop - first) or findings
    if not ONLY:
        assert counts["info 0"]
        assert counts["info 3"]
    assert not findings, f"WORKBENCH_SEED={SEED}\n" + "\n".join(findings[:40])
