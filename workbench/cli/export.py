"""Write a trace in a format that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, counting, print_json, print_text
from workbench.cli.question import TraceArgument

app = command_app()

OutputOption = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file.")]


@app.callback()
def export() -> None:
    """Write a trace in a format that other tools read."""


@app.command()
def perfetto(path: TraceArgument, *, output: OutputOption, as_json: JsonOption = False) -> None:
    """Write a trace and its replay for ui.perfetto.dev; compressed, if FILE ends in .gz.

    Example: workbench export perfetto traces/churn-on.trace -o churn-on.json.gz
    """
    from workbench.measure import export_perfetto
    from workbench.trace import read_trace

    trace = read_trace(path)
    with counting("events", trace.event_count) as progress:
        export_perfetto(trace, output, progress=progress)
    _say([output], "ui.perfetto.dev opens it", as_json=as_json)


@app.command()
def csv(path: TraceArgument, *, output: OutputOption, as_json: JsonOption = False) -> None:
    """Write the events of a trace as CSV, and beside it what else `workbench import csv` needs.

    Example: workbench export csv traces/churn-on.trace -o churn-on.csv
    """
    from workbench.trace import read_trace
    from workbench.trace.csv_export import export_csv

    trace = read_trace(path)
    with counting("events", trace.event_count) as progress:
        written = export_csv(trace, output, progress=progress)
    _say(written, f"`workbench import csv {output}` reads it back", as_json=as_json)


def _say(files: list[Path], what_next: str, *, as_json: bool) -> None:
    from workbench.cli.made_trace import give_to_caller

    for file in files:
        give_to_caller(file)
    if as_json:
        print_json({"files": files})
    else:
        print_text("\n".join([*map(str, files), what_next]))
