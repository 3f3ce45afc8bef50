"""Runs with settings in turn: their order, what is run again, and what is counted."""

from __future__ import annotations

import pytest

from tests.synthetic import (
    HUGE,
    event,
    fault,
    features,
    given_back,
    report,
    sample,
    started,
    swap_in,
    swap_out,
    trace,
    write_trace,
)
from workbench.errors import UsageError
from workbench.lab import load_scenario, parse_scenario, repeats
from workbench.lab.repeats import (
    alone_in,
    perform_runs,
    plan_runs,
    recommended_settings,
    run_figures,
)
from workbench.schema import FaultFlag, Kind
from workbench.units import GIB, MIB, PAGE_BYTES

HOST = "host guests 2\nhost memory-limit 300M\nhost swap 1G\n"
SCENARIO = parse_scenario(f"{HOST}idle 1", name="test")
COMMON = recommended_settings(SCENARIO)


def test_the_scenario_says_how_its_host_is() -> None:
    """Every line of `host` becomes a setting."""
    readahead = recommended_settings(load_scenario("readahead"))

    assert (COMMON.guest_count, COMMON.memory_limit_bytes, COMMON.zram_bytes) == (
        2,
        300 * MIB,
        GIB,
    )
    assert (readahead.zram_bytes, readahead.swap_file_bytes, readahead.page_cluster) == (
        None,
        2 * GIB,
        3,
    )


@pytest.mark.parametrize("host", ["", "host memory-limit 300M\n", "host swap 1G\n"])
def test_a_scenario_without_limit_or_swap_is_refused(host) -> None:
    """Nothing would be overcommitted, or a guest killed; the message shows the lines to write."""
    with pytest.raises(UsageError, match="`host memory-limit 600M` and `host swap 2G`"):
        recommended_settings(parse_scenario(f"{host}idle 1", name="test"))


def test_settings_take_turns_and_every_second_turn_is_the_other_way_round(tmp_path) -> None:
    """A drift of the host's speed favours none."""
    runs = plan_runs(COMMON, ("on", "off", "order0"), 3, tmp_path)

    assert [run.trace.name for run in runs] == [
        "on-01.trace",
        "off-01.trace",
        "order0-01.trace",
        "order0-02.trace",
        "off-02.trace",
        "on-02.trace",
        "on-03.trace",
        "off-03.trace",
        "order0-03.trace",
    ]


def test_each_setting_changes_what_its_name_says(tmp_path) -> None:
    """And nothing else."""
    runs = plan_runs(COMMON, tuple(repeats.SETTINGS), 1, tmp_path)
    common = COMMON.as_text()
    changes = {
        run.setting: {k: v for k, v in run.settings.as_text().items() if common[k] != v}
        for run in runs
    }

    assert changes == {
        "on": {},
        "off": {"reporting": "False"},
        "order0": {"reporting_order": "0"},
        "order5": {"reporting_order": "5"},
        "order9": {"reporting_order": "9"},
        "order10": {"reporting_order": "10"},
        "init_on_free": {"poison": "init_on_free"},
        "locked": {"lock_memory": "True"},
    }


@pytest.mark.parametrize(
    ("names", "repeats", "problem"),
    [
        (("on", "of"), 1, "unknown setting 'of'.*did you mean 'off'"),
        (("on", "on"), 1, "name each only once"),
        (("on",), 0, "choose 1 or more"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path, names, repeats, problem) -> None:
    """In a sentence that says what would."""
    with pytest.raises(UsageError, match=problem):
        plan_runs(COMMON, names, repeats, tmp_path)


@pytest.fixture
def played(monkeypatch):
    """Instead of guests, which take a minute: traces written by hand.  Gives the runs' settings."""
    asked = []

    def run_lab(settings, output, **_options):
        asked.append(settings)
        if len(asked) == 2:
            output.mkdir()
            raise KeyboardInterrupt
        return write_trace(
            output, [fault(1, 0)], scenario="test", lab_settings=settings.as_text()
        ).path

    monkeypatch.setattr(repeats, "run_lab", run_lab)
    return asked


def perform(runs):
    """Perform runs; give their figures."""
    return list(perform_runs(runs, capture=None, command="a test", progress=lambda _: None))


def same_text(runs):
    """The traces written by hand have no text of a scenario."""
    return [repeats.replace(run, settings=_without_text(run.settings)) for run in runs]


def _without_text(settings):
    scenario = repeats.replace(settings.scenario, text="")
    return repeats.replace(settings, scenario=scenario)


def test_an_interrupted_series_goes_on_where_it_stopped(played, tmp_path) -> None:
    """What was whole is kept and counted, what was not is made again; nothing else is left."""
    runs = same_text(plan_runs(COMMON, ("on", "off"), 1, tmp_path))
    with pytest.raises(KeyboardInterrupt):
        perform(runs)
    figures = perform(runs)

    assert [settings.reporting for settings in played] == [True, False, False]
    assert [(run["setting"], run["repeat"]) for run in figures] == [("on", 1), ("off", 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["off-01.trace", "on-01.trace"]


def test_one_series_at_a_time_is_made_in_a_folder(tmp_path) -> None:
    """The next may be made when it is over."""
    with alone_in(tmp_path), pytest.raises(UsageError, match="another series"), alone_in(tmp_path):
        pass
    with alone_in(tmp_path):
        pass


def test_a_trace_of_other_settings_is_not_taken_for_a_run(played, tmp_path) -> None:
    """A folder holds runs of one kind; the message says what differs."""
    perform(same_text(plan_runs(COMMON, ("on",), 1, tmp_path)))
    larger = repeats.replace(COMMON, memory_limit_bytes=GIB)

    with pytest.raises(UsageError, match="made with another memory_limit_bytes"):
        perform(same_text(plan_runs(larger, ("on",), 1, tmp_path)))
    with pytest.raises(UsageError, match="made with another scenario"):
        perform(plan_runs(COMMON, ("on",), 1, tmp_path))
    assert len(played) == 1


def test_the_figures_are_those_of_each_guest() -> None:
    """Pages out and in of its own RAM, what it gave back, how much of it was where."""
    cached = swap_in(5, 0) | {"length_bytes": 0}
    other = swap_in(6, PAGE_BYTES) | {"vm": 1}
    read_only = event(7, Kind.FAULT, ram_block=0, status=int(FaultFlag.WRITE))
    run = trace(
        [
            features(0.5),
            fault(1, 0),
            fault(1, 2, vm=1),
            swap_out(2, 0),
            swap_in(3, 0),
            cached,
            other,
            read_only,
            *given_back(report(8, HUGE, element=1)),
        ],
        machines=[started(), started("guest1")],
        samples=[
            sample(1.5, HUGE) | {"swap_out_pages": 0, "swap_out_zero_pages": 0},
            sample(1.5, HUGE, vm=1),
            sample(2.5, 0, HUGE) | {"swap_out_pages": 500, "swap_out_zero_pages": 12},
            sample(2.5, HUGE, vm=1) | {"swap_out_pages": 512, "swap_out_zero_pages": 24},
        ],
    )
    figures = run_figures(run)
    first, second = figures["guests"]

    assert (figures["pswpout"], figures["swpout_zero"], figures["pswpin"]) == (512, 24, 0)
    assert (first["swap_out_pages"], first["swap_in_pages"]) == (512, 2)
    assert (second["swap_out_pages"], second["swap_in_pages"]) == (0, 1)
    assert figures["unattributed_swap_outs"] == 0
    assert (first["discarded_bytes"], second["discarded_bytes"]) == (HUGE, 0)
    assert (first["resident_peak_bytes"], first["resident_mean_bytes"]) == (HUGE, HUGE // 2)
    assert (first["resident_final_bytes"], second["resident_final_bytes"]) == (0, HUGE)
    assert (first["swapped_peak_bytes"], second["swapped_peak_bytes"]) == (HUGE, 0)
