"""`workbench info` says what a trace holds, lost, and can answer."""

from __future__ import annotations

import json

from tests.synthetic import TWO_BLOCKS, write_trace, write_two_blocks
from workbench.cli.app import run


def test_the_document_has_settings_events_losses_and_answers(tmp_path, capsys):
    write_two_blocks(tmp_path)
    code = run(["info", str(tmp_path / "two-blocks.trace"), "--json"])
    found = json.loads(capsys.readouterr().out)
    answers = {question["settings"]: question["answerable"] for question in found["questions"]}

    assert code == 0
    assert found["machines"][0]["device"]["free_page_reporting"] is True
    assert found["machines"][0]["features_at_start"] == ["page_poison", "reporting"]
    assert found["events"]["report"] == 3
    assert answers["as captured"] is True
    assert answers["free_page_reporting off"] is False
    assert found["measured"]["measured_resident_bytes_peak"]["value"] == 4 << 20


def test_the_text_names_every_loss_and_every_reason(tmp_path, capsys):
    write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=12)
    code = run(["info", str(tmp_path / "lossy.trace")])
    shown = capsys.readouterr().out

    assert code == 0
    assert "12 ring full" in shown
    assert "lossy: 10.0 s, begun at the guest's start" in shown
    assert "no: captured with free_page_reporting on" in shown
    assert "page_poison=on" in shown


def test_what_is_no_trace_is_bad_input(tmp_path, capsys):
    code = run(["info", str(tmp_path)])

    assert code == 3
    assert "manifest.json" in capsys.readouterr().err
