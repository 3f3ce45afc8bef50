"""Replay a trace, as captured or with other settings."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from workbench.replay import Replay

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
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replay a trace, as captured or with other settings, and print every metric.

    Example: workbench replay traces/churn-on.trace --set guest.poison_val=0xaaaaaaaa
    """
    from workbench.measure import refused_document, result_document
    from workbench.replay import UnanswerableError, read_settings
    from workbench.replay import replay as run_replay
    from workbench.trace import read_trace

    trace = read_trace(path)
    settings = read_settings(assignments or [], config)
    if output is not None:
        check_output(output)
    try:
        with working(f"replaying {trace.name}"):
            run = run_replay(trace, settings=settings)
    except UnanswerableError as refusal:
        if as_json:
            print_json(refused_document(trace, refusal, settings))
        raise
    document = result_document(run)
    if output is not None:
        _write(run, document, output)
    if as_json:
        print_json(document)
    else:
        _print(run, document)
        if output is not None:
            print_text(f"\nresult, ledger and chart: {output}")
    check_losses(trace, allow_lost=allow_lost)


def _print(run: Replay, document: dict[str, Any]) -> None:
    """Print the metrics; counters that stayed 0 are left out."""
    from workbench.measure import BY_NAME, Aggregate, metric_text

    print_text(f"{run.trace.name}, {run.settings.label}")
    for remark in run.identifiable.notes:
        note(remark)
    rows = [
        (name, metric_text(entry))
        for name, entry in document["metrics"].items()
        if entry["value"] != 0 or BY_NAME[name].aggregate is not Aggregate.COUNT
    ]
    print_table(("metric", "value"), rows, right=("value",))


def _write(run: Replay, document: dict[str, Any], folder: Path) -> None:
    from workbench import plot
    from workbench.measure import write_ledger

    with fresh_result(document, folder) as fresh:
        write_ledger(run, fresh / "ledger.parquet")
        plot.save(plot.resident_memory(run), fresh / "resident_memory.png")
