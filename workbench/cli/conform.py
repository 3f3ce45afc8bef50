"""Run random programs on the model of the balloon device and on QEMU's own, and compare."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from workbench.cli.app import command_app
from workbench.cli.durations import parse_seconds
from workbench.cli.output import (
    LINE_EVERY_S,
    JsonOption,
    note,
    print_json,
    print_table,
    print_text,
)
from workbench.errors import UsageError
from workbench.spelling import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.validation.conform import Outcome, Wishes
    from workbench.validation.finding import Finding

app = command_app()

DEFAULT_COUNT: Final = 20_000
WORKERS_MAX: Final = 256
"""Each has a QEMU of its own, of some 100 MiB."""
_ABOUT_WORKERS: Final = "Processes; one a processor without."
_DIFFERS: Final = 5
"""Exit code: something is not as it was, as for a regression."""
_STEPS_SHOWN: Final = 40


@app.command()
def conform(
    *,
    seed: Annotated[
        str | None, typer.Option(metavar="S", help="Where chance begins; drawn without.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=f"Programs; {DEFAULT_COUNT} without.")
    ] = None,
    seconds: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after, for example, 90s or 5m.")
    ] = None,
    qemu: Annotated[
        str, typer.Option(metavar="PATH", help="The QEMU that is held against the model.")
    ] = "qemu-system-x86_64",
    kind: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this kind; may be repeated.")
    ] = None,
    corpus: Annotated[
        Path, typer.Option(metavar="DIR", help="Where programs that differ are kept.")
    ] = Path("conform-corpus"),
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=WORKERS_MAX, help=_ABOUT_WORKERS)
    ] = None,
    require_coverage: Annotated[
        bool, typer.Option("--require-coverage", help="Fail where a rule was not exercised.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold the model of the balloon device against QEMU's own, with random programs.

    Exit code 5: they differ; the shortest program that shows it is printed, and kept.

    Example: workbench conform --count 2000 --seed 1
    """
    from workbench.validation.conform import Wishes
    from workbench.validation.conform import conform as run_conform

    wishes = Wishes(
        seed=secrets.token_hex(4) if seed is None else seed,
        program_count=count or (None if seconds else DEFAULT_COUNT),
        seconds=None if seconds is None else parse_seconds(seconds),
        qemu=qemu,
        corpus=corpus,
        workers=workers or os.cpu_count() or 1,
        kind_names=_known_kinds(kind or []),
    )
    with _progress(wishes) as progress:
        outcome = run_conform(wishes, progress)
    for name, reason in outcome.left_out.items():
        note(f"left out: {name}: {reason}")
    if as_json:
        print_json(_document(outcome))
    else:
        _print(outcome)
    if outcome.findings or (require_coverage and outcome.unexercised()):
        raise typer.Exit(_DIFFERS)


def _known_kinds(names: list[str]) -> tuple[str, ...]:
    from workbench.validation.kinds import KINDS

    for name in names:
        if name not in KINDS:
            hint = suggestion(name, KINDS, otherwise=f"there are: {', '.join(KINDS)}")
            raise UsageError(f"there is no kind {name!r}{hint}")
    return tuple(names)


@contextlib.contextmanager
def _progress(wishes: Wishes) -> Iterator[Callable[[Outcome], None]]:
    """Show a bar on a terminal, a line a minute elsewhere; say what an interrupted run has done."""
    latest: deque[Outcome] = deque(maxlen=1)
    with _bar(wishes.program_count) as show:

        def progress(outcome: Outcome) -> None:
            latest.append(outcome)
            show(outcome)

        try:
            yield progress
        except KeyboardInterrupt:
            for outcome in latest:
                note(f"until then: {_summary(outcome)}")
            raise


@contextlib.contextmanager
def _bar(total: int | None) -> Iterator[Callable[[Outcome], None]]:
    if not sys.stderr.isatty():
        yield _now_and_then()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("programs", total=total)

        def update(outcome: Outcome) -> None:
            found = f", {len(outcome.findings)} differ" if outcome.findings else ""
            bar.update(task, completed=outcome.program_count, description=f"programs{found}")

        yield update


def _now_and_then() -> Callable[[Outcome], None]:
    """Make what says how far a run is, once in a while: a log has no use for a bar."""
    due_s = LINE_EVERY_S

    def progress(outcome: Outcome) -> None:
        nonlocal due_s
        if outcome.elapsed_s >= due_s:
            note(_summary(outcome))
            due_s = outcome.elapsed_s + LINE_EVERY_S

    return progress


def _document(outcome: Outcome) -> dict[str, Any]:
    from workbench.model.balloon.rules import RULES, UNPROVED

    return {
        "programs": outcome.program_count,
        "differences": [
            finding.to_json() | {"stored": path}
            for finding, path in zip(outcome.findings, outcome.stored, strict=True)
        ],
        "seed": outcome.wishes.seed,
        "rules": {rule: outcome.tally[rule] for rule in RULES},
        "unproved": list(UNPROVED),
        "kinds": outcome.programs,
        "left_out": outcome.left_out,
        "replayed": outcome.replayed,
        "seconds": round(outcome.elapsed_s, 2),
        "qemu": outcome.qemu_version,
    }


def _print(outcome: Outcome) -> None:
    for finding, path in zip(outcome.findings, outcome.stored, strict=True):
        _print_finding(finding, path)
    rows = [
        (name, f"{count:,}", f"{count / max(outcome.seconds[name], 1e-9):,.0f}")
        for name, count in outcome.programs.items()
    ]
    columns = ("kind", "programs", "a second and worker")
    print_table(columns, rows, right=columns[1:])
    print_text("")
    from workbench.model.balloon.rules import RULES

    exercised = [(rule, f"{outcome.tally[rule]:,}", RULES[rule].statement) for rule in RULES]
    print_table(("rule", "exercised", "what it says"), exercised, right=("exercised",))
    missing = outcome.unexercised()
    print_text("")
    if missing:
        print_text(f"never exercised: {', '.join(missing)}")
    print_text(_summary(outcome))


def _summary(outcome: Outcome) -> str:
    rate = outcome.program_count / max(outcome.elapsed_s, 1e-9)
    return (
        f"{outcome.program_count:,} programs against QEMU {outcome.qemu_version} in "
        f"{outcome.elapsed_s:.1f} s ({rate:,.0f} a second), {len(outcome.findings)} differ; "
        f"seed {outcome.wishes.seed}"
    )


def _print_finding(finding: Finding, path: str) -> None:
    print_text(f"{finding.kind_name}: {finding.difference.sentence()}")
    if not finding.reproduced:
        print_text("  (a fresh machine does not show it; all that this one had seen is kept)")
    for number, step in enumerate(finding.steps[:_STEPS_SHOWN]):
        print_text(f"  {number:3} {' '.join(str(part) for part in step)}")
    print_text(f"  kept in {path}\n")
