"""Studies of traces: what they cannot answer is said before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.study_files import HOST, study_of, write_series
from tests.study.test_bad_files import refusal
from tests.synthetic import (
    fault,
    given_back,
    inflate,
    machine,
    report,
    started,
    swap_in,
    write_trace,
)
from workbench.replay import UnanswerableError
from workbench.trace import GuestFacts
from workbench.units import NANOSECONDS

ROOT = Path(__file__).resolve().parents[2]
KIND = "[[guest]]\nname = 't'\ntrace = '{}'\n"


def bundled(name):
    """A kind of guests of one bundled trace."""
    return KIND.format(ROOT / "traces" / f"{name}.trace")


def test_a_trace_becomes_a_guest_and_its_span_gives_the_step(tmp_path):
    study = study_of(tmp_path, bundled("churn-on") + HOST)
    (trace,) = study.guests[0].members

    assert trace.name == "churn-on"
    assert study.step_ns == trace.manifest.duration_ns // 4096
    assert study.remarks == ()


@pytest.mark.parametrize(
    ("text", "lines", "words"),
    [
        (
            bundled("churn-off") + HOST,
            [3],
            "guest 't', trace churn-off, free_page_reporting on: captured with free_page_reporting",
        ),
        (
            bundled("churn-on") + HOST + "[compare.guest]\nreporting_order = [9,\n 0]\n",
            [3, 7],
            "guest 't', trace churn-on, reporting_order 0: captured with reporting_order 9",
        ),
        (
            bundled("churn-on") + "guest = {reporting_order = 0}\n" + HOST,
            [3, 4],
            "trace churn-on, reporting_order 0: captured with",
        ),
    ],
)
def test_what_a_trace_does_not_hold_is_said_with_guest_line_and_setting(
    tmp_path, text, lines, words
):
    with pytest.raises(UnanswerableError) as refused:
        study_of(tmp_path, text)
    where, _, sentence = str(refused.value).partition(": ")

    assert refused.value.exit_code == 8
    assert not refused.value.identifiable.answerable
    assert where.removeprefix(f"{tmp_path}/spring.toml, ") == (
        f"line {lines[0]}" if len(lines) == 1 else f"lines {lines[0]} and {lines[1]}"
    )
    assert sentence.startswith("guest 't'")
    assert words in sentence


def test_guests_that_never_report_need_no_trace_with_reporting(tmp_path):
    text = bundled("churn-off") + "device = {free_page_reporting = false}\n" + HOST
    assert len(study_of(tmp_path, text).variants) == 2


def test_a_share_that_is_inhibited_is_judged_too(tmp_path):
    """Without the discards of the balloon there is less room, and nobody knows how much."""
    rows = [fault(1, 0), inflate(2, 0), swap_in(3, 4096)]
    write_trace(tmp_path / "t.trace", rows, machines=[started(reporting=False)])
    text = KIND.format("t.trace") + "device.free_page_reporting = false\n" + HOST
    study_of(tmp_path, text)
    with pytest.raises(UnanswerableError, match=r"discard_inhibited on: pages were swapped"):
        study_of(tmp_path, text + "[compare]\ninhibited_share = [0.0, 0.5]\n")


@pytest.mark.parametrize(
    ("added", "line", "words"),
    [
        ("huge_share = 0.5\n", 4, "expected none for traces: they have every block"),
        ("clock_offset = '1s'\n", 4, "expected none for traces, which have a clock of their own"),
    ],
)
def test_what_only_series_have(tmp_path, added, line, words):
    lines, sentence = refusal(tmp_path, bundled("churn-on") + added + HOST)

    assert lines == [line]
    assert words in sentence


def test_a_trace_of_two_guests_is_to_be_cut(tmp_path):
    text = bundled("staircase-two-guests") + HOST
    lines, sentence = refusal(tmp_path, text)

    assert lines == [3]
    assert "is of 2 guests, expected one; `workbench slice --vm` keeps one of them" in sentence


def test_recorded_traces_and_series_have_no_clock_in_common(tmp_path):
    write_series(tmp_path)
    recorded = "phase = 'recorded'\n"
    web = "[[guest]]\nname = 'web'\nseries = 'web-1.csv'\n" + recorded
    text = "step = '1s'\n" + bundled("churn-on") + recorded + web + HOST
    lines, sentence = refusal(tmp_path, text)

    assert lines == [4, 8]
    assert "count from the boot of a host, and those of web-1 of guest 'web' count from" in sentence


def test_a_limit_of_swap_is_for_traces(tmp_path):
    limit = "[limit]\nswap_in_pages_per_second = 100\n"
    text = bundled("churn-on") + HOST + "swap = 'zram'\n" + limit
    lines, sentence = refusal(tmp_path, bundled("churn-on") + HOST + limit)

    assert study_of(tmp_path, text).limit.swap_in_pages_per_second == 100.0
    assert lines == [4, 7]
    assert "host '64 GiB' has no swap, expected a device where" in sentence


def test_how_a_trace_was_captured_is_said_where_that_is_kept(tmp_path):
    guest = GuestFacts(
        kernel="6.1.0",
        init_on_free=False,
        reporting_order=3,
        reporting_delay_ns=2 * NANOSECONDS,
        reporting_capacity=32,
    )
    rows = [fault(1, 0), *given_back(report(2, 0)), fault(3, 4)]
    captured = started().model_copy(update={"guest": guest})
    write_trace(tmp_path / "a.trace", rows, machines=[captured])
    write_trace(tmp_path / "b.trace", rows, machines=[captured])
    study = study_of(tmp_path, KIND.format("*.trace") + HOST)
    asked = study_of(
        tmp_path, KIND.format("a.trace") + HOST + "[compare]\nguest.reporting_order = [3]\n"
    )
    keeps = "was recorded with reporting_order 3, and keeps that where no other is compared"

    assert study.remarks == (
        f"guest 't', a: {keeps}",
        "guest 't', b: is the same as a, as if there were two such guests",
        f"guest 't', b: {keeps}",
    )
    assert asked.remarks == ()


def test_a_trace_without_faults_is_no_guest(tmp_path):
    write_trace(tmp_path / "t.trace", [], machines=[machine()])
    manifest = tmp_path / "t.trace" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    blind = text.replace('"name": "events"', '"name": "memory"').replace(
        '"attached": true', '"attached": false'
    )
    manifest.write_text(blind, encoding="utf-8")
    lines, sentence = refusal(tmp_path, KIND.format("t.trace") + HOST)

    assert text != blind
    assert lines == [3]
    assert "the trace has no faults" in sentence
