"""`workbench replay`: keys, exit codes, settings, and the files it writes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from tests.synthetic import TWO_BLOCKS, write_trace, write_two_blocks
from workbench.cli.app import run
from workbench.measure import METRICS

KEYS = {"lineage", "settings", "identifiable", "metrics", "model_error", "events"}


@pytest.fixture
def trace_path(tmp_path):
    """Write a small trace."""
    return str(write_two_blocks(tmp_path).path)


def replay_json(capsys, *arguments):
    """Run the command with --json, and give its exit code, document and notes."""
    code = run(["replay", *arguments, "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


def test_the_document_has_exactly_the_promised_keys(trace_path, capsys):
    code, document, _ = replay_json(capsys, trace_path)

    assert code == 0
    assert set(document) == KEYS
    assert document["identifiable"]["answerable"] is True
    assert set(document["metrics"]) == {metric.name for metric in METRICS}
    assert document["metrics"]["refaults"] == {"value": 1, "unit": "faults"}
    assert document["model_error"]["resident_bytes"]["final"] == 0
    assert document["model_error"]["resident_bytes"]["mean"] == 0
    assert document["events"]["applied"] == 10
    assert document["events"]["skipped"]["unaligned"] == 1
    assert {"trace", "settings", "model", "versions"} <= set(document["lineage"])


@pytest.mark.parametrize("more", [[], ["--totals"]])
def test_the_lineage_says_which_recording_it_was_and_how_long(tmp_path, capsys, more):
    """Whatever folder a result is in: it is known by this, and drawn over the whole of it."""
    trace = write_two_blocks(tmp_path)
    _, document, _ = replay_json(capsys, str(trace.path), *more)

    assert document["lineage"]["recording"] == {
        "name": trace.name,
        "start_time_ns": trace.manifest.start_time_ns,
        "duration_ns": trace.manifest.duration_ns,
    }


def test_set_and_a_toml_file_give_the_same_document(trace_path, tmp_path, capsys):
    config = tmp_path / "settings.toml"
    config.write_text('[device]\ndiscard_inhibited = false\n[guest]\npoison_val = "0xaaaaaaaa"\n')
    by_file = replay_json(capsys, trace_path, "--config", str(config))
    by_set = replay_json(
        capsys,
        trace_path,
        "--set",
        "guest.poison_val=0xaaaaaaaa",
        "--set",
        "device.discard_inhibited=off",
    )

    assert by_file == by_set
    assert by_set[1]["metrics"]["skipped_poisoned"]["value"] == 3
    assert by_set[1]["metrics"]["discards"]["value"] == 0


def test_what_cannot_be_answered_is_refused_with_the_document(trace_path, capsys):
    code, document, notes = replay_json(
        capsys, trace_path, "--set", "device.free_page_reporting=off"
    )

    assert code == 8
    assert set(document) == KEYS
    assert document["identifiable"]["answerable"] is False
    assert "free_page_reporting on" in document["identifiable"]["reasons"][0]
    assert document["settings"]["device"]["free_page_reporting"] is False
    assert document["metrics"] == {}
    assert document["identifiable"]["reasons"][0] in notes


@pytest.mark.parametrize(("arguments", "code"), [([], 7), (["--allow-lost"], 0)])
def test_lost_events_are_allowed_only_on_request(tmp_path, capsys, arguments, code):
    trace = write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=12)
    found, document, notes = replay_json(capsys, str(trace.path), *arguments)

    assert found == code
    assert document["metrics"]["events_lost"]["value"] == 12
    assert ("--allow-lost" in notes) == (code == 7)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "device.page_poisn=on"], 2, "page_poison"),
        (["--set", "guest.poison_val=lots"], 2, "poison_val"),
        (["--config", "missing.toml"], 3, "missing.toml"),
    ],
)
def test_wrong_settings_are_explained(trace_path, capsys, arguments, code, words):
    assert run(["replay", trace_path, *arguments]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err


def test_the_text_leaves_out_counters_that_stayed_zero(trace_path, capsys):
    assert run(["replay", trace_path]) == 0
    shown = capsys.readouterr().out

    assert "resident_bytes_peak" in shown
    assert "4.00 MiB" in shown
    assert "skipped_unaligned" in shown
    assert "skipped_overrun" not in shown


def test_the_output_holds_result_ledger_and_chart(trace_path, tmp_path, capsys):
    folder = tmp_path / "results" / "first"
    _, document, _ = replay_json(capsys, trace_path, "-o", str(folder))
    ledger = pq.read_table(folder / "ledger.parquet")
    outcomes = json.loads(ledger.schema.metadata[b"outcome"])

    assert sorted(path.name for path in folder.iterdir()) == [
        "ledger.parquet",
        "resident_memory.png",
        "result.json",
    ]
    assert json.loads((folder / "result.json").read_text()) == document
    assert ledger.num_rows == len(TWO_BLOCKS)
    assert outcomes[str(ledger["outcome"][4].as_py())] == "skipped_unaligned"
    assert json.loads(ledger.schema.metadata[b"lineage"]) == document["lineage"]


def test_a_result_replaces_an_earlier_one_and_leaves_nothing_beside_it(
    trace_path, tmp_path, capsys
):
    folder = tmp_path / "results" / "same"
    first = replay_json(capsys, trace_path, "-o", str(folder))
    again = replay_json(
        capsys, trace_path, "-o", str(folder), "--set", "guest.poison_val=0xaaaaaaaa"
    )
    stored = json.loads((folder / "result.json").read_text())

    assert first[0] == again[0] == 0
    assert stored == again[1]
    assert [path.name for path in folder.parent.iterdir()] == ["same"]


def test_a_folder_of_something_else_is_not_replaced(trace_path, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter-1.txt").write_text("years of work")

    assert run(["replay", trace_path, "-o", str(tmp_path / "thesis")]) == 2
    assert "is no earlier result" in capsys.readouterr().err
    assert (tmp_path / "thesis" / "chapter-1.txt").read_text() == "years of work"


def test_totals_are_those_of_a_replay_of_the_whole_trace(trace_path, capsys):
    code, document, _ = replay_json(capsys, trace_path, "--totals")
    _, whole, _ = replay_json(capsys, trace_path)

    assert code == 0
    assert set(document) == KEYS
    added = {n for n, entry in document["metrics"].items() if n != "drain_seconds"}
    assert {n: document["metrics"][n] for n in added} == {n: whole["metrics"][n] for n in added}
    assert "needed at once" in document["metrics"]["drain_seconds"]["reason"]
    assert document["events"] == whole["events"]
    assert "trace_files" in document["lineage"]


def test_totals_have_no_ledger_to_write(trace_path, tmp_path, capsys):
    assert run(["replay", trace_path, "--totals", "-o", str(tmp_path / "out")]) == 2
    assert "leave out --output or --totals" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_totals_say_what_takes_all_of_a_trace(trace_path, capsys):
    arguments = ("--totals", "--set", "device.free_page_reporting=off")
    code, document, notes = replay_json(capsys, trace_path, *arguments)

    assert code == 8
    assert document["identifiable"]["answerable"] is False
    assert "trace_files" in document["lineage"]
    assert "all of the trace at once" in notes
