"""`workbench notebooks`: the six, about a trace of yours, in a folder of yours."""

from __future__ import annotations

import json
import re

import papermill
import pytest

from tests.synthetic import write_two_blocks
from workbench.cli import notebook
from workbench.cli.app import run
from workbench.errors import InputError

NAMES = [path.name for path in notebook.bundled_notebooks()]


def write(folder, *arguments):
    """Run the command."""
    return run(["notebooks", "-o", str(folder), *arguments])


def test_they_are_written_with_the_trace_in_their_first_parameter(tmp_path, capsys):
    trace = write_two_blocks(tmp_path / "it's \U0001f388")
    code = write(tmp_path / "out", "--trace", str(trace.path), "--json")
    document = json.loads(capsys.readouterr().out)

    assert code == 0
    assert document["trace"] == str(trace.path)
    assert document["pages"] == []
    assert document["notebooks"] == [str(tmp_path / "out" / name) for name in NAMES]
    for original in notebook.bundled_notebooks():
        written = tmp_path / "out" / original.name
        before = original.read_text(encoding="utf-8").splitlines()
        after = written.read_text(encoding="utf-8").splitlines()
        changed = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed) == 1
        assert "TRACE = " in changed[0]
        assert notebook.trace_of(written) == trace.path


def test_without_a_trace_they_are_about_the_bundled_ones(tmp_path, capsys):
    assert write(tmp_path / "out") == 0
    assert "jupyter lab" in capsys.readouterr().out
    assert all(notebook.trace_of(path).is_dir() for path in (tmp_path / "out").iterdir())


def test_nothing_is_overwritten(tmp_path, capsys):
    mine = tmp_path / "out" / NAMES[3]
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")

    assert write(mine.parent) == 2
    assert f"{mine}: exists already" in capsys.readouterr().err
    assert [path.read_text(encoding="utf-8") for path in mine.parent.iterdir()] == ["mine"]


def test_a_trace_that_is_none_is_refused_before_anything_is_written(tmp_path, capsys):
    assert write(tmp_path / "out", "--trace", str(tmp_path / "no.trace")) == 3
    assert "no such trace folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_package_without_traces_says_that_one_is_needed(tmp_path, capsys, monkeypatch):
    """As in an installed package, where the notebooks' own traces are not."""
    monkeypatch.setattr(notebook, "trace_of", lambda _: tmp_path / "traces/churn-order0.trace")

    assert write(tmp_path / "out") == 2
    assert "--trace" in capsys.readouterr().err


def test_executing_needs_the_extra_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(notebook, "_PACKAGES", ("no_such_package",))

    assert write(tmp_path / "out", "--execute") == 4
    assert "balloon-workbench[notebook]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no", "not a notebook"),
        ("[]", "no cell tagged `parameters`"),
        ('{"cells": []}', "no cell tagged `parameters`"),
    ],
)
def test_what_is_no_notebook_of_ours_is_one_sentence(text, says, tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=says):
        notebook.write_with_trace(path, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            "import workbench_no as wb",
            "ModuleNotFoundError: No module named 'workbench_no', in `import workbench_no as wb`",
        ),
        ("assert 1 == 2", "AssertionError, in `assert 1 == 2`"),
    ],
)
def test_a_notebook_that_fails_is_one_sentence(wrong, says, tmp_path):
    trace = write_two_blocks(tmp_path)
    broken = notebook.write_with_trace(notebook.bundled_notebooks()[0], trace.path, tmp_path)
    text = broken.read_text(encoding="utf-8")
    broken.write_text(text.replace("import workbench as wb", wrong))

    with pytest.raises(InputError, match=f"{broken}: {re.escape(says)}$"):
        notebook.execute([broken])


def test_papermill_sets_the_same_parameter(tmp_path):
    trace = write_two_blocks(tmp_path)
    done = papermill.execute_notebook(
        str(notebook.bundled_notebooks()[0]),
        str(tmp_path / "out.ipynb"),
        parameters={"TRACE": str(trace.path)},
        progress_bar=False,
    )

    assert "two-blocks" in json.dumps(done)
