"""`workbench lab repeat` and `overcommit`: settings in turn, and what each costs."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workbench.cli.output import AllowLostOption, JsonOption, note, print_json, print_table
from workbench.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.lab import LabSettings, Scenario

RESULT_NAME: Final = "runs.json"

_REPEATS_DEFAULT: Final = 5

_PAIRS_DEFAULT: Final = 8
"""Fewer pairs than this leave an interval of the median that is as wide as the runs' spread."""

ScenarioArgument = Annotated[str, typer.Argument(metavar="SCENARIO", help="A name, or a file.")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The traces.")]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--setting",
        metavar="NAME",
        help="One to compare, repeated: on, off, order0, order5, order9, order10, init_on_free, "
        "locked.",
    ),
]
AccessOption = Annotated[
    bool,
    typer.Option("--access", help="Record which pages the guests access; slows them (gcc needed)."),
]


def repeat(
    scenario: ScenarioArgument,
    *,
    output: OutputOption,
    setting: SettingOption = None,
    repeats: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs of each setting.")
    ] = _REPEATS_DEFAULT,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a guest again and again, with settings in turn, and sum up its memory.

    Where DIR has some of the runs already, only the others are made.

    Example: workbench lab repeat churn --setting order0 --setting off -o churn
    """
    from workbench.lab import LabSettings, load_scenario

    common = LabSettings(scenario=load_scenario(scenario))
    runs = _perform(common, setting, repeats, output, as_json=as_json)
    if not as_json:
        _print_memory(runs)
    _refuse_losses(runs, allow_lost=allow_lost)


def overcommit(
    scenario: Annotated[
        str | None, typer.Argument(metavar="SCENARIO", help="A name, or a file; or --seed.")
    ] = None,
    *,
    output: OutputOption,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Make a scenario up, by chance.")
    ] = None,
    setting: SettingOption = None,
    repeats: Annotated[
        int, typer.Option(metavar="N", min=1, help="Runs of each setting.")
    ] = _PAIRS_DEFAULT,
    access: AccessOption = False,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run guests in too little memory, with settings in turn, and count what went to swap.

    Where DIR has some of the runs already, only the others are made.

    Example: workbench lab overcommit peaks-alternate -o alternate
    """
    from workbench.lab.repeats import recommended_settings

    common = recommended_settings(_overcommit_scenario(scenario, seed), record_access=access)
    runs = _perform(common, setting, repeats, output, as_json=as_json)
    if not as_json:
        _print_swap(runs)
    _refuse_losses(runs, allow_lost=allow_lost)


def _overcommit_scenario(name: str | None, seed: int | None) -> Scenario:
    from workbench.errors import UsageError
    from workbench.lab import load_scenario, random_overcommit_scenario

    if seed is not None and name is None:
        return random_overcommit_scenario(seed)
    if seed is None and name is not None:
        return load_scenario(name)
    raise UsageError("give a scenario, or --seed to make one up; not both")


def _perform(
    common: LabSettings,
    setting: list[str] | None,
    repeat_count: int,
    output: Path,
    *,
    as_json: bool,
) -> list[dict[str, Any]]:
    """Make the runs, and write down after each what all have come to.  Returns the figures."""
    from workbench.capture.recorder import Capture
    from workbench.cli.made_trace import give_to_caller, this_command
    from workbench.lab.repeats import SETTINGS_DEFAULT, alone_in, perform_runs, plan_runs

    planned = plan_runs(common, tuple(setting or SETTINGS_DEFAULT), repeat_count, output)
    output.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    document: dict[str, Any] = {
        "scenario": common.scenario.name,
        "lab_settings": common.as_text(),
        "runs_planned": len(planned),
        "runs": runs,
    }
    performed = perform_runs(planned, capture=Capture, command=this_command(), progress=note)
    with alone_in(output):
        for figures in performed:
            runs.append(figures)
            _write(document, output / RESULT_NAME)
            give_to_caller(output)
    if as_json:
        print_json(document)
    return runs


def _write(document: dict[str, Any], path: Path) -> None:
    """Put the document in place in one step: whoever reads meanwhile gets the one before."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(document, sort_keys=True, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


COUNTERS: Final = ("pswpout", "pswpin", "swpout_zero", "swpin_zero")


def _print_swap(runs: Sequence[dict[str, Any]]) -> None:
    rows = [
        (run["setting"], str(run["repeat"]), *(f"{run[name]:,}" for name in COUNTERS))
        for run in runs
    ]
    for setting, own in _by_setting(runs).items():
        medians = (f"{statistics.median(run[name] for run in own):,.0f}" for name in COUNTERS)
        rows.append((setting, "median", *medians))
    print_table(("setting", "repeat", *COUNTERS), rows, right=("repeat", *COUNTERS))


_MEMORY: Final = ("resident_mean_bytes", "resident_peak_bytes", "resident_final_bytes")


def _print_memory(runs: Sequence[dict[str, Any]]) -> None:
    rows = [
        (run["setting"], str(run["repeat"]), *(format_bytes(_of_guest(run, n)) for n in _MEMORY))
        for run in runs
    ]
    for setting, own in _by_setting(runs).items():
        means = (round(statistics.fmean(_of_guest(run, name) for run in own)) for name in _MEMORY)
        rows.append((setting, "mean", *map(format_bytes, means)))
    columns = ("setting", "repeat", "mean", "peak", "final")
    print_table(columns, rows, right=columns[1:])


def _of_guest(run: dict[str, Any], name: str) -> int:
    (guest,) = run["guests"]
    return int(guest[name])


def _by_setting(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault(run["setting"], []).append(run)
    return found


def _refuse_losses(runs: Sequence[dict[str, Any]], *, allow_lost: bool) -> None:
    from workbench.errors import LostEventsError

    losses = [f"{run['trace']} lost {run['lost_events']:,}" for run in runs if run["lost_events"]]
    if losses and not allow_lost:
        raise LostEventsError(
            f"events were lost ({'; '.join(losses)}); the traces are kept; pass --allow-lost to "
            "accept that"
        )
