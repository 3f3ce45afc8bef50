"""`workbench compare`: two results, traces or sets of runs, and a verdict."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import (
    AllowLostOption,
    JsonOption,
    check_file,
    note,
    print_json,
    print_table,
    print_text,
    working,
)

if TYPE_CHECKING:
    from workbench.gate import BudgetFile, Comparison, Side
    from workbench.gate.budgets import Accepted

app = command_app()

_SIDE = "A result, a trace, a folder or quoted pattern of them, or a TOML file of accepted figures."


def _show_schema(asked: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value.
    if asked:
        from workbench.gate import json_schema

        print_json(json_schema())
        raise typer.Exit


BaselineArgument = Annotated[str, typer.Argument(metavar="BASELINE", help=_SIDE)]
CandidateArgument = Annotated[str, typer.Argument(metavar="CANDIDATE", help=_SIDE)]
BudgetOption = Annotated[
    Path | None,
    typer.Option("--budget", metavar="FILE", help="What may be lost, by metric, as TOML."),
]
AcceptOption = Annotated[
    bool, typer.Option("--accept", help="Write the candidate's figures into FILE; keep the old.")
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="For a pull request or a step summary."),
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="As JUnit XML, for CI systems.")
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="One page, with both sides over each other."),
]
EveryOption = Annotated[
    bool, typer.Option("--all", help="Show equal metrics too, and those without a say.")
]
SchemaOption = Annotated[
    bool,
    typer.Option(
        "--json-schema",
        is_eager=True,
        callback=_show_schema,
        help="Print the schema of --json, and nothing else.",
    ),
]


@app.command()
def compare(
    baseline: BaselineArgument,
    candidate: CandidateArgument,
    *,
    budget: BudgetOption = None,
    accept: AcceptOption = False,
    markdown_path: MarkdownOption = None,
    junit_path: JunitOption = None,
    html_path: HtmlOption = None,
    every: EveryOption = False,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
    json_schema: SchemaOption = False,
) -> None:
    """Compare a candidate with a baseline, and say whether anything was lost.

    Exit codes: 0 no loss, 5 a regression, 6 undecided, 7 events were lost; see docs/gate.md.

    Example: workbench compare 'base/on-*.trace' 'new/on-*.trace' --budget budgets.toml
    """
    del json_schema
    _check_outputs(markdown_path, junit_path, html_path)
    from workbench.gate import (
        Budgets,
        compare_sides,
        comparison_document,
        html_page,
        with_accepted,
    )
    from workbench.whole_file import replacing

    budget_path = _budget_path(budget, baseline, accept=accept)
    file = _read_budgets(budget_path, may_be_new=accept)
    first, second = _read(baseline, may_be_new=accept), _read(candidate)
    compared = functools.partial(
        compare_sides, candidate=second, budgets=Budgets(file.budget), allow_lost=allow_lost
    )
    comparison = compared(first, accepted=file.accepted)
    if accept and budget_path is not None:
        accepted = _accept(comparison, budget_path, file, (first, second))
        first = with_accepted(first, accepted)
        comparison = compared(first, accepted=accepted)
    _write(comparison, markdown_path, junit_path)
    if html_path is not None:
        with working("drawing"):
            page = html_page(comparison, first, second)
        with replacing(html_path) as partial:
            partial.write_bytes(page)
    if as_json:
        print_json(comparison_document(comparison))
    else:
        _print(comparison, every=every)
    if comparison.exit_code:
        raise typer.Exit(comparison.exit_code)


def _check_outputs(*paths: Path | None) -> None:
    """Refuse, before anything is replayed, what cannot be written, or only one over the other."""
    from workbench.errors import UsageError

    named = [path for path in paths if path is not None]
    for path in named:
        check_file(path)
    if len({path.resolve() for path in named}) < len(named):
        raise UsageError("two renderings go to one file; name a file for each")


def _budget_path(budget: Path | None, baseline: str, *, accept: bool) -> Path | None:
    """Find the file of budgets: the one that was named, or the baseline if that is one."""
    from workbench.errors import UsageError

    if budget is None and baseline.endswith(".toml"):
        return Path(baseline)
    if budget is None and accept:
        raise UsageError("--accept writes into the budget file; name one, --budget budgets.toml")
    return budget


def _read_budgets(path: Path | None, *, may_be_new: bool) -> BudgetFile:
    from workbench.gate import BudgetFile, read_budget_file

    if path is None or (may_be_new and not path.exists()):
        return BudgetFile()
    return read_budget_file(path)


def _read(text: str, *, may_be_new: bool = False) -> Side:
    from workbench.gate import Side, read_side

    if may_be_new and text.endswith(".toml") and not Path(text).exists():
        return Side(label=text, runs=(), is_accepted=True)
    with working(f"reading {text}"):
        return read_side(text)


def _write(comparison: Comparison, markdown_path: Path | None, junit_path: Path | None) -> None:
    from workbench.gate import junit_xml, markdown

    for path, render in ((markdown_path, markdown), (junit_path, junit_xml)):
        if path is not None:
            # In place: a step summary is read by somebody who may not own what replaces it.
            path.write_text(render(comparison), encoding="utf-8")


def _print(comparison: Comparison, *, every: bool) -> None:
    from workbench.gate import (
        COLUMNS,
        INTERVAL,
        figure_cells,
        headline,
        is_telling,
        reasons,
        rest_text,
    )

    print_text(headline(comparison))
    for remark in comparison.remarks:
        print_text(remark)
    shown = [each for each in comparison.in_order if every or is_telling(each)]
    has_recordings = any(each.recording for each in shown)
    has_intervals = any(each.low is not None for each in shown)
    keep = [has_intervals or name != INTERVAL for name in COLUMNS]
    columns = [name for name, kept in zip(COLUMNS, keep, strict=True) if kept]
    rows = []
    for each in shown:
        cells = [cell for cell, kept in zip(figure_cells(each), keep, strict=True) if kept]
        rows.append([*cells, each.recording] if has_recordings else cells)
    if rows:
        columns += ["recording"] * has_recordings
        right = ("baseline", "candidate", "change", INTERVAL)
        print_text("")
        print_table(columns, rows, right=right, fold=False)
        print_text("")
    for reason in reasons(shown):
        print_text(reason)
    rest = rest_text(comparison, sum(is_telling(each) for each in comparison.figures))
    if rest and not every:
        print_text(rest)


def _accept(
    comparison: Comparison, path: Path, file: BudgetFile, sides: tuple[Side, Side]
) -> list[Accepted]:
    """Write the candidate's figures down as the baseline from now on, and give what is there."""
    from workbench.errors import LostEventsError, UsageError
    from workbench.gate import accept, write_accepted

    if not comparison.is_exact:
        raise UsageError(
            "--accept is for figures of the same recordings; where these were made anew, give the "
            "new ones as the baseline next time, or a metric a wider budget"
        )
    if comparison.losses_forbid:
        raise LostEventsError("events were lost, so no figure is accepted; see --allow-lost")
    baseline, candidate = sides
    accepted = accept(file.accepted, baseline.runs, candidate.runs)
    write_accepted(path, accepted)
    changed = sum(
        bool(each.candidate) and each.baseline != each.candidate for each in comparison.figures
    )
    runs = len(candidate.runs)
    figures = f"{changed:,} changed {'figure' if changed == 1 else 'figures'}"
    note(f"{path}: {figures} of {runs:,} {'recording' if runs == 1 else 'recordings'} accepted")
    return accepted
