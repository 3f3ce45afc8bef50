"""The notebooks answer for every trace, or say in words why they cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.notebooks.cells import code_cells, run_cells
from tests.qemu_lines import LINES, imported
from workbench.cli.notebook import bundled_notebooks, write_with_trace

TRACES = Path(__file__).resolve().parents[2] / "traces"

NOTEBOOKS = bundled_notebooks()

OF_EVERY_KIND = (
    "churn-off",  # Reporting off.
    "churn-poisoned",  # Nothing is discarded, and "reporting off" is refused.
    "migration-hinting",  # Refused likewise, for another reason.
    "staircase-mid-life",  # Some is in memory when it begins.
    "staircase-two-guests",
)

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def answer_of(notebook, trace, folder):
    """Run a notebook about a trace, and give the sentence it ends with."""
    _, shown = run_cells(write_with_trace(notebook, trace, folder))
    return shown[-1]


def test_there_are_six():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


WRONG = {
    "01": "events = events + 1",
    "02": "saved_bytes = -means[0]",
    "03": "rates = [2 * rate for rate in rates]",
    "04": "matrix = matrix.assign(discards=1)",
    "05": "error = {'mean': 0.06}",
    "06": "plan.answers['guests'] = 0",
}
"""What would be a wrong answer."""


@each_notebook
def test_a_notebook_answers_about_its_own_trace_and_fails_if_the_answer_is_wrong(notebook):
    """As it is in the repository, from its own folder: there is a chart, and nothing is unknown."""
    names, shown = run_cells(notebook)

    assert names["trace"].name in {path.stem for path in TRACES.glob("*.trace")}
    assert any(isinstance(each, tuple) for each in shown)  # Pictures come with their size.
    assert any(character.isdigit() for character in shown[-1])
    assert not any(word in shown[-1] for word in ("unknown", "nan", "None"))

    exec(WRONG[notebook.name[:2]], names)  # noqa: S102 - ours.
    with pytest.raises(AssertionError):
        exec(code_cells(notebook)[-1], names)  # noqa: S102 - ours.


@pytest.mark.parametrize("name", OF_EVERY_KIND)
@each_notebook
def test_a_notebook_answers_about_another_trace_by_one_line(notebook, name, tmp_path):
    assert answer_of(notebook, TRACES / f"{name}.trace", tmp_path)


@each_notebook
def test_without_faults_a_notebook_says_what_is_missing(notebook, tmp_path):
    """QEMU's own log tells reports and discards, but not what guests take."""
    trace = imported(tmp_path, LINES)
    answer = answer_of(notebook, trace.path, tmp_path)

    # What is in such a trace can be told, and elsewhere there is something that is missed first.
    missing = {"01": "events", "04": "the trace does not say", "05": "no samples"}
    assert missing.get(notebook.name[:2], "has no faults") in answer


@each_notebook
def test_without_samples_a_notebook_ends_well(notebook, tmp_path):
    trace = tmp_path / "x.trace"
    shutil.copytree(TRACES / "churn-off.trace", trace)
    shutil.rmtree(trace / "samples")

    assert answer_of(notebook, trace, tmp_path)
