"""Capture a real guest on this machine, replay the capture, and lay the two over each other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import (
    AllowLostOption,
    JsonOption,
    note,
    print_json,
    print_table,
    print_text,
    working,
)
from workbench.errors import UsageError
from workbench.units import format_bytes

if TYPE_CHECKING:
    from workbench.lab import Scenario
    from workbench.replay import Replay

app = command_app()

TRACE_NAME = "live.trace"
CHART_NAME = "resident_memory.png"

_ROWS = 16
"""Lines of the table: what fits a small terminal with the rest."""


@app.command()
def live(
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where trace and chart go.")
    ] = Path("live-output"),
    scenario: Annotated[
        str | None, typer.Option(metavar="SCENARIO", help="A scenario; `quick` without.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Make a scenario up from this number.")
    ] = None,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Boot a guest, capture it while it takes and frees memory, replay that, and compare.

    Needs root.  Example: workbench live -o live-output
    """
    from workbench.capture.recorder import Capture
    from workbench.cli.made_trace import give_to_caller, refuse_losses, this_command
    from workbench.lab import LabSettings, run_lab
    from workbench.measure import result_document
    from workbench.replay import replay
    from workbench.trace import read_trace

    settings = LabSettings(scenario=_scenario(scenario, seed))
    _check_output(output)
    fresh = output.with_name(f"{output.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    run_lab(settings, fresh / TRACE_NAME, capture=Capture, command=this_command(), progress=note)
    shutil.rmtree(output, ignore_errors=True)
    fresh.rename(output)
    with working("replaying what was captured"):
        run = replay(read_trace(output / TRACE_NAME))
        _draw(run, output / CHART_NAME)
    give_to_caller(output)
    if as_json:
        places = {"trace": output / TRACE_NAME, "chart": output / CHART_NAME}
        print_json(result_document(run) | places)
    else:
        _print(run, output)
    refuse_losses(output / TRACE_NAME, allow_lost=allow_lost)


def _print(run: Replay, output: Path) -> None:
    columns = ("time", "predicted", "measured")
    print_text(f"{run.trace!r}\n")
    print_table(columns, _rows(run), right=columns)
    print_text(f"{_verdict(run)}\nchart: {output / CHART_NAME}\ntrace: {output / TRACE_NAME}")


def _scenario(name: str | None, seed: int | None) -> Scenario:
    from workbench.lab import load_scenario, random_scenario

    if name is not None and seed is not None:
        raise UsageError("say either --scenario or --seed, not both")
    return load_scenario(name or "quick") if seed is None else random_scenario(seed)


def _check_output(folder: Path) -> None:
    """Refuse to replace anything but what an earlier run of this command left."""
    if folder.exists() and not (folder / TRACE_NAME).is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder}: exists and is not from an earlier run; name another folder")


def _draw(run: Replay, path: Path) -> None:
    from workbench import plot

    plot.save(plot.resident_memory(run), path)


def _rows(run: Replay) -> list[tuple[str, str, str]]:
    """Predicted and measured resident memory, at times spread evenly over the capture."""
    import numpy as np

    from workbench.measure import measured_over_time, memory_over_time

    predicted = memory_over_time(run)
    measured = measured_over_time(run.trace)
    chosen = np.unique(np.linspace(0, len(measured) - 1, _ROWS).astype(int))
    times_s = measured["time_s"].to_numpy()[chosen]
    rows = np.searchsorted(predicted["time_s"].to_numpy(), times_s, side="right") - 1
    return [
        (f"{time_s:.1f} s", format_bytes(before), format_bytes(after))
        for time_s, before, after in zip(
            times_s,
            predicted["resident_bytes"].to_numpy()[np.maximum(rows, 0)],
            measured["measured_resident_bytes"].to_numpy()[chosen],
            strict=True,
        )
    ]


def _verdict(run: Replay) -> str:
    """The model's own error, in a sentence."""
    error = run.model_error["resident_bytes"]
    if error is None:
        return f"How right the replay is, is not known: {run.model_error['reason']}."
    average = (
        f"Against {run.model_error['samples']} samples the replay is off by "
        f"{100 * error['mean']:.3f} % of the peak on average"
    )
    if error["final_pages"] is None:
        return f"{average}; {run.model_error['reason']}."
    return f"{average}, and by {error['final_pages']} pages at the last quiet sample."
