"""Figures over time: what is kept, that nothing is lost, and where they changed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gate.made_runs import FIGURES, live, side, write_result
from tests.gate.made_runs import PLAIN as RUN
from workbench.cli.app import run
from workbench.errors import InputError
from workbench.gate import add_entries, entries_of, read_entries, run_of_trace, trends
from workbench.gate.trend import change_places
from workbench.trace import read_trace

TRACES = Path(__file__).resolve().parents[2] / "traces"

ALIKE = ("churn-on", "churn-init-on-free", "churn-poisoned")

FACTS = {"branch": "main", "machine": None, "commit": "abc", "added": "2026-01-01T00:00:00+00:00"}


def entry(value, **facts):
    """One figure of an addition."""
    (made,) = entries_of(live("reclaimed_bytes", [value], work="quick"), **{**FACTS, **facts})
    return made


def test_runs_of_one_scenario_become_one_row_of_their_mean(tmp_path):
    path = tmp_path / "history.parquet"
    add_entries(path, entries_of(live("reclaimed_bytes", [1, 2, 6]), **FACTS))
    (kept,) = read_entries(path)

    assert (kept.value, kept.runs, kept.subject) == (3.0, 3, "quick, as captured")
    assert (kept.machine, kept.branch, kept.commit) == ("2 processors", "main", "abc")


def test_results_are_kept_by_recording_and_settings_on_any_machine():
    entries = entries_of(side(RUN, replace(RUN, name="other")), **FACTS)
    names = {"churn aaaaaaaa, as captured", "other aaaaaaaa, as captured"}

    assert {each.subject for each in entries} == names
    assert {each.machine for each in entries} == {"any"}
    assert {each.metric for each in entries} == set(FIGURES)


@pytest.mark.parametrize(
    ("reports", "told"),
    [("on", "quick (order 9)"), ("off", "quick (not reporting)"), (None, "quick")],
)
def test_runs_are_kept_apart_by_whether_and_how_they_report(reports, told):
    setup = {"free page reporting": reports, "reporting order": "9"} if reports else {}
    (made,) = entries_of(live("reclaimed_bytes", [1], setup=setup), **FACTS)

    assert made.subject == f"{told}, as captured"


def test_runs_are_kept_apart_by_what_the_lab_was_asked_for():
    read = [run_of_trace(read_trace(TRACES / f"{name}.trace")) for name in ALIKE]
    subjects = {each.subject for each in entries_of(side(*read), **FACTS)}

    assert subjects == {
        "churn (order 9), as captured",
        "churn (order 9), poison init_on_free, as captured",
        "churn (order 9), poison 2863311530, as captured",
    }


@given(values=st.lists(st.lists(st.integers(0, 2**50), min_size=1, max_size=3), max_size=4))
@settings(max_examples=20)
def test_what_was_added_is_read_in_order(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("history") / "h.parquet"
    for each in values:
        add_entries(path, [entry(value) for value in each])

    expected = [float(value) for each in values for value in each]
    assert [each.value for each in (read_entries(path) if values else [])] == expected


def test_whoever_adds_at_the_same_time_gets_in(tmp_path):
    """Eight add a row each, eight times: none replaces what another added."""
    path = tmp_path / "h.parquet"
    with ThreadPoolExecutor(8) as adding:
        list(adding.map(lambda value: add_entries(path, [entry(value)]), range(64)))

    assert sorted(each.value for each in read_entries(path)) == list(range(64))


def test_anybody_can_read_the_file(tmp_path):
    path = tmp_path / "h.parquet"
    add_entries(path, [entry(5)])

    assert pq.read_table(path).to_pylist()[0]["metric"] == "reclaimed_bytes"


@pytest.mark.parametrize("kind", ["absent", "text", "other columns"])
def test_what_is_no_history_is_bad_input_and_stays(tmp_path, kind):
    path = tmp_path / "h.parquet"
    if kind == "text":
        path.write_text("no Parquet")
    elif kind == "other columns":
        pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(InputError, match=r"h\.parquet"):
        read_entries(path)
    if kind != "absent":
        before = path.read_bytes()
        with pytest.raises(InputError):
            add_entries(path, [entry(1)])
        assert path.read_bytes() == before


def test_branches_machines_and_subjects_have_a_trend_each():
    entries = [
        entry(1),
        entry(2),
        entry(3, branch="other"),
        entry(4, machine="other"),
    ]
    found = {(each.branch, each.machine): each.values for each in trends(entries)}

    assert found == {
        ("main", "2 processors"): (1.0, 2.0),
        ("other", "2 processors"): (3.0,),
        ("main", "other"): (4.0,),
    }


def test_a_step_in_noise_is_found_within_a_point_of_where_it_is():
    """8 % down under noise of 2 %, after 25 of 40 additions."""
    noise = np.random.default_rng(1).normal(0, 2, 40)
    values = np.where(np.arange(40) < 25, 100.0, 92.0) + noise

    (place,) = change_places(values)
    assert abs(place - 25) <= 1


def test_noise_alone_has_no_change_points():
    """In 100 series of 40 additions without any change, at most a few say otherwise."""
    random = np.random.default_rng(2)
    found = [change_places(random.normal(100, 2, 40)) for _ in range(100)]

    assert sum(bool(each) for each in found) <= 10


def test_counts_that_are_mostly_equal_do_not_change_at_every_turn():
    """Refaults of live runs, which end up at 0: not a change for each value that differs."""
    values = np.array([7, 9, 11, 8, 6, 8, 6, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], float)

    assert change_places(values)[-1] == 9
    assert len(change_places(values)) <= 2


def test_a_step_without_noise_is_found_and_named_with_its_commit():
    entries = [entry(value, commit=f"c{n}") for n, value in enumerate([7, 7, 7, 5, 5, 5])]
    ((point,),) = [each.change_points for each in trends(entries)]

    assert (point.place, point.commit, point.before, point.after) == (3, "c3", 7.0, 5.0)


@pytest.mark.parametrize("values", [[], [1], [1, 2, 1], [3, 3, 3, 3, 3]])
def test_too_few_points_and_equal_ones_have_no_change(values):
    assert change_places(np.array(values, float)) == []


def test_the_command_adds_shows_and_never_fails_for_what_it_shows(tmp_path, capsys):
    path, worse = tmp_path / "h.parquet", {"reclaimed_bytes": {"value": 1, "unit": "bytes"}}
    for number in range(6):
        name = tmp_path / f"result-{number}c0ffee"
        result = write_result(name, metrics=worse if number >= 3 else {})
        arguments = ["--add", str(result), "--commit", f"c{number}"]
        assert run(["history", str(path), *arguments]) == 0
    capsys.readouterr()

    assert run(["history", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "changed at addition 4 (c3): 744.00 MiB, then 1 B" in shown
    assert "███▁▁▁" in shown
    assert run(["history", str(path), "--metric", "refaults", "--json"]) == 0
    (trend,) = json.loads(capsys.readouterr().out)["trends"]
    assert (trend["metric"], trend["change_points"]) == ("refaults", [])
    assert shown.endswith("3 more are kept that have no budget; --metric '*' shows all\n")
    assert run(["history", str(path), "--metric", "*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["trends"]
    assert {each["metric"] for each in found} == set(FIGURES)
    assert run(["history", str(tmp_path / "none.parquet")]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--branch", "mian"], "no branch 'mian'; did you mean 'main'?"),
        (["--branch", "x"], "no branch 'x'; there are main, nightly"),
        (["--machine", "other"], "no machine 'other'; there are any"),
        (["--metric", "refalts"], "no metric 'refalts'; did you mean 'refaults'?"),
        (["--metric", "nope*"], "no metric 'nope*'; there are events_lost, reclaimed_bytes, "),
    ],
)
def test_what_a_history_does_not_have_is_answered_with_what_it_has(
    tmp_path, capsys, arguments, words
):
    path = tmp_path / "h.parquet"
    for branch in ("main", "nightly"):
        add_entries(path, entries_of(side(RUN), **{**FACTS, "branch": branch}))

    assert run(["history", str(path), *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("value", None), ("value", float("nan")), ("value", float("inf")), ("metric", None)],
)
def test_a_history_with_a_hole_in_it_is_bad_input(tmp_path, column, wrong):
    path = tmp_path / "h.parquet"
    add_entries(path, [entry(1), entry(2)])
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, pa.array([wrong] * 2, field.type)), path)

    with pytest.raises(InputError, match=f"a {column} is missing or no number"):
        read_entries(path)


def test_adding_through_a_link_adds_to_what_it_names(tmp_path):
    path, link = tmp_path / "h.parquet", tmp_path / "link.parquet"
    link.symlink_to(path)
    add_entries(link, [entry(1)])
    add_entries(path, [entry(2)])

    assert link.is_symlink()
    assert [each.value for each in read_entries(path)] == [1, 2]
    assert not (tmp_path / ".link.parquet.lock").exists()


def test_adding_prints_one_document_where_it_is_asked_for(tmp_path, capsys):
    path, result = tmp_path / "h.parquet", write_result(tmp_path / "churn")

    assert run(["history", str(path), "--add", str(result), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"path": str(path), "rows": len(FIGURES), "rows_added": len(FIGURES)}


def test_what_was_lost_is_added_only_where_that_is_allowed(tmp_path, capsys):
    lost = {"events_lost": {"value": 3, "unit": "events"}}
    result, path = write_result(tmp_path / "result", metrics=lost), tmp_path / "h.parquet"
    arguments = ["history", str(path), "--add", str(result)]

    assert run(arguments) == 7
    assert "3 events were lost, so nothing was added" in capsys.readouterr().err
    assert not path.exists()
    assert run([*arguments, "--allow-lost"]) == 0
