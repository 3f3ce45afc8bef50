"""Cut a part out of a trace, with the state it begins in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.durations import parse_instant
from workbench.cli.output import JsonOption, counting, print_json, print_text
from workbench.cli.question import TraceArgument
from workbench.units import NANOSECONDS

app = command_app()


@app.command(name="slice")
def cut(
    path: TraceArgument,
    *,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Since the trace began; else its beginning."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Likewise; else the trace's end.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--vm", metavar="NAME", help="Only this guest.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The trace folder to make.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Cut a part out of a trace, as a trace of its own that begins with the pages as they were.

    A replay of it, as captured, is that of the whole trace from there on.

    Example: workbench slice traces/churn-on.trace --from 10s --to 20s -o middle.trace
    """
    from workbench.cli.made_trace import give_to_caller
    from workbench.replay import moment_at
    from workbench.trace import Part, read_trace, write_slice

    trace = read_trace(path)
    part = Part(first_ns=_nanoseconds(begin), stop_ns=_nanoseconds(end), machine=machine)
    part.check(trace)
    with counting("events", trace.event_count) as progress:
        moment = moment_at(trace, part.begin_ns(trace.manifest), progress=progress)
        write_slice(trace, output, part, moment)
    give_to_caller(output)
    made = read_trace(output)
    if as_json:
        print_json(
            {
                "trace": output,
                "events": made.event_count,
                "duration_ns": made.manifest.duration_ns,
                "virtual_machines": [one.name for one in made.manifest.virtual_machines],
            }
        )
    else:
        print_text(f"{made!r}\n{output}: `workbench replay {output}` replays it")


def _nanoseconds(text: str | None) -> int | None:
    return None if text is None else round(parse_instant(text) * NANOSECONDS)
