r"""Printing: results on stdout, everything said about them on stderr.

With `--json` a command prints one document and nothing else on stdout, so that its output can be
piped.  Progress and notes go to stderr; a bar or spinner is drawn only on a terminal.

    print_json(document)                       one JSON document, keys sorted, never NaN
    print_text("two lines\nof text")            plain text
    print_table(("what", "value"), rows)       an aligned table; cells are text
    note("3 events were lost")                 a line on stderr
    with working("replaying churn"): ...       a spinner on stderr, on a terminal only
    with counting("events", 10) as count: ...  a bar there, or a line a minute; count(1) for each
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from workbench import progress
from workbench.errors import UsageError
from workbench.spelling import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else.")
]
"""The type of every command's `as_json` parameter."""

AllowLostOption = Annotated[
    bool, typer.Option("--allow-lost", help="Exit with 0 although events were lost.")
]
"""The type of the `allow_lost` parameter of every command that can meet losses."""

LINE_EVERY_S: Final = 60.0
"""How often a log is told how far something is."""

_PIPE_COLUMNS: Final = 400
"""Width of tables that do not go to a terminal: wide enough that no cell is wrapped or cut."""


def print_text(text: str) -> None:
    """Print text on stdout; where nobody reads it (any more), the exit code still says the rest."""
    if sys.stdout is None:  # It was closed before we began (`>&-`).
        return
    try:
        sys.stdout.write(visible(text.rstrip("\n")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again at exit when it flushes; there is nobody left to complain to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_file(path: Path) -> None:
    """Refuse, before anything is replayed, what no file can be written to.

    Raises
    ------
    UsageError
        It is a folder, or there is no folder to write it into.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, expected the name of a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent} to write it into")


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document.

    Raises
    ------
    ValueError
        A number is NaN or infinite.  A ratio that has no value is None, with a reason beside it.
    """
    print_text(json.dumps(document, sort_keys=True, indent=2, allow_nan=False, default=_plain))


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    fold: bool = True,
) -> None:
    """Print an aligned table; the columns named in `right` are aligned to the right.

    Where the terminal is too narrow, cells are folded; without `fold` the columns move together
    instead, and no cell is ever broken.
    """
    # Rich takes a tenth of a second to import, which `--json` and `--help` need not wait for.
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    paper = io.StringIO()
    width = None if fold and sys.stdout.isatty() else _PIPE_COLUMNS
    console = Console(file=paper, width=width, force_terminal=False)
    if not fold:
        needed = Measurement.get(console, console.options, table).maximum
        if needed > shutil.get_terminal_size((needed, 0)).columns:
            table.show_edge, table.padding = False, 0
    console.print(table)
    lines = (line.rstrip() for line in paper.getvalue().splitlines())
    print_text("\n".join(lines).strip("\n"))


def note(text: str) -> None:
    """Say something on stderr."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()


working = progress.working


@contextlib.contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of so many are done: a bar on a terminal, a line a minute elsewhere.

    What is given is to be called with how many are done more.
    """
    if not sys.stderr.isatty():
        yield _now_and_then(what, total)
        return
    with progress.counting(what, total) as count:
        yield count


def _now_and_then(what: str, total: int) -> Callable[[int], None]:
    """Make what says how far it is, once in a while: a log has no use for a bar."""
    done, begun_s = 0, time.monotonic()
    due_s = begun_s + LINE_EVERY_S

    def count(more: int) -> None:
        nonlocal done, due_s
        done += more
        now_s = time.monotonic()
        if now_s >= due_s:
            left = progress.time_left(done, total, now_s - begun_s)
            note(f"{what}: {done:,} of {total:,}{left}")
            due_s = now_s + LINE_EVERY_S

    return count


def _plain(value: object) -> object:
    """Turn what JSON does not know into what it does: NumPy, pydantic, paths, dataclasses."""
    for method in ("tolist", "model_dump"):
        if hasattr(value, method):
            return getattr(value, method)()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    message = f"JSON has no form for a {type(value).__name__}"
    raise TypeError(message)
