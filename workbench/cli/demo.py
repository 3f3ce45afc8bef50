"""Replay every bundled trace; write charts and a table, and execute the notebook."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.notebook import lab_command, short
from workbench.cli.output import JsonOption, note, print_json, print_table, print_text, working
from workbench.errors import InputError
from workbench.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.measure import Answer, Savings
    from workbench.replay import Replay
    from workbench.trace import Trace

app = command_app()

_WIDTH = 100
"""Columns of text: what fits beside something else on most screens."""

_COLUMNS = (
    "trace and question",
    "mean",
    "peak",
    "final",
    "returned",
    "discards",
    "swap I/O",
    "answered by",
)
"""On the bundled traces all of them fit into 80 columns."""


@app.command()
def demo(
    traces_folder: Annotated[
        Path, typer.Option("--traces", metavar="DIR", help="A folder of traces.")
    ] = Path("traces"),
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where charts go.")
    ] = Path("demo-output"),
    notebook: Annotated[
        Path, typer.Option("--notebook", metavar="FILE", help="The notebook to execute.")
    ] = Path("notebooks/02_memory_returned.ipynb"),
    as_json: JsonOption = False,
) -> None:
    """Replay every trace under the settings it can answer; write charts, execute the notebook.

    Example: workbench demo --output demo-output
    """
    from workbench.measure import overview

    traces = _read_traces(traces_folder)
    output.mkdir(parents=True, exist_ok=True)
    answers: list[Answer] = []
    with working(f"replaying {len(traces)} traces"):
        answers.extend(overview(traces))
    pairs = [(answer.trace, answer.partner) for answer in answers if answer.partner is not None]
    with working("drawing the charts"):
        charts = _draw(answers, pairs, output)
    with working("executing the notebook"):
        executed = _execute(notebook, answers, output)
    if as_json:
        print_json(_document(answers, pairs, charts, executed))
    else:
        _print(answers, pairs)
        _print_where(output, charts, executed, notebook)


def _read_traces(folder: Path) -> list[Trace]:
    from workbench.trace import read_trace

    paths = sorted(folder.glob("*.trace"))
    if not paths:
        raise InputError(
            f"{folder}: holds no *.trace folder; run this in the checkout, or name a folder of "
            "traces with --traces"
        )
    return [read_trace(path) for path in paths]


# --- the table -----------------------------------------------------------------------------------


def _print(answers: Sequence[Answer], pairs: Sequence[tuple[Trace, Trace]]) -> None:
    from workbench.measure import savings

    notes: dict[str, int] = {}
    rows: list[tuple[str, ...]] = []
    for answer in answers:
        if not answer.settings.changed:
            rows.append((answer.trace.name, *[""] * (len(_COLUMNS) - 1)))
        rows.append(_row(answer, notes))
    print_text("Guest RAM in host memory, and what discards returned of it, in MiB")
    print_table(_COLUMNS, rows, right=_COLUMNS[1:-1], fold=False)
    print_text("")
    for text, number in notes.items():
        _print_wrapped(f"({number}) ", text)
    if pairs:
        _print_wrapped(
            "",
            "Swap I/O is in pages, of the guests; a measured pair (two live runs of one scenario, "
            "reporting on and off) counts the whole host's.  Reporting saved:",
        )
    for on, off in pairs:
        _print_wrapped("  ", f"{on.name}: {_saved_text(savings(on, off))}")


def _print_wrapped(head: str, text: str) -> None:
    lines = textwrap.wrap(
        text,
        min(_WIDTH, shutil.get_terminal_size((_WIDTH, 0)).columns),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )
    print_text("\n".join(lines))


def _row(answer: Answer, notes: dict[str, int]) -> tuple[str, ...]:
    numbers = answer.numbers
    swap_pages = [numbers.get(f"swap_{way}_pages") for way in ("out", "in")]
    return (
        f" {answer.label.removeprefix('free_page_')}",
        *(_mebibytes(numbers.get(f"resident_bytes_{name}")) for name in ("mean", "peak", "final")),
        _mebibytes(numbers.get("reclaimed_bytes")),
        _discards(numbers.get("discards"), numbers.get("ranges")),
        f"{sum(pages for pages in swap_pages if isinstance(pages, int)):,}" if numbers else "-",
        _answered_by(answer, notes),
    )


def _answered_by(answer: Answer, notes: dict[str, int]) -> str:
    if answer.reasons:
        number = notes.setdefault("; ".join(answer.reasons), len(notes) + 1)
        return f"refused ({number})"
    lost_events = answer.trace.manifest.lost_events
    lost = f", {lost_events:,} lost" if lost_events else ""
    if answer.partner is not None:
        return f"measured pair{lost}"
    error = answer.numbers.get("model_error_mean")
    return f"replay ±{100 * error:.2f} %{lost}" if isinstance(error, float) else f"replay{lost}"


def _discards(discards: object, ranges: object) -> str:
    if not isinstance(discards, int) or not isinstance(ranges, int) or ranges == 0:
        return "-"
    return f"{discards:,}" if discards == ranges else f"{discards:,}/{ranges:,}"


def _mebibytes(value: object) -> str:
    return f"{value / MIB:,.0f}" if isinstance(value, int | float) else "-"


def _saved_text(saved: Savings) -> str:
    """Say what was saved, and what that is a share of."""
    text = (
        f"{saved.resident_bytes / MIB:,.0f} of {saved.resident_bytes_off / MIB:,.0f} MiB on average"
    )
    if saved.resident_bytes_off:
        text += f" ({100 * saved.resident_bytes / saved.resident_bytes_off:.0f} %)"
    if saved.swap_pages_off:
        text += (
            f"; {saved.swap_pages:,} of {saved.swap_pages_off:,} pages of swap I/O "
            f"({100 * saved.swap_pages / saved.swap_pages_off:.0f} %)"
        )
    return text


# --- charts and notebook -------------------------------------------------------------------------


def _draw(
    answers: Sequence[Answer], pairs: Iterable[tuple[Trace, Trace]], output: Path
) -> list[Path]:
    from workbench import plot
    from workbench.measure import measured_pair, reclaimed_over_time, report_outcomes, savings

    charts = []
    by_trace: dict[str, list[Replay]] = {}
    reporting = []
    for answer in answers:
        if answer.run is not None:
            by_trace.setdefault(answer.trace.name, []).append(answer.run)
            if answer.numbers["ranges"]:
                reporting.append(answer.run)
    for name, runs in by_trace.items():
        path = output / f"{name}.resident_memory.png"
        charts.append(plot.save(plot.resident_memory(*runs), path))
    for on, off in pairs:
        path = output / f"{on.name}.memory_reclaimed.png"
        charts.append(plot.save(plot.memory_reclaimed(reclaimed_over_time(on, off)), path))
        if savings(on, off).swap_pages_off:
            path = output / f"{on.name}.io_avoided.png"
            charts.append(plot.save(plot.io_avoided(measured_pair(on, off)), path))
    if reporting:
        figure = plot.skip_reasons(report_outcomes(*reporting))
        charts.append(plot.save(figure, output / "skip_reasons.png"))
    return charts


def _execute(notebook: Path, answers: Sequence[Answer], output: Path) -> tuple[Path, Path] | None:
    """Execute the notebook on the first trace that gave memory back, or say why not."""
    from workbench.cli.notebook import execute, missing_package, write_with_trace

    missing = missing_package()
    if missing:
        note(f"notebook not executed: {missing} is not installed (the extra 'notebook' has it)")
        return None
    if not notebook.is_file():
        note(f"notebook not executed: {notebook} is not there (it comes with the checkout)")
        return None
    traces = [answer.trace for answer in answers if answer.numbers.get("reclaimed_bytes")]
    if not traces:
        note("notebook not executed: in none of the traces did memory come back")
        return None
    written = write_with_trace(notebook, traces[0].path, output)
    (page,) = execute([written])
    return written, page


# --- the end -------------------------------------------------------------------------------------


def _print_where(
    output: Path, charts: Sequence[Path], executed: tuple[Path, Path] | None, notebook: Path
) -> None:
    plural = "" if len(charts) == 1 else "s"
    print_text(f"\nCharts      {output}/*.png ({len(charts)} file{plural})")
    if executed is not None:
        print_text(f"Notebook    {executed[1]} (executed just now; {executed[0].name} beside it)")
    if (command := lab_command(notebook)) is not None and notebook.is_file():
        print_text(f"Explore     {command}")
    if shutil.which("workbench") is None:
        activate = Path(sys.prefix, "bin", "activate")
        print_text(f"Next        . {short(activate)}, then `workbench --help` and `python`")


def _document(
    answers: Sequence[Answer],
    pairs: Sequence[tuple[Trace, Trace]],
    charts: Sequence[Path],
    executed: tuple[Path, Path] | None,
) -> dict[str, object]:
    from workbench.measure import savings

    return {
        "answers": [
            {
                "trace": answer.trace.name,
                "settings": answer.label,
                "answered_by": answer.answered_by,
                "partner": None if answer.partner is None else answer.partner.name,
                "reasons": list(answer.reasons),
                "numbers": answer.numbers,
            }
            for answer in answers
        ],
        "saved": {on.name: savings(on, off)._asdict() for on, off in pairs},
        "charts": [str(path) for path in charts],
        "notebook": None if executed is None else str(executed[1]),
    }
