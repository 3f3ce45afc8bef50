"""However `workbench sweep` ends, what was finished is kept, and nobody is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_study_commands import STUDY, write_study
from tests.study.dask_cluster import WAIT_S, scheduler, wait_for, workers
from workbench.study import read_study
from workbench.study.sweep import sweep

ROOT = Path(__file__).resolve().parents[2]

LONG_STUDY = STUDY.replace('["250ms", "2s"]', '["10s", "15s", "20s", "25s", "30s"]')
"""Delays this near to the minute between two samples take longest to follow."""

PROFILE_JOBS = 11
"""Without reporting, and two orders with each of five delays."""


def processes_naming(text):
    """Processes that have a text in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:  # It has ended meanwhile.
            continue
        if text in words:
            found.append(path.parent.name)
    return found


HELD = """
import os, runpy, time
from workbench.study.store import Store

keep = Store.keep

def keep_and_wait(*given):
    keep(*given)
    while not os.path.exists(os.environ["GO_ON"]):
        time.sleep(0.05)

Store.keep = keep_and_wait
runpy.run_module("workbench", run_name="__main__", alter_sys=True)
"""
"""The program, which stops when the first job's result is kept, until it may go on: so that what
happens to it then happens in the midst of a study, however slow whoever does it is."""


def begin(tmp_path, *options, program=("-c", HELD)):
    """Begin a sweep, which can be told to go on by a file."""
    study, folder, scratch = tmp_path / "study", tmp_path / "result", tmp_path / "scratch"
    study.mkdir()
    scratch.mkdir()
    path = write_study(study, guests=6, samples=8_000, text=LONG_STUDY)
    go_on = tmp_path / "go-on"
    process = subprocess.Popen(
        [sys.executable, *program, "sweep", path, "-o", str(folder), *options],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(scratch),
            "GO_ON": str(go_on),
        },
        cwd=study,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, read_study(path), folder, go_on


def kept_profiles(folder):
    return list(folder.glob("jobs/profiles-*.parquet"))


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_finished_is_kept_however_it_ends(tmp_path, how, options):
    process, study, folder, _ = begin(tmp_path, *options)
    wait_for(lambda: kept_profiles(folder), "nothing was finished")
    process.send_signal(how)
    out, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == {signal.SIGKILL: -9}.get(how, 130)
    assert (out, err) == ("", "" if how == signal.SIGKILL else "workbench: interrupted\n")
    assert not (folder / "result.json").exists()
    wait_for(lambda: not processes_naming(str(tmp_path)), "a worker was left behind")
    if how != signal.SIGKILL:
        assert list((tmp_path / "scratch").iterdir()) == []
    assert len(kept_profiles(folder)) == 1
    assert sweep(study, folder).done["profiles"] == PROFILE_JOBS - 1


def test_a_scheduler_that_vanishes_is_one_sentence_and_no_more(tmp_path):
    """Nothing of Dask's own, neither then nor when the program ends."""
    with contextlib.ExitStack() as stack:
        gone = contextlib.ExitStack()
        address = gone.enter_context(scheduler(tmp_path))
        stack.enter_context(workers(address, tmp_path, 1))
        process, _, folder, go_on = begin(tmp_path, "--scheduler", address)
        wait_for(lambda: kept_profiles(folder), "nothing was finished")
        gone.close()
        go_on.touch()
        out, err = process.communicate(timeout=WAIT_S)

    assert (process.returncode, out) == (4, "")
    assert f"{address}: the scheduler is gone (" in err
    assert err.count("\n") == 1


def test_nothing_is_left_where_it_was_run(tmp_path):
    """No folder of Dask's, no log: what is written is the result."""
    process, _, folder, _ = begin(tmp_path, "--workers", "2", program=("-m", "workbench"))
    _, err = process.communicate(timeout=WAIT_S)

    assert (process.returncode, err) == (0, "")
    assert (folder / "result.json").is_file()
    assert list((tmp_path / "scratch").iterdir()) == []
    assert {path.suffix for path in (tmp_path / "study").iterdir()} == {".csv", ".toml"}
    assert not processes_naming(str(tmp_path))
