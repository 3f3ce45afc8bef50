"""Compute a study: what is missing of it, into a folder that keeps all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, print_json, print_table, print_text
from workbench.cli.studies import SchedulerOption, WorkersOption, compute, read

app = command_app()

_WHAT = {
    "profiles": "what guests need",
    "sums": "what they need together",
    "swaps": "what they swap",
}

_COLUMNS = ("", "jobs done", "kept from before")


@app.command()
def sweep(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).")],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Keep what is computed there.")
    ],
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute a study, and keep it; what was computed there before is not computed again.

    Example: workbench sweep spring.toml -o spring.study --workers 8
    """
    made, swept = compute(read(path), output, workers=workers, scheduler=scheduler)
    if as_json:
        print_json({"done": dict(swept.done), "kept": dict(swept.kept), "lineage": made.lineage})
        return
    rows = [
        (what, f"{swept.done[kind]:,}", f"{swept.kept[kind]:,}")
        for kind, what in _WHAT.items()
        if swept.done[kind] or swept.kept[kind]
    ]
    print_table(_COLUMNS, rows, right=_COLUMNS[1:])
    print_text(f"\nanswer, tables and jobs: {output}; `workbench plan {output}` prints the answer")
