"""Replay a trace, as captured or with other settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.app import command_app
from workbench.cli.output import (
    AllowLostOption,
    JsonOption,
    counting,
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
    from workbench.replay import Replay, Settings
    from workbench.trace import Trace

app = command_app()


@app.command()
def replay(
    path: TraceArgument,
    *,
    assignments: SetOption = None,
    config: ConfigOption = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Write result, ledger and chart there."),
    ] = None,
    totals: Annotated[
        bool,
        typer.Option(
            "--totals", help="Replay batch by batch, for traces of any size: only what adds up."
        ),
    ] = False,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replay a trace, as captured or with other settings, and print every metric.

    Example: workbench replay traces/churn-on.trace --set guest.poison_val=0xaaaaaaaa
    """
    from workbench.measure import refused_document, result_document
    from workbench.replay import UnanswerableError, lineage, lineage_of_files, read_settings
    from workbench.replay import replay as run_replay
    from workbench.trace import read_trace

    trace = read_trace(path)
    settings = read_settings(assignments or [], config)
    if output is not None:
        if totals:
            raise UsageError("totals have no ledger to write; leave out --output or --totals")
        check_output(output)
    try:
        if totals:
            document = _totals(trace, settings)
        else:
            with working(f"replaying {trace.name}"):
                run = run_replay(trace, settings=settings)
            document = result_document(run)
    except UnanswerableError as refusal:
        if as_json:
            made_of = (lineage_of_files if totals else lineage)(trace, settings)
            print_json(refused_document(trace, refusal, settings, made_of))
        raise
    if output is not None:
        _write(run, document, output)
    if as_json:
        print_json(document)
    else:
        _print(f"{trace.name}, {settings.label}", document)
        if output is not None:
            files = "result, ledger and chart" if trace.manifest.saw_faults else "result and ledger"
            print_text(f"\n{files}: {output}")
    check_losses(trace, allow_lost=allow_lost)


def _totals(trace: Trace, settings: Settings) -> dict[str, Any]:
    """Replay batch by batch, and show how far that is."""
    from workbench.measure import totals

    what, passes = ("events", 1) if settings.runs_as_captured else ("events, each twice", 2)
    with counting(what, passes * trace.event_count) as progress:
        return totals(trace, settings=settings, progress=progress).to_dict()


def _print(title: str, document: dict[str, Any]) -> None:
    """Print the metrics; counters that stayed 0, and what a note explains, are left out."""
    from workbench.measure import BY_NAME, Aggregate, metric_text

    print_text(title)
    notes = document["identifiable"]["notes"]
    for remark in notes:
        note(remark)
    rows = [
        (name, metric_text(entry))
        for name, entry in document["metrics"].items()
        if entry["value"] != 0 or BY_NAME[name].aggregate is not Aggregate.COUNT
        if entry.get("reason") not in notes
    ]
    print_table(("metric", "value"), rows, right=("value",))


def _write(run: Replay, document: dict[str, Any], folder: Path) -> None:
    from workbench import plot
    from workbench.measure import LEDGER_NAME, write_ledger

    with fresh_result(document, folder) as fresh:
        write_ledger(run, fresh / LEDGER_NAME)
        if run.trace.manifest.saw_faults:
            plot.save(plot.resident_memory(run), fresh / "resident_memory.png")
