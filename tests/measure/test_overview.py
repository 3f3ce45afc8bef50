"""Which questions a set of traces is asked, and what describes a trace."""

from __future__ import annotations

import json

import pytest

from tests.synthetic import (
    OFF,
    TWO_BLOCKS,
    event,
    started,
    write_off,
    write_trace,
    write_two_blocks,
)
from workbench.measure import describe, overview, refused_document, result_document
from workbench.measure.questions import QUESTIONS
from workbench.replay import (
    Device,
    Settings,
    UnanswerableError,
    lineage,
    replay,
    trace_run,
)
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Kind


def answers(*traces):
    """List what is asked, and what answers it."""
    return [(a.trace.name, a.label, a.answered_by) for a in overview(traces)]


def test_a_pair_answers_what_no_replay_can(tmp_path):
    on, off = write_two_blocks(tmp_path), write_off(tmp_path)

    assert answers(on, off) == [
        ("two-blocks", "as captured", "replay"),
        ("two-blocks", "poison_val 0xaaaaaaaa", "replay"),
        ("two-blocks", "free_page_reporting off", "measured pair"),
        ("two-blocks-off", "as captured", "replay"),
    ]


def test_without_a_partner_both_directions_are_refused_with_reasons(tmp_path):
    on = write_two_blocks(tmp_path)
    off = write_trace(
        tmp_path / "o.trace", OFF, machines=[started(reporting=False)], scenario="other"
    )
    found = list(overview([on, off]))

    assert [a.label for a in found if a.answered_by == "refused"] == [
        "free_page_reporting off",
        "free_page_reporting on",
    ]
    assert all(a.reasons and not a.numbers for a in found if a.answered_by == "refused")


def test_a_poisoned_trace_is_asked_for_value_zero_and_refuses(tmp_path):
    write = event(
        0.5,
        Kind.CONFIG_WRITE,
        offset_bytes=CONFIG_POISON_OFFSET_BYTES,
        length_bytes=4,
        status=0xAAAAAAAA,
    )
    kept = [row for row in TWO_BLOCKS if row["kind"] != Kind.DISCARD]
    trace = write_trace(tmp_path / "poisoned.trace", [write, *kept])

    assert ("poisoned", "poison_val 0x0", "refused") in answers(trace)


def test_a_measured_partner_gives_its_numbers_under_the_same_names(tmp_path):
    found = list(overview([write_two_blocks(tmp_path), write_off(tmp_path)]))
    numbers = {a.answered_by: a.numbers for a in found}

    assert numbers["measured pair"]["resident_bytes_final"] == 4 << 20
    assert set(numbers["measured pair"]) & set(numbers["replay"]) >= {
        "resident_bytes_mean",
        "resident_bytes_peak",
        "swap_out_pages",
    }


def test_a_description_counts_events_and_losses_and_judges_every_question(tmp_path):
    found = describe(write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=3))

    assert found["events"] == {
        "report": 3,
        "discard": 2,
        "fault": 3,
        "hint_range": 1,
        "marker": 2,
    }
    assert found["events_lost"] == 3
    assert found["rows"] == {"events": 11, "state": 0, "guest_samples": 0, "samples": 0}
    assert found["span_seconds"] == 10
    assert len(found["questions"]) == len(QUESTIONS)
    assert all(q["answerable"] or q["reasons"] for q in found["questions"])
    json.dumps(found, allow_nan=False)


def test_all_questions_are_judged_by_one_replay(tmp_path, monkeypatch):
    machine, replayed = trace_run.Machine, []

    def counted(trace, *arguments):
        replayed.append(trace.name)
        return machine(trace, *arguments)

    monkeypatch.setattr(trace_run, "Machine", counted)
    describe(write_two_blocks(tmp_path))

    assert replayed == ["two-blocks"]


def test_a_refusal_carries_what_does_not_depend_on_the_question(tmp_path):
    trace = write_two_blocks(tmp_path)
    settings = Settings(device=Device(free_page_reporting=False))
    with pytest.raises(UnanswerableError) as caught:
        replay(trace, settings=settings)
    refused = refused_document(trace, caught.value, settings, lineage(trace, settings))
    captured = replay(trace)

    assert refused["model_error"] == captured.model_error
    assert refused["lineage"] == {**captured.lineage, "settings": settings.model_dump()}
    assert refused["events"]["total"] == captured.events["total"]


@pytest.mark.parametrize("key", ["lineage", "settings", "identifiable", "metrics", "model_error"])
def test_equal_inputs_give_equal_documents(tmp_path, key):
    first = result_document(replay(write_two_blocks(tmp_path / "a")))
    again = result_document(replay(write_two_blocks(tmp_path / "b")))

    assert json.dumps(first[key], allow_nan=False) == json.dumps(again[key], allow_nan=False)
