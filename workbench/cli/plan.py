"""Say how many guests fit on a host, with reporting and without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, note, print_json, print_table, print_text
from workbench.cli.studies import SchedulerOption, WorkersOption, compute, read
from workbench.errors import UsageError
from workbench.units import format_bytes, format_number

if TYPE_CHECKING:
    from workbench.study import Plan

app = command_app()

_COLUMNS = (
    "host",
    "compared",
    "guests",
    "by seed",
    "gained",
    "90 % of a GiB drains in",
    "held back",
    "refaults",
    "swap out",
)

_SWAP_COLUMNS = (
    "host",
    "compared",
    "guests",
    "pages swapped in",
    "out",
    "in a second",
    "waited",
    "avoided in",
    "out",
)

_LEGEND = """
Gained: guests more than without reporting.
Of a guest on average: held back, what is free in it and cannot be reported, of those with series;
refaults, processor time a day for memory that it takes again, at least.
Swap out: of so many guests in a day, at least."""

_SWAP_LEGEND = """
Of the time until all guests have done what was recorded, on the average of the draws.
In a second: pages that came back in all but the worst 1 % of seconds; waited: for the device, all
guests together; avoided: what so many guests swap without reporting, less this."""


@app.command()
def plan(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", help="A study file (TOML), or the folder that `sweep` wrote."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Keep what is computed there."),
    ] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many guests fit on each host, under each setting, and which settings matter.

    Example: workbench plan spring.toml -o spring.study
    """
    made = _made(path, output, workers, scheduler)
    if as_json:
        print_json(made.to_dict())
        return
    _print(made.to_dict())
    _print_swap(made)
    if output is not None:
        print_text(f"\nanswer, tables and jobs: {output}")


def _made(path: Path, output: Path | None, workers: int | None, scheduler: str | None) -> Plan:
    """Compute what is missing, or read what was computed."""
    from workbench.study import read_plan

    if path.is_dir():
        if output is not None or workers is not None or scheduler is not None:
            raise UsageError(
                f"{path}: is a folder, and its answer only read; to compute, name the study file"
            )
        return read_plan(path)
    return compute(read(path), output, workers=workers, scheduler=scheduler)[0]


def _print(document: dict[str, Any]) -> None:
    for remark in document["remarks"]:
        note(remark)
    print_text("\n".join(document["sentences"]) + "\n")
    rows = document["answers"]
    without = {row["host"]: row["guests"] for row in reversed(rows) if not row["reporting"]}
    print_table(
        _COLUMNS,
        [_cells(row, row["guests"] - without[row["host"]]) for row in rows],
        right=_COLUMNS[2:],
        fold=False,
    )
    print_text(_LEGEND)
    if document["matters"]:
        print_text("\n" + "\n".join(document["matters"]))


def _cells(row: dict[str, Any], gained: int) -> tuple[str, ...]:
    least, most = row["guests_least"], row["guests_most"]
    return (
        row["host"],
        row["label"],
        f"{row['guests']:,}",
        f"{least:,}" if least == most else f"{least:,} to {most:,}",
        f"{gained:+,}" if row["reporting"] else "",
        _seconds(row["drain_90_seconds"]) if row["reporting"] else "",
        _size(row["held_back_bytes"]),
        _seconds(row["refault_cpu_seconds_per_guest_day"]),
        _size(row["swap_out_at_least_bytes_per_day"]),
    )


def _print_swap(made: Plan) -> None:
    """Say what guests swap, where traces tell it page by page; and what that leaves open."""
    from workbench.study.swap_words import swap_means

    if made.swap_sentences:
        print_text("\n" + "\n".join(made.swap_sentences) + "\n")
        print_table(
            _SWAP_COLUMNS,
            [_swap_cells(row) for row in swap_means(made.swap).to_dict("records")],
            right=_SWAP_COLUMNS[2:],
            fold=False,
        )
        print_text(_SWAP_LEGEND)
    if made.swap_notes:
        print_text("\n" + "\n".join(made.swap_notes))


def _swap_cells(row: dict[Any, Any]) -> tuple[str, ...]:
    from workbench.study import WITHOUT_REPORTING

    avoided = row["swap_in_avoided_pages"], row["swap_out_avoided_pages"]
    is_without = row["variant"] == WITHOUT_REPORTING.label
    return (
        row["host"],
        row["variant"],
        f"{row['guests']:,}",
        f"{row['swap_in_pages']:,.0f}",
        f"{row['swap_out_pages']:,.0f}",
        f"{row['swap_in_pages_per_second_p99']:,.0f}",
        _seconds(row["swap_wait_seconds"]),
        *("" if is_without else f"{pages:,.0f}" for pages in avoided),
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{format_number(value)} s"


def _size(value: float | None) -> str:
    return "-" if value is None else format_bytes(value)
