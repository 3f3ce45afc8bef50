"""Every row of the table of verdicts and exit codes, one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gate.made_runs import PAGE, PLAIN, RECLAIMED, changed, live, side, write_result
from tests.synthetic import trace
from workbench.errors import InputError
from workbench.gate import (
    Budget,
    Budgets,
    Verdict,
    compare_sides,
    figure_cells,
    read_side,
    run_of_trace,
)
from workbench.gate.conditions import CONDITIONS, EXIT_INPUT
from workbench.measure import METRICS
from workbench.trace import read_trace

TRACES = Path(__file__).resolve().parents[2] / "traces"
CHURN_ON, CHURN_OFF = (TRACES / f"churn-{name}.trace" for name in ("on", "off"))

GIVEN_BACK = [150, 151, 152, 153, 154, 155]
"""MiB of six runs, within 4 % of each other."""

MEMORY = [mib << 20 for mib in GIVEN_BACK]


def budgets(**table):
    """Budgets by metric."""
    return Budgets({name: Budget(**budget) for name, budget in table.items()})


def of_results(tmp_path, **overrides):
    """Read two results, of which the second is otherwise."""
    old = read_side(str(write_result(tmp_path / "old")))
    return old, read_side(str(write_result(tmp_path / "new", **overrides)))


def other_model(**figures):
    """Two replays of one recording, by two models."""
    return side(PLAIN), side(replace(changed(**figures), model="fedcba9876543210"))


def scaled(factor):
    """The memory of six runs, so many times as much."""
    return [value * factor for value in MEMORY]


CASES = {
    "equal": lambda _: (side(PLAIN), side(changed())),
    "within": lambda _: (
        side(PLAIN),
        side(changed(reclaimed_bytes=RECLAIMED - PAGE)),
        budgets(reclaimed_bytes={"absolute": PAGE}),
    ),
    "worse": lambda _: (
        live("reclaimed_bytes", MEMORY),
        live("reclaimed_bytes", scaled(0.8)),
    ),
    "one-page": lambda _: (side(PLAIN), side(changed(reclaimed_bytes=RECLAIMED - PAGE))),
    "better": lambda _: (side(PLAIN), side(changed(reclaimed_bytes=RECLAIMED + PAGE))),
    "neither": lambda _: (side(PLAIN), side(changed(reports=13))),
    "ignored": lambda _: (
        side(PLAIN),
        side(changed(reclaimed_bytes=0)),
        budgets(reclaimed_bytes={"ignored": "this guest does not report"}),
    ),
    "few-runs": lambda _: (
        live("reclaimed_bytes", MEMORY),
        live("reclaimed_bytes", scaled(0.5)[:4]),
    ),
    "spread": lambda _: (
        live("reclaimed_bytes", MEMORY),
        live("reclaimed_bytes", scaled(0.95)),
    ),
    "zero": lambda _: (
        live("swap_in_pages", [0, 0, 0, 0, 0, 0]),
        live("swap_in_pages", [900, 950, 1000, 1050, 1100, 1150]),
        budgets(swap_in_pages={"absolute": 500}),
    ),
    "missing": lambda tmp_path: of_results(
        tmp_path, metrics={"drain_seconds": {"value": 2.0, "unit": "s"}}
    ),
    "missing-both": lambda _: (side(PLAIN), side(changed())),
    "unknown-metric": lambda tmp_path: of_results(
        tmp_path, metrics={"warmth": {"value": 1, "unit": "degrees"}}
    ),
    "other-model": lambda _: other_model(reclaimed_bytes=RECLAIMED + PAGE),
    "other-model-worse": lambda _: other_model(reclaimed_bytes=RECLAIMED - PAGE),
    "other-model-equal": lambda _: other_model(),
    "other-model-and-recordings": lambda _: (
        live("reclaimed_bytes", MEMORY),
        live("reclaimed_bytes", MEMORY, model="fedcba9876543210"),
    ),
    "other-machine": lambda _: (
        live("measured_resident_bytes_mean", MEMORY),
        live("measured_resident_bytes_mean", MEMORY, machine="64 processors"),
    ),
    "other-work": lambda _: (
        live("reclaimed_bytes", MEMORY),
        live("reclaimed_bytes", MEMORY, work="churn"),
    ),
    "other-settings": lambda _: (
        live("reclaimed_bytes", MEMORY, setup={"QEMU": "7.2"}),
        live("reclaimed_bytes", MEMORY, setup={"QEMU": "10.0"}),
    ),
    "other-recordings": lambda _: (
        side(PLAIN),
        side(PLAIN, replace(PLAIN, name="more", trace="b" * 64)),
    ),
    "lost": lambda _: (side(PLAIN), side(replace(PLAIN, lost_events=3))),
    "lost-allowed": lambda _: (side(PLAIN), side(replace(PLAIN, lost_events=3))),
    "not-a-number": lambda tmp_path: of_results(
        tmp_path, metrics={"refaults": {"value": float("nan"), "unit": "faults"}}
    ),
    "other-schema": lambda tmp_path: of_results(
        tmp_path,
        lineage={"trace": "a", "model": "m", "versions": {"schema": "7.0"}},
    ),
    "incomplete": lambda _: (side(PLAIN), side(run_of_trace(trace([], complete=False)))),
    "mixed": lambda _: (
        live("reclaimed_bytes", MEMORY),
        side(
            *live("reclaimed_bytes", MEMORY[:3], setup={"free page reporting": "on"}).runs,
            *live("reclaimed_bytes", MEMORY[3:], setup={"free page reporting": "off"}).runs,
        ),
    ),
}
"""What two sides are like, by the row of the table they are for."""

METRIC = {"neither": "reports", "zero": "swap_in_pages", "missing": "drain_seconds"}
MEASURED = {"other-machine": "measured_resident_bytes_mean"}

SAID = {
    "unknown-metric": "warmth",
    "other-model": "The model differs (0123456789abcdef, now fedcba9876543210)",
    "other-model-equal": "The model differs",
    "other-settings": "The sides differ in QEMU: 7.2, now 10.0.",
    "other-recordings": "Only the candidate has more.",
    "lost": "Events were lost in the candidate: churn 3.",
    "lost-allowed": "Events were lost in the candidate: churn 3.",
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_two_sides_have_the_verdict_and_exit_code_of_their_row(name, tmp_path):
    condition = CONDITIONS[name]
    if condition.exit_code == EXIT_INPUT:
        with pytest.raises(InputError):
            compare_sides(*CASES[name](tmp_path))
        return
    comparison = compare_sides(*CASES[name](tmp_path), allow_lost=name == "lost-allowed")
    metric = {**METRIC, **MEASURED}.get(name, "reclaimed_bytes")
    verdicts = {each.verdict.value for each in comparison.figures if each.metric == metric}

    assert comparison.exit_code == condition.exit_code
    if condition.verdict == "not listed":
        metric = "warmth" if name == "unknown-metric" else "swap_out_pages"
        assert metric not in {each.metric for each in comparison.figures}
    else:
        assert condition.verdict in verdicts
    if name in SAID:
        assert SAID[name] in " ".join(comparison.remarks)


def test_every_row_has_a_case():
    assert set(CASES) == set(CONDITIONS)


@pytest.mark.parametrize("value", [0, 2048])
@pytest.mark.parametrize(("runs", "verdict"), [(1, "undecided"), (4, "undecided"), (5, "same")])
def test_equal_values_of_few_recordings_prove_nothing(value, runs, verdict):
    """That one run of each did not swap does not say that the next one will not."""
    sides = [live("swap_in_pages", [value] * runs) for _ in range(2)]
    (figure,) = compare_sides(*sides).figures

    assert figure.verdict.value == verdict
    assert figure_cells(figure).change == ("0 %" if value else "0")


def test_a_setting_is_on_off_or_absent_in_words():
    """Two runs of one scenario, of which one did not report: no Python in what is said of it."""
    made = read_trace(CHURN_ON), read_trace(CHURN_OFF)
    first, second = (run_of_trace(each).setup for each in made)

    assert (first["free page reporting"], first["reporting order"]) == ("on", "9")
    assert (second["free page reporting"], second["reporting order"]) == ("off", "-")
    assert not {"True", "False", "None"} & {*first.values(), *second.values()}


def test_one_run_a_side_says_how_many_would_do():
    """Two different recordings, one each: whatever they differ by may be chance."""
    comparison = compare_sides(live("reclaimed_bytes", [100]), live("reclaimed_bytes", [50]))
    (figure,) = comparison.figures

    assert (figure.verdict, figure.runs_needed, figure.change) == (Verdict.UNDECIDED, 12, -0.5)


@pytest.mark.parametrize("metric", [each for each in METRICS if each.better.value != "neither"])
def test_each_metric_fails_in_its_own_direction(metric):
    """One unit the wrong way is a regression, one the right way is none, whatever the metric."""
    up = compare_sides(side(changed(**{metric.name: 1000})), side(changed(**{metric.name: 1001})))
    down = compare_sides(side(changed(**{metric.name: 1001})), side(changed(**{metric.name: 1000})))
    wrong, right = (up, down) if metric.better.value == "lower" else (down, up)

    assert (wrong.exit_code, right.exit_code) == (5, 0)
    assert wrong.worst.metric == metric.name


def test_a_budget_can_turn_a_metric_round():
    turned = budgets(reclaimed_bytes={"better": "lower"})
    more = side(changed(reclaimed_bytes=RECLAIMED + PAGE))

    assert compare_sides(side(PLAIN), more, turned).exit_code == 5


def test_lost_events_go_before_losses_and_losses_before_doubts():
    worse = changed(reclaimed_bytes=0)
    lossy = replace(worse, lost_events=1)
    new = replace(PLAIN, name="new", trace="b" * 64)

    assert compare_sides(side(PLAIN), side(lossy, new)).exit_code == 7
    assert compare_sides(side(PLAIN), side(worse, new)).exit_code == 5
    assert compare_sides(side(PLAIN), side(PLAIN, new)).exit_code == 6


def test_a_candidate_without_figures_is_refused():
    with pytest.raises(InputError, match="has no figures"):
        compare_sides(side(PLAIN), side())


def test_one_recording_twice_on_a_side_is_refused():
    with pytest.raises(InputError, match="the same recording"):
        compare_sides(side(PLAIN), side(PLAIN, PLAIN))


def test_what_ifs_of_one_recording_are_told_apart_by_their_settings():
    """Two replays of one recording a side: each is compared with the one of its settings."""
    poisoned = replace(changed(reclaimed_bytes=0), settings="poison_val 0xaa")
    comparison = compare_sides(side(PLAIN, poisoned), side(poisoned, PLAIN))

    assert comparison.exit_code == 0
    assert {figure.change for figure in comparison.figures} == {0.0}


def test_results_without_recordings_are_compared_in_what_the_model_gave():
    old = live("measured_resident_bytes_mean", MEMORY)
    result = replace(PLAIN, measured_figures=None, model_figures={"refaults": 1}, work="quick")
    without = [replace(result, trace=str(number)) for number in range(6)]
    comparison = compare_sides(old, side(*without))

    assert "nothing that the host measured" in " ".join(comparison.remarks)
    assert not [each for each in comparison.figures if each.kind == "measured"]
