"""`workbench compare`: exit codes, files, acceptance."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.gate.made_runs import PAGE, RECLAIMED, write_result
from tests.synthetic import TWO_BLOCKS, write_trace, write_two_blocks
from workbench.cli.app import run
from workbench.gate import read_budget_file

LESS = {"reclaimed_bytes": {"value": RECLAIMED - PAGE, "unit": "bytes"}}


@pytest.fixture
def results(tmp_path):
    """Write two results of one recording, of which the second reclaims a page less."""
    return (
        str(write_result(tmp_path / "old")),
        str(write_result(tmp_path / "new", metrics=LESS)),
    )


def compare(capsys, *arguments):
    """Run the command, and give its exit code and what it printed."""
    code = run(["compare", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_result_against_itself_is_fine(results, capsys):
    assert compare(capsys, results[0], results[0])[:2] == (
        0,
        "Fine: no loss in 6 figures\n6 figures are equal.\n",
    )


def test_a_page_less_is_a_regression_and_a_page_more_is_none(results, capsys):
    code, shown, _ = compare(capsys, *results)

    assert code == 5
    assert shown.startswith("Regression: reclaimed_bytes of churn is 4.00 KiB less (-0.0005 %)")
    assert compare(capsys, *reversed(results))[0] == 0


def test_the_document_has_every_figure_and_the_exit_code(results, capsys):
    code, shown, _ = compare(capsys, *results, "--json")
    document = json.loads(shown)

    assert code == document["exit_code"] == 5
    assert document["counts"]["worse"] == 1
    assert len(document["figures"]) == 6


def test_files_are_written_whatever_the_verdict(results, tmp_path, capsys):
    files = ["--markdown", tmp_path / "s.md", "--junit", tmp_path / "j.xml"]
    (tmp_path / "s.md").write_text("of the step before")

    assert compare(capsys, *results, *files)[0] == 5
    assert (tmp_path / "s.md").read_text().startswith("Regression: reclaimed_bytes")
    assert "<testsuites" in (tmp_path / "j.xml").read_text()


def test_the_schema_is_printed_without_anything_to_compare(capsys):
    code, shown, _ = compare(capsys, "--json-schema")

    assert code == 0
    assert json.loads(shown)["title"] == "workbench compare"


def test_a_budget_allows_what_it_says(results, tmp_path, capsys):
    budget = tmp_path / "budgets.toml"
    budget.write_text("[budget.reclaimed_bytes]\nabsolute = 4096\n")
    code, shown, _ = compare(capsys, *results, "--budget", budget)

    assert code == 0
    assert "same" in shown


def test_accepting_lets_the_next_comparison_pass_and_keeps_the_old_number(
    results, tmp_path, capsys
):
    budget = tmp_path / "budgets.toml"
    code, shown, notes = compare(capsys, *results, "--budget", budget, "--accept")
    (entry,) = read_budget_file(budget).accepted

    assert (code, shown.startswith("Fine: no loss in 6 figures\n")) == (0, True)
    assert "1 changed figure of 1 recording accepted" in notes
    assert entry.before[0].figures == {"reclaimed_bytes": RECLAIMED}
    assert compare(capsys, *results, "--budget", budget)[0] == 0
    assert compare(capsys, budget, results[1])[0] == 0
    assert compare(capsys, results[0], results[0], "--budget", budget)[0] == 0
    assert compare(capsys, budget, results[0])[0] == 0


@pytest.mark.parametrize("baseline", ["result", "accepted"])
def test_accepting_says_what_was_accepted_and_what_it_was(results, tmp_path, capsys, baseline):
    """In whatever is printed or written: the comparison is made with the new figures in place."""
    file, summary = tmp_path / "accepted.toml", tmp_path / "summary.md"
    if baseline == "accepted":
        assert compare(capsys, file, results[0], "--accept")[0] == 0
    sides = results if baseline == "result" else (file, results[1])
    told = f"reclaimed_bytes of churn {RECLAIMED - PAGE:,} (was {RECLAIMED:,})"
    more = ["--budget", file, "--accept", "--markdown", summary]
    code, shown, _ = compare(capsys, *sides, *more)

    assert (code, shown.splitlines()[0]) == (0, "Fine: no loss in 6 figures")
    assert told in shown
    assert summary.read_text().startswith("Fine: no loss in 6 figures")
    assert told in summary.read_text()


def test_accepting_some_of_several_recordings_leaves_the_others_undecided(tmp_path, capsys):
    """What is printed, and the exit code, are those of the next comparison."""
    lineage = {"trace": "b" * 64, "model": "m", "versions": {"schema": "1.2"}}
    write_result(tmp_path / "old/churn")
    write_result(tmp_path / "old/cache", lineage=lineage)
    new, file = write_result(tmp_path / "new", metrics=LESS), tmp_path / "accepted.toml"
    assert compare(capsys, file, tmp_path / "old", "--accept")[0] == 0
    code, shown, _ = compare(capsys, file, new, "--accept")

    assert code == compare(capsys, file, new)[0] == 6
    assert "Only the baseline has trace bbbbbbbb." in shown


def test_a_new_file_of_accepted_figures_is_made_from_traces(tmp_path, capsys):
    trace = write_two_blocks(tmp_path).path
    file = tmp_path / "accepted.toml"

    assert compare(capsys, file, trace, "--accept")[0] == 0
    assert compare(capsys, file, trace)[0] == 0


def test_accepting_needs_a_file_and_the_same_recordings(results, tmp_path, capsys):
    one = write_trace(tmp_path / "one.trace", TWO_BLOCKS).path
    other = write_trace(tmp_path / "other.trace", TWO_BLOCKS[:-1]).path
    budget = tmp_path / "budgets.toml"

    assert compare(capsys, *results, "--accept")[0] == 2
    assert compare(capsys, one, other, "--accept", "--budget", budget)[0] == 2
    assert not budget.exists()


@pytest.mark.parametrize(("arguments", "code"), [([], 7), (["--allow-lost"], 0)])
def test_lost_events_are_allowed_only_on_request(tmp_path, capsys, arguments, code):
    trace = write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=12).path

    assert compare(capsys, trace, trace, *arguments)[0] == code


def test_lost_events_are_never_accepted_unless_allowed(tmp_path, capsys):
    trace = write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=12).path
    file = tmp_path / "accepted.toml"

    assert compare(capsys, file, trace, "--accept")[0] == 7
    assert not file.exists()
    assert compare(capsys, file, trace, "--accept", "--allow-lost")[0] == 0


def test_two_recordings_of_one_run_each_are_undecided(tmp_path, capsys):
    one = write_trace(tmp_path / "one.trace", TWO_BLOCKS).path
    other = write_trace(tmp_path / "other.trace", TWO_BLOCKS[:-1]).path
    code, shown, _ = compare(capsys, one, other)

    assert code == 6
    assert "about 12 runs a side would decide" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere", "nowhere"], 3, "there is no such file"),
        (["OLD", "nowhere.toml"], 3, "cannot be read"),
        (["OLD", "NEW", "--budget", "nowhere.toml"], 3, "cannot be read"),
        (["OLD"], 2, "CANDIDATE"),
        (["OLD", "NEW", "OLD"], 2, "unexpected"),
    ],
)
def test_mistakes_are_said_with_their_code(results, capsys, arguments, code, words):
    known = dict(zip(("OLD", "NEW"), results, strict=True))
    found, _, notes = compare(capsys, *(known.get(each, each) for each in arguments))

    assert found == code
    assert words in notes


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (["--html", "no/such/page.html"], "there is no folder no/such"),
        (["--markdown", "."], "is a folder, expected the name of a file"),
        (["--markdown", "one", "--junit", "./one"], "two renderings go to one file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path, capsys, monkeypatch, outputs, words
):
    monkeypatch.chdir(tmp_path)
    code, _, said = compare(capsys, "absent", "absent", *outputs)

    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert words in said


def test_a_recording_accepted_with_two_settings_is_compared_with_the_one_that_is_given(
    tmp_path, capsys
):
    accepted = tmp_path / "accepted.toml"
    captured = write_result(tmp_path / "captured")
    poisoned = write_result(tmp_path / "poisoned", settings={"guest": {"poison_val": 1}})
    for each in (captured, poisoned):
        compare(capsys, accepted, each, "--accept")

    for each in (captured, poisoned):
        code, shown, _ = compare(capsys, accepted, each, "--json")
        told = [f["verdict"] for f in json.loads(shown)["figures"] if f["candidate"]]
        assert (code, set(told)) == (6, {"same"})  # Of the other settings there is no candidate.


def test_a_regression_is_one_whoever_reads_of_it(results):
    """Where nobody does any more (`| head -1`), and where nobody can (`>&-`)."""
    command = [sys.executable, "-m", "workbench", "compare", *results]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, check=False
    )

    assert (process.returncode, said) == (5, b"")
    assert (closed.returncode, closed.stderr) == (5, b"")
