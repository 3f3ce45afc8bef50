"""Make a whole trace of what a damaged one still has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, print_json, print_table, print_text, working
from workbench.units import format_ns

if TYPE_CHECKING:
    from workbench.trace import Dropped

app = command_app()


@app.command()
def repair(
    path: Annotated[Path, typer.Argument(metavar="TRACE", help="A damaged trace folder.")],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The trace folder to make.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Write all that can be read of a trace as a whole one, and say what was dropped.

    A trace whose capture was killed needs no repair to be read.  Events that are known to be lost
    are counted in the new trace, and replays of it say so.

    Example: workbench repair damaged.trace -o repaired.trace
    """
    from workbench.cli.made_trace import give_to_caller
    from workbench.trace import repair_trace

    with working(f"repairing {path}"):
        done = repair_trace(path, output)
    give_to_caller(output)
    if as_json:
        print_json({"trace": output, **_document(done)})
        return
    for name, count in done.rows.items():
        print_text(f"{name}: {count:,} rows kept")
    for name in done.unfinished:
        print_text(f"{name}: never finished, left out")
    if done.dropped:
        print_text("")
        columns = ("dropped of", "file", "rows", "after", "before", "because")
        print_table(columns, [_cells(one) for one in done.dropped], right=("rows",))
    print_text(
        f"\n{done.lost_events:,} events are known to be lost; {output} is {_length(done)} long"
    )


def _length(done: Any) -> str:  # noqa: ANN401 - `Repair`, which is imported when it is made.
    return format_ns(done.duration_ns)


def _document(done: Any) -> dict[str, object]:  # noqa: ANN401 - likewise.
    return {
        "rows": done.rows,
        "dropped": [one._asdict() for one in done.dropped],
        "unfinished": list(done.unfinished),
        "lost_events": done.lost_events,
        "was_complete": done.was_complete,
        "duration_ns": done.duration_ns,
    }


def _cells(one: Dropped) -> tuple[str, ...]:
    rows = "unknown" if one.rows is None else f"{one.rows:,}"
    after, before = ("-" if ns is None else f"{ns} ns" for ns in (one.first_ns, one.last_ns))
    return one.table, one.file, rows, after, before, one.reason
