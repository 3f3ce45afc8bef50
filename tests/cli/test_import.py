"""`workbench import series`: what it prints, keeps and refuses."""

from __future__ import annotations

import json

import pytest

from tests.synthetic_series import LINES, write_csv
from workbench.cli.app import run

KEYS = {"lineage", "settings", "samples", "notes", "metrics", "drains", "model_error"}


def import_json(capsys, *arguments):
    """Run the command with --json, and give its exit code and document."""
    code = run(["import", "series", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_document_has_exactly_the_promised_keys(tmp_path, capsys):
    code, document = import_json(capsys, write_csv(tmp_path), "--delay", "100ms", "--capacity", "8")

    assert code == 0
    assert set(document) == KEYS
    assert document["samples"] == 3
    assert document["settings"]["reporting"] == {
        "order": 9,
        "delay_ns": 100_000_000,
        "capacity": 8,
    }
    assert document["model_error"]["mean_absolute_bytes"] > 0


def test_a_kept_series_answers_what_if_with_the_error_as_sampled(tmp_path, capsys):
    kept = tmp_path / "kept"
    _, sampled = import_json(capsys, write_csv(tmp_path), "--delay", "100ms", "-o", kept)
    _, again = import_json(capsys, kept)
    _, what_if = import_json(capsys, kept, "--order", "0")

    assert sorted(path.name for path in kept.iterdir()) == [
        "guest_series.parquet",
        "resident_memory.png",
        "result.json",
    ]
    assert json.loads((kept / "result.json").read_text()) == sampled
    assert again == sampled
    assert what_if["settings"]["reporting"] == {
        "order": 0,
        "delay_ns": 100_000_000,
        "capacity": 32,
    }
    assert what_if["model_error"] == sampled["model_error"]
    assert what_if["notes"] != []


def test_the_table_says_metrics_errors_and_drains(tmp_path, capsys):
    """500 MiB are freed, and QEMU's resident set stays as it is."""
    lines = (*LINES, "5.10,900200000,998000,1940,5,4294967296")
    code = run(["import", "series", str(write_csv(tmp_path, *lines)), "-o", str(tmp_path / "kept")])
    shown = capsys.readouterr().out

    assert code == 0
    assert "samples, order 9, delay 2.00 s, capacity 32" in shown
    assert "mean absolute error" in shown
    assert "error of byte-seconds" in shown
    assert "500.00 MiB" in shown
    assert f"series, result and chart: {tmp_path / 'kept'}" in shown


def test_notes_go_to_stderr_and_a_what_if_names_its_error(tmp_path, capsys):
    kept = tmp_path / "kept"
    run(["import", "series", str(write_csv(tmp_path)), "-o", str(kept)])
    capsys.readouterr()
    run(["import", "series", str(kept), "--order", "5"])
    shown = capsys.readouterr()

    assert "mean absolute error, as sampled" in shown.out
    assert "measured" not in shown.out
    assert "order 5: samples tell free memory of orders 0 and 9 apart" in shown.err


def test_qemus_own_memory_can_be_given(tmp_path, capsys):
    path = write_csv(tmp_path)
    _, more = import_json(capsys, path, "--own-memory", "2000000")
    _, less = import_json(capsys, path, "--own-memory", "1000000")
    name = "resident_bytes_final"

    assert more["metrics"][name]["value"] - less["metrics"][name]["value"] == 1_000_000


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("--order", "11"), 2, "guest.reporting_order is '11', expected a whole number"),
        (("--delay", "soon"), 2, "guest.reporting_delay_ns is 'soon'"),
        (("--delay", "0s"), 2, "expected at least 1000000 (1 ms)"),
        (("--capacity", "0"), 2, "guest.reporting_capacity is '0'"),
        (("--own-memory", "-1"), 2, "own_bytes is -1"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(tmp_path, capsys, arguments, code, expected):
    assert run(["import", "series", str(write_csv(tmp_path)), *arguments]) == code
    assert expected in capsys.readouterr().err


def test_a_bad_file_and_a_folder_of_something_else_are_refused(tmp_path, capsys):
    path = write_csv(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("all of it")

    assert run(["import", "series", str(tmp_path / "absent.csv")]) == 3
    assert run(["import", "series", str(path), "-o", str(other)]) == 2
    assert (other / "thesis.txt").read_text() == "all of it"
    assert "exists and is no earlier result" in capsys.readouterr().err
