"""`workbench history`: figures over time, and where they changed."""

from __future__ import annotations

import dataclasses
import fnmatch
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from workbench.errors import LostEventsError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from workbench.gate import Trend

app = command_app()

BRANCH_DEFAULT = "main"


@app.command()
def history(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The history, a Parquet file.")],
    *,
    add: Annotated[
        str | None,
        typer.Option("--add", metavar="SIDE", help="Results or traces to add, as for compare."),
    ] = None,
    branch: Annotated[
        str, typer.Option("--branch", metavar="NAME", help="Which branch is added to, or shown.")
    ] = BRANCH_DEFAULT,
    machine: Annotated[
        str | None,
        typer.Option("--machine", metavar="NAME", help="Where it ran, if not as recorded."),
    ] = None,
    commit: Annotated[
        str, typer.Option("--commit", metavar="ID", help="What was measured, for the reader.")
    ] = "",
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="PATTERN",
            help="Which metrics to show; not given, those with a budget.",
        ),
    ] = None,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add figures to a history, or show how they went and where they changed.

    It only reports: the exit code does not depend on what changed.

    Example: workbench history figures.parquet --add runs --branch main --commit 1a2b3c
    """
    from workbench.gate import read_entries, trends

    if add is not None:
        added, rows = _add(
            path, add, branch=branch, machine=machine, commit=commit, allow_lost=allow_lost
        )
        if as_json:
            print_json({"path": path, "rows_added": added, "rows": rows})
        return
    entries = read_entries(path)
    for what, name in (("branch", branch), ("machine", machine)):
        if name is not None:
            _check(path, what, name, {getattr(each, what) for each in entries})
            entries = [each for each in entries if getattr(each, what) == name]
    shown = _shown({each.metric for each in entries}, metric, path)
    found = trends(each for each in entries if each.metric in shown)
    if as_json:
        print_json({"trends": [dataclasses.asdict(each) for each in found]})
        return
    _print(found)
    left_out = len({each.metric for each in entries} - shown)
    if left_out and metric is None:
        verb = "is" if left_out == 1 else "are"
        print_text(f"{left_out:,} more {verb} kept that have no budget; --metric '*' shows all")


def _check(path: Path, what: str, name: str, known: Collection[str]) -> None:
    """Refuse a name or pattern that stands for nothing of what there is."""
    from workbench.errors import UsageError
    from workbench.spelling import suggestion

    if not any(
        fnmatch.fnmatchcase(each, name) if what == "metric" else each == name for each in known
    ):
        there_are = f"there are {', '.join(sorted(known))}" if known else "it is empty"
        close = suggestion(name, sorted(known), otherwise=there_are)
        raise UsageError(f"{path}: has no {what} {name!r}{close}")


def _add(
    path: Path, side: str, *, branch: str, machine: str | None, commit: str, allow_lost: bool
) -> tuple[int, int]:
    """Add a side.  Returns how many rows it has, and how many the history has now."""
    from workbench.gate import add_entries, entries_of, read_side

    with working(f"reading {side}"):
        read = read_side(side)
    lost = sum(run.lost_events for run in read.runs)
    if lost and not allow_lost:
        raise LostEventsError(
            f"{side}: {lost:,} events were lost, so nothing was added; --allow-lost adds it anyway"
        )
    added = datetime.now(UTC).isoformat(timespec="seconds")
    entries = entries_of(read, branch=branch, machine=machine, commit=commit, added=added)
    rows = add_entries(path, entries)
    note(f"{path}: {len(entries):,} rows added, {rows:,} in all")
    return len(entries), rows


def _shown(known: set[str], pattern: str | None, path: Path) -> set[str]:
    """Choose the metrics that a pattern names, or that have a budget where runs are compared."""
    from workbench.gate import Budgets

    if pattern is None:
        budgets = Budgets()
        return {name for name in known if not budgets.of(name, exact=False).ignored}
    _check(path, "metric", pattern, known)
    return {name for name in known if fnmatch.fnmatchcase(name, pattern)}


def _print(found: Sequence[Trend]) -> None:
    from workbench.measure import quantity_text

    if not found:
        return
    rows = [
        (
            each.metric,
            each.subject,
            str(len(each.values)),
            quantity_text(each.values[0], each.unit),
            quantity_text(each.values[-1], each.unit),
            _spark(each.values),
        )
        for each in found
    ]
    right = ("additions", "first", "last")
    print_table(("metric", "subject", *right, "trend"), rows, right=right, fold=False)
    for each in found:
        for point in each.change_points:
            where = f"addition {point.place + 1}" + (f" ({point.commit})" if point.commit else "")
            before, after = (quantity_text(v, each.unit) for v in (point.before, point.after))
            print_text(
                f"{each.metric} of {each.subject} on {each.machine} changed at {where}: {before}, "
                f"then {after}"
            )


_LEVELS = "▁▂▃▄▅▆▇█"

_SPARKS_MOST = 24
"""The newest additions that are drawn."""


def _spark(values: Sequence[float]) -> str:
    shown = values[-_SPARKS_MOST:]
    low, high = min(shown), max(shown)
    if low == high:
        return _LEVELS[0] * len(shown)
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[round(top * (value - low) / (high - low))] for value in shown)
