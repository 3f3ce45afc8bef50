"""Printing: one document, nothing that JSON does not have, and no complaint about closed pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydantic
import pytest

from tests.synthetic import write_two_blocks
from workbench.cli import output


class Settings(pydantic.BaseModel):
    """A pydantic model to print."""

    order: int = 9


@dataclass(slots=True)
class Point:
    """A dataclass to print."""

    x: int


def test_keys_are_sorted_and_the_document_ends_with_a_newline(capsys):
    output.print_json({"b": 1, "a": {"d": 2, "c": 3}})
    assert capsys.readouterr().out == ('{\n  "a": {\n    "c": 3,\n    "d": 2\n  },\n  "b": 1\n}\n')


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.array([1, 2]), [1, 2]),
        (Settings(), {"order": 9}),
        (Point(x=1), {"x": 1}),
        (Path("a/b"), "a/b"),
        (frozenset({"b", "a"}), ["a", "b"]),
        (None, None),
    ],
)
def test_what_the_rooms_use_has_a_form_in_json(value, printed, capsys):
    output.print_json({"value": value})
    assert json.loads(capsys.readouterr().out) == {"value": printed}


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), np.array([np.nan])])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.print_json({"value": value})


def test_what_has_no_form_in_json_is_named():
    with pytest.raises(TypeError, match="object"):
        output.print_json({"value": object()})


def test_a_table_is_neither_wrapped_nor_interpreted_when_piped(capsys):
    cell = "[bold]" + "word " * 40
    output.print_table(("name", "count"), [(cell, "12"), ("b", "3")], right=("count",))
    lines = capsys.readouterr().out.splitlines()
    assert cell.strip() in lines[2]
    assert lines[3].endswith("  3")


def test_notes_stay_away_from_stdout(capsys):
    output.note("3 events were lost")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "3 events were lost\n"


def test_a_log_is_told_now_and_then_how_far_something_is(capsys, monkeypatch):
    now_s = iter([0.0, 1.0, 60.0, 61.0])
    monkeypatch.setattr(output, "time", SimpleNamespace(monotonic=lambda: next(now_s)))

    with output.counting("events", 1_000_000) as count:
        for _ in range(3):
            count(1_000)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "events: 2,000 of 1,000,000, about 8 h left\n"


def test_a_reader_that_stops_reading_is_no_error():
    code = (
        "import sys\n"
        "import typer\n"
        "from workbench.cli import app, output\n"
        "command = app.command_app()\n"
        "@command.command()\n"
        "def info() -> None:\n"
        "    for _ in range(100000): output.print_text('line ' * 20)\n"
        "sys.modules['workbench.cli.info'] = type('m', (), {'app': command})\n"
        "sys.exit(app.run(['info']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""
    assert process.returncode == 0


def test_what_the_encoding_of_stdout_has_not_is_spelt_out(tmp_path):
    trace = write_two_blocks(tmp_path)
    named = tmp_path / "é.trace"
    trace.path.rename(named)
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "info", named],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "\\xe9" in done.stdout
