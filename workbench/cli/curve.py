"""Say what hosts of every memory size would swap."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from workbench.cli.question import ConfigOption, SetOption, TraceArgument, check_losses
from workbench.cli.result_folder import check_output, fresh_result
from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.replay import Curve, Settings
    from workbench.trace import Trace

app = command_app()

_RATES = (1000.0, 100.0, 10.0, 1.0, 0.0)
"""Pages a second of which the answer is given if no other is asked for."""
_MARKED_RATE = 100.0
"""The one of them in the chart."""


@app.command()
def curve(
    path: TraceArgument,
    *,
    assignments: SetOption = None,
    config: ConfigOption = None,
    below: Annotated[
        list[float] | None,
        typer.Option(
            metavar="RATE",
            min=0,
            help="Swapped pages a second that are few enough; repeated, the first is in the chart.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write result, curves and chart there."),
    ] = None,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say how much memory a host needs to swap less than so much, with and without reporting.

    Example: workbench curve traces/pressure-order0.trace --below 10
    """
    from workbench.measure import curve_document
    from workbench.replay import read_settings
    from workbench.trace import read_trace

    trace = read_trace(path)
    settings = read_settings(assignments or [], config)
    rates = below or list(_RATES)
    if not all(math.isfinite(rate) for rate in rates):
        raise UsageError("--below is infinite; give a number of pages a second, such as 10")
    if output is not None:
        check_output(output)
    with working(f"following {trace.name}"):
        curves = _curves(trace, settings)
    document = curve_document(curves, rates)
    if output is not None:
        _write(curves, document, below[0] if below else _MARKED_RATE, output)
    if as_json:
        print_json(document)
    else:
        for remark in dict.fromkeys(n for each in curves for n in each.identifiable.notes):
            note(remark)
        _print(document)
        if output is not None:
            print_text(f"\nresult, curves and chart: {output}")
    check_losses(trace, allow_lost=allow_lost)


def _curves(trace: Trace, settings: Settings) -> list[Curve]:
    """Follow the trace with the settings and, if it can tell, without reporting beside them."""
    from workbench.replay import UnanswerableError
    from workbench.replay import curve as curve_of

    curves = [curve_of(trace, settings=settings)]
    device = settings.device.model_copy(update={"free_page_reporting": False})
    without = settings.model_copy(update={"device": device})
    machines = trace.manifest.virtual_machines
    may_report = any(machine.device.free_page_reporting is not False for machine in machines)
    if may_report and without != settings:
        try:
            curves.append(curve_of(trace, settings=without))
        except UnanswerableError as refusal:
            note(f"no curve without reporting: {'; '.join(refusal.identifiable.reasons)}")
    return curves


def _print(document: dict[str, Any]) -> None:
    """Print the answer for each rate, a column for each curve."""
    from workbench.units import format_bytes

    columns = ["pages a second", *(each["label"] for each in document["curves"])]
    rows = []
    for needed in document["memory_needed"]:
        sizes = [
            "no memory is enough" if size is None else format_bytes(size)
            for size in needed["memory_bytes"]
        ]
        rows.append([f"{needed['pages_per_second']:,.6g}", *sizes])
    print_table(columns, rows, right=columns)


def _write(
    curves: Sequence[Curve], document: dict[str, Any], marked_rate: float, folder: Path
) -> None:
    from workbench import plot
    from workbench.measure import curve_frame

    frames = [curve_frame(each) for each in curves]
    with fresh_result(document, folder) as fresh:
        for frame in frames:
            name = str(frame.attrs["label"]).replace(" ", "-").replace(",", "")
            frame.to_parquet(fresh / f"{name}.parquet")
        chart = plot.swap_over_memory(*frames, below=marked_rate)
        plot.save(chart, fresh / "swap_over_memory.png")
