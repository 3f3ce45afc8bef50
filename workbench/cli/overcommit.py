"""`workbench lab overcommit`: too little memory for the guests, and what that costs in swap."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workbench.cli.output import AllowLostOption, JsonOption, note, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULT_NAME: Final = "overcommit.json"

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--setting",
        metavar="NAME",
        help="One to compare, repeated: on, off, order0, order5, order9, init_on_free.",
    ),
]
AccessOption = Annotated[
    bool,
    typer.Option("--access", help="Record which pages the guests access; slows them (gcc needed)."),
]
Repeats = Annotated[int | None, typer.Option(metavar="N", help="Runs of each setting (8).")]


def overcommit(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A name, or a file.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The traces.")],
    setting: Settings = None,
    repeats: Repeats = None,
    access: AccessOption = False,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run guests in too little memory, with settings in turn, and count what went to swap.

    Where DIR has some of the runs already, only the others are made.

    Example: workbench lab overcommit peaks-alternate -o alternate
    """
    from workbench.capture.recorder import Capture
    from workbench.cli.made_trace import give_to_caller, this_command
    from workbench.lab import load_scenario
    from workbench.lab.overcommit import (
        REPEATS_DEFAULT,
        SETTINGS_DEFAULT,
        perform_runs,
        plan_runs,
        recommended_settings,
    )

    common = recommended_settings(load_scenario(scenario), record_access=access)
    names = tuple(setting or SETTINGS_DEFAULT)
    runs = plan_runs(common, names, REPEATS_DEFAULT if repeats is None else repeats, output)
    output.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "scenario": common.scenario.name,
        "lab_settings": common.as_text(),
        "runs_planned": len(runs),
        "runs": [],
    }
    performed = perform_runs(runs, capture=Capture, command=this_command(), progress=note)
    for figures in performed:
        document["runs"].append(figures)
        _write(document, output / RESULT_NAME)
        give_to_caller(output)
    if as_json:
        print_json(document)
    else:
        _print_runs(document["runs"], names)
    _refuse_losses(document["runs"], allow_lost=allow_lost)


def _write(document: dict[str, Any], path: Path) -> None:
    """Put the document in place in one step: whoever reads meanwhile gets the one before."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(document, sort_keys=True, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


COUNTERS: Final = ("pswpout", "pswpin", "swpout_zero", "swpin_zero")


def _print_runs(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    rows = [
        (run["setting"], str(run["repeat"]), *(f"{run[name]:,}" for name in COUNTERS))
        for run in runs
    ]
    for setting in names:
        own = [run for run in runs if run["setting"] == setting]
        medians = (f"{statistics.median(run[name] for run in own):,.0f}" for name in COUNTERS)
        rows.append((setting, "median", *medians))
    print_table(("setting", "repeat", *COUNTERS), rows, right=("repeat", *COUNTERS))


def _refuse_losses(runs: Sequence[dict[str, Any]], *, allow_lost: bool) -> None:
    from workbench.errors import LostEventsError

    losses = [f"{run['trace']} lost {run['lost_events']:,}" for run in runs if run["lost_events"]]
    if losses and not allow_lost:
        raise LostEventsError(
            f"events were lost ({'; '.join(losses)}); the traces are kept; pass --allow-lost to "
            "accept that"
        )
