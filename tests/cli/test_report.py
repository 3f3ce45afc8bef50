"""`workbench report`: the page, the document, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.pages import Page
from tests.synthetic import TWO_BLOCKS, write_off, write_trace, write_two_blocks
from workbench.cli.app import run
from workbench.trace import read_trace

POISONED = Path(__file__).parents[2] / "traces" / "churn-poisoned.trace"


def run_report(capsys, *arguments):
    code = run(["report", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_answer_is_printed_and_the_page_written(tmp_path, capsys):
    trace, page = write_two_blocks(tmp_path), tmp_path / "report.html"

    code, out, _ = run_report(capsys, trace.path, "-o", page)

    assert code == 0
    assert out.endswith(f"report: {page}\n")
    headline = out.splitlines()[0]
    assert headline in Page(page.read_bytes()).text


def test_the_document_says_where_and_how_large_the_page_is_and_what_it_says(tmp_path, capsys):
    trace, page = write_two_blocks(tmp_path), tmp_path / "report.html"

    code, out, _ = run_report(capsys, trace.path, "-o", page, "--json")

    document = json.loads(out)
    assert code == 0
    assert document["path"] == str(page)
    assert document["bytes"] == page.stat().st_size
    assert [section["key"] for section in document["sections"]][:3] == [
        "machine",
        "unknown",
        "answer",
    ]
    assert document["headline"].endswith(".")
    assert document["lost_events"] == 0
    assert document["lineage"]["trace"] == trace.digest
    assert document["figures"] == Page(page.read_bytes()).values("figure", "id")


def test_a_pair_and_settings_are_part_of_the_story(tmp_path, capsys):
    on, off, page = write_two_blocks(tmp_path), write_off(tmp_path), tmp_path / "report.html"
    asked = ("--pair", off.path, "--set", "guest.poison_val=0xaaaaaaaa")

    code, out, _ = run_report(capsys, on.path, "-o", page, *asked)

    assert code == 0
    assert out.startswith("With poison_val 0xaaaaaaaa, guest RAM takes 3.40 MiB of host memory")
    assert "Two live runs of one scenario, measured" in Page(page.read_bytes()).text


def test_the_other_half_of_a_pair_in_the_same_folder_is_pointed_at(tmp_path, capsys):
    on, page = write_two_blocks(tmp_path), tmp_path / "report.html"
    (tmp_path / "a-damaged.trace").mkdir()

    assert "--pair" not in run_report(capsys, on.path, "-o", page)[2]
    off = write_off(tmp_path)
    said = "--pair {} adds what was measured with reporting on and off"
    assert said.format(off.path) in run_report(capsys, on.path, "-o", page)[2]
    assert said.format(on.path) in run_report(capsys, off.path, "-o", page)[2]
    assert "--pair" not in run_report(capsys, on.path, "--pair", off.path, "-o", page)[2]


def test_what_was_asked_and_cannot_be_answered_is_exit_8_and_in_the_report(tmp_path, capsys):
    page = tmp_path / "report.html"

    code, _, err = run_report(capsys, POISONED, "-o", page, "--set", "guest.poison_val=0")

    assert code == 8
    assert "poison_val 0x0: captured with a poison_val" in err
    assert "With poison_val 0x0 this trace cannot answer" in Page(page.read_bytes()).text


def test_lost_events_are_exit_7_unless_that_is_accepted(tmp_path, capsys):
    trace = write_trace(tmp_path / "lost.trace", TWO_BLOCKS, lost=5)
    page = tmp_path / "report.html"

    assert run_report(capsys, trace.path, "-o", page)[0] == 7
    assert "5 events were lost" in Page(page.read_bytes()).text
    assert run_report(capsys, trace.path, "-o", page, "--allow-lost")[0] == 0


def test_a_result_is_reported_on_too(tmp_path, capsys):
    trace, page = write_two_blocks(tmp_path), tmp_path / "report.html"
    assert run(["replay", str(trace.path), "-o", str(tmp_path / "result")]) == 0
    capsys.readouterr()

    code, out, _ = run_report(capsys, tmp_path / "result", "-o", page)

    assert code == 0
    assert out.startswith("Replayed as captured")
    for question in (("--set", "guest.poison_val=1"), ("--pair", trace.path)):
        code, _, err = run_report(capsys, tmp_path / "result", "-o", page, *question)
        assert code == 2
        assert "is a result, computed already; name its trace" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["spring.toml"], 3, "is a study, expected what was computed of it; compute it first ("),
        (["spring.toml"], 3, "(`workbench plan spring.toml -o spring.study`), and name spring.s"),
        (["summer.study"], 3, "summer.study: no such folder of a study; `workbench plan summer.t"),
        (["notes.txt"], 3, "notes.txt: is a file, expected the folder of a trace, result or study"),
        (["nothing"], 3, "nothing: no such trace folder"),
        (["two-blocks.trace", "-o", "."], 2, ".: is a folder, expected the name of a file"),
        (["two-blocks.trace", "-o", "no/r.html"], 2, "no/r.html: there is no folder no to write"),
        (["two-blocks.trace", "--set", "guest.poisn_val=1"], 2, "did you mean 'poison_val'"),
        (["two-blocks.trace", "--pair", "two-blocks.trace"], 2, "are no measured pair"),
        (["."], 3, "no manifest.json here"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, code, said, tmp_path, monkeypatch, capsys):
    write_two_blocks(tmp_path)
    for name in ("spring.toml", "notes.txt"):
        (tmp_path / name).write_text("[[guest]]")
    monkeypatch.chdir(tmp_path)

    found, out, err = run_report(capsys, *arguments)

    assert (found, out) == (code, "")
    assert said in err
    assert not list(tmp_path.glob("*.html"))


def test_an_old_report_stays_where_a_new_one_cannot_be_made(tmp_path, capsys):
    trace, page = write_two_blocks(tmp_path), tmp_path / "report.html"
    page.write_text("old")
    (segment,) = (trace.path / "events").iterdir()
    segment.write_bytes(segment.read_bytes()[:100])

    code, _, err = run_report(capsys, read_trace(trace.path).path, "-o", page)

    assert code == 3
    assert "events" in err
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
