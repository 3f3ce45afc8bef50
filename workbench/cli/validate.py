"""Predict settings from captures of another, and hold that against live runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, note, print_json, print_table, print_text
from workbench.errors import InputError, UsageError

if TYPE_CHECKING:
    from workbench.trace import Trace
    from workbench.validation.validate.predictions import Comparison

app = command_app()


@app.command()
def validate(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Traces, or folders with traces.")
    ],
    *,
    captured: Annotated[
        str | None,
        typer.Option("--from", metavar="SETTING", help="Predict from these, such as 'order 5'."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict every setting that was run live from captures at the finest order, and compare.

    Traces of one scenario are put together by reporting order or off, poison and memory limit.
    Means are taken over as long as the shortest run lasts, from the first step on.

    Example: workbench validate traces
    """
    from workbench.validation.validate.document import COLUMNS, RIGHT, document, rows
    from workbench.validation.validate.predictions import compare_settings

    traces = _traces(folders)
    comparisons = compare_settings(traces, captured_label=captured, progress=note)
    if not comparisons:
        raise UsageError(
            f"{len(traces)} trace(s), and none can be predicted from another: it takes a capture "
            "with reporting on and a run of the same scenario with other settings"
        )
    if as_json:
        print_json(document(comparisons))
        return
    print_table(COLUMNS, rows(comparisons), right=RIGHT, fold=False)
    _print_avoided(comparisons)
    _print_remarks(comparisons)


def _print_avoided(comparisons: list[Comparison]) -> None:
    from workbench.validation.validate.document import AVOIDED_COLUMNS, AVOIDED_RIGHT, avoided_rows

    found = avoided_rows(comparisons)
    if found:
        print_text("\nWhat reporting spared the host's swap:")
        print_table(AVOIDED_COLUMNS, found, right=AVOIDED_RIGHT, fold=False)
        print_text("")


def _traces(folders: list[Path]) -> list[Trace]:
    """Open the traces, and those in the folders; those that cannot be compared are left out."""
    from workbench.trace import read_trace

    paths: dict[Path, None] = {}
    for folder in folders:
        inside = sorted(path.parent for path in folder.glob("*/manifest.json"))
        if not inside and not (folder / "manifest.json").is_file():
            raise InputError(f"{folder}: no trace, and no folder with traces")
        for path in inside or [folder]:
            paths[path] = None
    traces = []
    for trace in map(read_trace, paths):
        if not trace.manifest.lab_settings:
            note(f"{trace.path}: left out, the lab did not make it")
        elif not trace.manifest.complete:
            note(f"{trace.path}: left out, the capture was cut short")
        else:
            traces.append(trace)
    return traces


def _print_remarks(comparisons: list[Comparison]) -> None:
    """Print what a table has no room for: the model's error, what was refused, what is open."""
    for comparison in comparisons:
        question = (
            f"{comparison.workload.label}, {comparison.asked.label} from "
            f"{comparison.captured.label}"
        )
        if comparison.model_error is not None:
            error = f"{comparison.model_error:.2%}".replace("%", " %")
            print_text(
                f"{question}: as captured the model errs by {error} of the peak at most; the runs "
                f"lasted {comparison.captured_ns / 1e9:.1f} s captured, "
                f"{comparison.live_ns / 1e9:.1f} s live"
            )
        for reason in comparison.reasons:
            print_text(f"{question}: cannot answer: {reason}")
    for remark in dict.fromkeys(text for one in comparisons for text in one.notes):
        note(remark)
