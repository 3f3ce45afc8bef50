"""A real cluster: a scheduler and workers, in processes of their own, over TCP."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client

ROOT = Path(__file__).resolve().parents[2]

WAIT_S = 60

NO_PROFILE = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
"""As docs/capacity.md says of clusters."""


def start(*words, log, pythonpath=ROOT):
    """Start one of Dask's own programs."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                f"distributed.cli.{words[0]}",
                *words[1:],
                "--no-dashboard",
            ],
            env={**os.environ, "PYTHONPATH": str(pythonpath), **NO_PROFILE},
            stdout=output,
            stderr=output,
        )


def wait_for(condition, what):
    """Wait until something is true, or say what is not."""
    for _ in range(WAIT_S * 20):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(what)


@contextlib.contextmanager
def scheduler(folder):
    """Give the address of a scheduler without workers."""
    known = folder / "scheduler.json"
    words = ("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    process = start(*words, "--scheduler-file", str(known), log=folder / "scheduler.log")
    try:
        yield wait_for(
            lambda: (
                known.exists() and known.read_text() and json.loads(known.read_text())["address"]
            ),
            "no scheduler",
        )
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def workers(address, folder, count, pythonpath=ROOT):
    """Give the processes of so many workers that the scheduler knows."""
    options = ("--no-nanny", "--nthreads", "1", "--local-directory", str(folder))
    processes = [
        start(
            "dask_worker",
            address,
            *options,
            log=folder / f"worker-{number}.log",
            pythonpath=pythonpath,
        )
        for number in range(count)
    ]
    try:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=WAIT_S)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
