"""Questions under several settings: what can be answered, and why the rest cannot."""

from __future__ import annotations

from tests.qemu_lines import LINES, imported
from tests.synthetic import TWO_BLOCKS, write_trace, write_two_blocks
from workbench.measure import WITHOUT_REPORTING, ask, event_table, questions
from workbench.replay import NO_FAULTS, Guest, Settings, curve, replay

FINER = Settings(guest=Guest(reporting_order=0))


def test_answers_come_in_the_order_of_the_settings_and_refusals_with_reasons(tmp_path):
    trace = write_two_blocks(tmp_path)
    poisoned = Settings(guest=Guest(poison_val=1))
    asked = ask(replay, trace, poisoned, FINER, Settings())

    assert [run.settings for run in asked.answers] == [poisoned, Settings()]
    assert len(asked.refusals) == 1
    assert asked.refusals[0].startswith("reporting_order 0: captured with reporting_order 9")
    assert repr(asked) == asked.refusals[0]


def test_where_nothing_is_refused_that_is_what_is_shown(tmp_path):
    asked = ask(replay, write_two_blocks(tmp_path), Settings())

    assert repr(asked) == "all of it can be answered"


def test_without_faults_nothing_about_memory_can_be_answered(tmp_path):
    trace = imported(tmp_path, LINES)

    for question in (replay, curve):
        asked = ask(question, trace, Settings(), WITHOUT_REPORTING)
        assert asked.answers == ()
        assert asked.refusals == tuple(
            f"{each.label}: {NO_FAULTS}" for each in (Settings(), WITHOUT_REPORTING)
        )


def test_the_events_are_counted_by_kind(tmp_path):
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    table = event_table(trace)["events"]

    assert table.sum() == trace.event_count
    assert table["discard"] == 2


def test_every_question_has_its_answer_or_its_reason(tmp_path):
    table = questions(write_two_blocks(tmp_path)).set_index("question")

    assert table["answerable"]["What happened?"]
    assert table["reasons"]["What happened?"] == ""
    assert not table["answerable"]["With reports of single pages?"]
    assert "captured with reporting_order 9" in table["reasons"]["With reports of single pages?"]
