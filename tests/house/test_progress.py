"""Long calls show how far they are where a person watches, and nothing anywhere else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import workbench as wb
from tests.synthetic import fault, write_trace
from workbench import progress

ROOT = Path(__file__).resolve().parents[2]

IMPORTS = "import time\nfrom workbench import progress\n"
QUICKLY = IMPORTS + "progress.SHOWN_AFTER_S = 0.05\n"

LONG = """
with progress.counting("events", 80) as count:
    count(40)
    time.sleep(0.4)  # Work that takes longer than a bar waits before it is shown.
with progress.working("following <b>churn[/b]"):
    with progress.counting("never shown", 3) as count:
        time.sleep(0.4)
"""


def on_a_terminal(code):
    """Run some Python whose errors go to a terminal, and give what that was sent."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment) as process:
        os.close(theirs)
        sent = b""
        try:
            while more := os.read(ours, 1 << 16):
                sent += more
        except OSError:  # Linux's way to say that the other end is closed.
            pass
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sent.decode())


def in_a_notebook(code):
    """Execute a cell, and give what it displayed, in order, and what it left."""
    displayed = []

    class Client(NotebookClient):
        def process_message(self, message, *arguments):
            if message["msg_type"] in {"display_data", "update_display_data"}:
                displayed.append(message["content"]["data"])
            return super().process_message(message, *arguments)

    cell = nbformat.v4.new_code_cell(code)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT))
        Client(notebook, timeout=120, kernel_name="python3").execute()
    return displayed, notebook.cells[0]["outputs"]


def test_a_terminal_shows_how_far_it_is():
    sent = on_a_terminal(QUICKLY + LONG)

    assert re.search(r"events .*40/80", sent)
    assert "following <b>churn[/b]" in sent
    assert "never shown" not in sent  # There is one place, and it is taken.


def test_what_is_short_is_not_shown():
    assert on_a_terminal(IMPORTS + LONG.replace("0.4", "0")) == ""


def test_nothing_is_written_where_nobody_watches():
    done = subprocess.run(
        [sys.executable, "-c", QUICKLY + LONG], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of the kernel's own libraries.
def test_a_notebook_keeps_one_output_up_to_date_and_then_empties_it():
    displayed, left = in_a_notebook(QUICKLY + LONG)
    html = [data.get("text/html", "") for data in displayed]

    bar = '<progress max="80" value="40"></progress> events: 40 of 80, about 1 s left'
    assert bar in html
    assert any("following &lt;b&gt;churn[/b]: " in each for each in html)
    assert not any("never shown" in each for each in html)
    assert len(displayed) <= 8
    assert [output["output_type"] for output in left] == ["display_data"] * 2
    assert [set(output["data"].values()) for output in left] == [{""}, {""}]


def test_a_thread_that_works_for_another_shows_nothing():
    code = f"""
import threading
def work():
    {LONG.strip().replace(chr(10), chr(10) + "    ")}
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    assert on_a_terminal(QUICKLY + code) == ""


def test_an_error_passes_through_and_frees_the_place(monkeypatch):
    drawn = []
    monkeypatch.setattr(progress, "_where_it_is_watched", lambda: drawn.append)
    with pytest.raises(ZeroDivisionError), progress.working("dividing"):
        _ = 1 / 0
    with progress.working("again"):
        assert progress._SHOWING.locked()

    assert not progress._SHOWING.locked()


@pytest.mark.parametrize("device", [None, wb.Device(discard_inhibited=True)])
def test_whoever_asks_is_told_of_every_event_and_replay(tmp_path, device):
    trace = write_trace(tmp_path / "two.trace", [fault(1, 0), fault(2, 2)])
    passes = 1 if device is None else 2
    events, replays = [], []

    wb.totals(trace, device=device, row_count=1, progress=events.append)
    wb.replay_all(trace, [wb.Settings()] * 3, progress=replays.append)

    assert sum(events) == 2 * passes
    assert replays == [1, 1, 1]


@pytest.mark.parametrize(
    ("done", "taken_s", "said"),
    [
        (0, 100.0, ""),
        (40, 10.0, ", about 10 s left"),
        (20, 10.0, ", about 30 s left"),
        (1, 2.0, ", about 3 min left"),
        (1, 100.0, ", about 2 h left"),
        (80, 100.0, ""),
    ],
)
def test_the_time_left_is_that_of_what_was_done_so_far(done, taken_s, said):
    assert progress.time_left(done, 80, taken_s) == said
