"""Make a trace that can be shared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, print_json, print_text, working
from workbench.cli.question import TraceArgument

app = command_app()


@app.command()
def anonymize(
    path: TraceArgument,
    *,
    keeps_addresses: Annotated[
        bool,
        typer.Option(
            "--keep-addresses", help="Leave pages where they are, for what-ifs that move them."
        ),
    ] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The trace folder to make.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a trace without names, arguments and dates, its clock and addresses shifted.

    A replay of it, as captured, has the same metrics.  docs/trace-format.md says what stays.

    Example: workbench anonymize morning.trace -o shared.trace
    """
    from workbench.cli.made_trace import give_to_caller
    from workbench.trace import anonymize_trace, read_trace

    trace = read_trace(path)
    with working(f"anonymizing {trace.name}"):
        anonymize_trace(trace, output, keeps_addresses=keeps_addresses)
    give_to_caller(output)
    made = read_trace(output)
    if as_json:
        names = [machine.name for machine in made.manifest.virtual_machines]
        print_json({"trace": output, "events": made.event_count, "virtual_machines": names})
    else:
        print_text(f"{made!r}\n{output}: names and dates are gone; read docs/trace-format.md")
