"""The matrix of settings: each cell is the replay that it says, or the reason why there is none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.qemu_lines import LINES, imported
from tests.synthetic import POISONED, machine, started, trace, write_off, write_two_blocks
from workbench.measure import MATRIX_METRICS, metrics, setting_matrix
from workbench.measure.questions import Question
from workbench.measure.setting_matrix import POISONS, REPORTINGS
from workbench.replay import Device, Guest, Settings, identify, replay
from workbench.trace import read_trace

TRACES = Path(__file__).parents[2] / "traces"
OFF, ORDER_0, ORDER_5, ORDER_9, LATER = REPORTINGS


@pytest.fixture(scope="module")
def churn():
    """Read a trace of a guest that reports at order 9."""
    return read_trace(TRACES / "churn-on.trace")


def test_each_cell_is_the_replay_of_its_settings(churn):
    frame = setting_matrix(churn, poisons=POISONS[2:], reportings=[OFF]).set_index("label")

    off = Device(free_page_reporting=False)
    poisoned = Guest(poison_val=0xAAAAAAAA)
    for settings in (
        Settings(),
        Settings(device=off),
        Settings(guest=poisoned),
        Settings(device=off, guest=poisoned),
    ):
        expected = metrics(replay(churn, settings=settings))
        row = frame.loc[settings.label]
        assert {name: row[name] for name in MATRIX_METRICS} == {
            name: expected[name]["value"] for name in MATRIX_METRICS
        }
    assert len(frame) == 4


def test_a_refused_cell_keeps_its_reason_and_no_number(churn):
    frame = setting_matrix(churn, poisons=(), reportings=[ORDER_0])

    assert frame["answerable"].tolist() == [True, False]
    refused = frame.iloc[1]
    assert refused["label"] == "reporting_order 0"
    (reason,) = identify(churn, guest=Guest(reporting_order=0)).reasons
    assert refused["reason"] == reason
    assert refused["short_reason"] == "captured with reporting_order 9"
    assert all(math.isnan(refused[name]) for name in MATRIX_METRICS)


def test_what_was_captured_comes_first_and_once(churn):
    frame = setting_matrix(churn, poisons=POISONS[:1], reportings=[ORDER_9])

    assert frame["poison"].tolist() == ["as captured: no poison"]
    assert frame["reporting"].tolist() == ["as captured: order 9, delay 2.00 s"]
    assert frame["label"].tolist() == ["as captured"]


def test_all_combinations_are_there(tmp_path):
    frame = setting_matrix(write_two_blocks(tmp_path))

    # Of three and five: not poisoned and order 9 is what was captured.
    assert len(frame) == 3 * 5
    assert frame[["poison", "reporting"]].drop_duplicates().shape[0] == 15


def test_orders_of_a_guest_that_does_not_report_ask_it_to(tmp_path):
    """Otherwise they would change nothing, and seem to be answered."""
    frame = setting_matrix(write_off(tmp_path), poisons=())

    assert frame["reporting"].tolist() == [
        "as captured: off", "order 0", "order 5", "order 9", "delay 10 s",
    ]  # fmt: skip
    assert frame["answerable"].tolist() == [True] + [False] * 4
    assert all("free_page_reporting off" in reason for reason in frame["reason"][1:])


def test_a_poisoned_capture_says_so_and_cannot_lose_its_poison():
    made = trace(POISONED, machines=[machine()])
    frame = setting_matrix(made, reportings=())

    assert frame["poison"].tolist() == [
        "as captured: poison_val 0xaaaaaaaa", "no poison", "init_on_free",
    ]  # fmt: skip
    assert not frame["answerable"][1]
    assert "with poison_val 0 they go" in frame["reason"][1]


def test_what_cannot_be_placed_says_in_short_what_stands_in_the_way():
    made = trace(POISONED, machines=[machine()])
    frame = setting_matrix(made, poisons=(), reportings=[OFF])

    assert frame["short_reason"][1] == "QEMU did not discard 2 poisoned ranges"
    assert frame["reason"][1].endswith(frame["short_reason"][1])


def test_machines_of_one_trace_share_their_reason():
    two = read_trace(TRACES / "staircase-two-guests.trace")
    frame = setting_matrix(two, poisons=(), reportings=[ORDER_0])

    names = [machine.name for machine in two.manifest.virtual_machines]
    assert len(names) == 2
    assert not any(name in frame["reason"][1] for name in names)
    assert frame["reason"][1].count("captured with reporting_order 9") == 1


def test_machines_that_differ_are_as_captured_in_fewer_words():
    made = trace([], machines=[started("left"), started("right", reporting=False)])
    frame = setting_matrix(made, poisons=(), reportings=())

    assert frame["reporting"].tolist() == ["as captured: order 9, delay 2.00 s"]


def test_without_faults_counts_of_reports_remain(tmp_path):
    frame = setting_matrix(imported(tmp_path, LINES), poisons=(), reportings=())

    assert frame["discards"][0] >= 0
    assert math.isnan(frame["reclaimed_bytes"][0])


def test_own_questions_can_be_asked(tmp_path):
    inhibited = Question("inhibited", Settings(device=Device(discard_inhibited=True)))
    frame = setting_matrix(write_two_blocks(tmp_path), poisons=(), reportings=[inhibited])

    assert frame["reporting"].tolist()[1] == "inhibited"
    assert frame["discards"].tolist() == [2, 0]


def test_the_error_of_the_model_and_progress_are_told(tmp_path):
    made, told = write_two_blocks(tmp_path), []
    frame = setting_matrix(made, poisons=POISONS[2:], reportings=(), progress=told.append)

    assert frame.attrs["model_error"] == replay(made).model_error
    assert told == [1, 1]
