"""Write one HTML page with what a trace, a replay's result or a study says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from workbench.cli.app import command_app
from workbench.cli.output import (
    AllowLostOption,
    JsonOption,
    check_file,
    note,
    print_json,
    print_text,
    working,
)
from workbench.cli.question import ConfigOption, SetOption, check_losses
from workbench.errors import InputError, UnidentifiableError, UsageError

if TYPE_CHECKING:
    from workbench.replay import Settings
    from workbench.report import Findings, Report
    from workbench.trace import Trace

app = command_app()

_STUDY_SUFFIX: Final = ".study"
"""Of the folders of studies, as `plan --help` names them."""


@app.command()
def report(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE_OR_RESULT", help="A trace, or what `replay -o` or `plan -o` wrote."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The page to write.")
    ] = Path("report.html"),
    pair: Annotated[
        Path | None,
        typer.Option(
            metavar="TRACE", help="The same scenario, captured with reporting off (or on)."
        ),
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix", help="Ask every combination of poison and reporting too: many replays."
        ),
    ] = False,
    assignments: SetOption = None,
    config: ConfigOption = None,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML page: the machine, what is lost, the answer, charts, tables, the error.

    Example: workbench report traces/pressure-on.trace --pair traces/pressure-off.trace
    """
    from workbench.measure import RESULT_NAME
    from workbench.replay import read_settings
    from workbench.report import render, report_on
    from workbench.study import is_plan
    from workbench.whole_file import replacing

    settings = read_settings(assignments or [], config)
    check_file(output)
    _check_study(path)
    findings = None
    if (path / RESULT_NAME).is_file() or is_plan(path):
        made, said = _of_result(path, is_asked=pair is not None or matrix or bool(settings.changed))
    else:
        findings = _find(path, pair, settings, combine=matrix)
        with working("drawing"):
            made = report_on(findings)
        said = made.headline
    page = render(made)
    with replacing(output.absolute()) as temporary:
        temporary.write_bytes(page)
    if as_json:
        print_json(_document(made, output, len(page)))
    else:
        print_text(f"{said}\n\nreport: {output}")
    if findings is not None:
        _check_answers(findings)
        check_losses(findings.trace, allow_lost=allow_lost)


def _check_study(path: Path) -> None:
    """Answer who names a study that is not computed with what computes it.

    Raises
    ------
    InputError
        It is the file of a study, or a folder that is to be one's.
    """
    if path.suffix == ".toml" and path.is_file():
        folder = path.with_suffix(_STUDY_SUFFIX)
        raise InputError(
            f"{path}: is a study, expected what was computed of it; compute it first (`workbench "
            f"plan {path} -o {folder}`), and name {folder}"
        )
    if path.suffix == _STUDY_SUFFIX and not path.exists():
        raise InputError(
            f"{path}: no such folder of a study; `workbench plan {path.with_suffix('.toml')} "
            f"-o {path}` computes one from its study file"
        )
    if path.is_file():
        raise InputError(f"{path}: is a file, expected the folder of a trace, result or study")


def _of_result(path: Path, *, is_asked: bool) -> tuple[Report, str]:
    """Report on a result of a replay or a study, of which nothing more can be asked.

    Returns
    -------
    The report, and its answer as a terminal shows it: each sentence of a study on its line.
    """
    from workbench.report import read_result, report_on_plan, report_on_result
    from workbench.study import is_plan, read_plan

    if is_asked:
        raise UsageError(
            f"{path}: is a result, computed already; name its trace to ask for other settings "
            "or to compare it with another"
        )
    with working("drawing"):
        if is_plan(path):
            plan = read_plan(path)
            return report_on_plan(plan), "\n".join(plan.sentences)
        made = report_on_result(read_result(path))
    return made, made.headline


def _find(path: Path, pair: Path | None, settings: Settings, *, combine: bool) -> Findings:
    from workbench.report import find
    from workbench.trace import read_trace

    trace = read_trace(path)
    other = None if pair is None else read_trace(pair)
    if pair is None:
        _point_at_pair(trace)
    with working(f"replaying {trace.name}"):
        return find(trace, settings, other, combine=combine)


def _point_at_pair(trace: Trace) -> None:
    """Say which trace of the same folder is the other half of a measured pair."""
    from workbench.measure import is_pair
    from workbench.trace import read_trace

    for path in sorted(trace.path.parent.glob("*.trace")):
        with contextlib.suppress(InputError):  # What else lies there need not be whole.
            other = read_trace(path)
            # To know a pair takes its events: only those of the same scenario are read.
            if other.manifest.scenario == trace.manifest.scenario and (
                is_pair(trace, other) or is_pair(other, trace)
            ):
                note(f"--pair {path} adds what was measured with reporting on and off")
                return


def _check_answers(findings: Findings) -> None:
    """End with its exit code where what was asked for was refused, after the report says why.

    Raises
    ------
    UnidentifiableError
        The trace cannot answer.
    """
    asked = findings.asked or findings.captured
    if asked.answer.reasons:
        raise UnidentifiableError(
            f"{findings.trace.name}: {asked.label}: {'; '.join(asked.answer.reasons)}; the report "
            "says so too"
        )


def _document(made: Report, output: Path, size_bytes: int) -> dict[str, object]:
    return {
        "path": output,
        "bytes": size_bytes,
        "title": made.title,
        "headline": made.headline,
        "sections": [{"key": section.key, "heading": section.heading} for section in made.sections],
        "figures": made.figure_keys,
        "lost_events": made.lost_events,
        "lineage": made.lineage,
    }
