"""The `workbench` command: finds the command that was asked for, and explains what went wrong.

To add a command, write `workbench/cli/NAME.py` and add NAME to `COMMANDS` below:

    '''Say how many events a trace holds.'''

    from __future__ import annotations

    from pathlib import Path
    from typing import Annotated

    import typer

    from workbench.cli.app import command_app
    from workbench.cli.output import JsonOption, print_json, print_text

    app = command_app()


    @app.command()
    def count(
        path: Annotated[Path, typer.Argument(metavar="TRACE", help="A trace folder.")],
        as_json: JsonOption = False,
    ) -> None:
        '''Say how many events a trace holds.

        Example: workbench count traces/churn-on.trace
        '''
        from workbench.trace import read_trace

        ...

Only that one module is imported when the command runs, and none for `workbench --help`.  The
other rooms are imported inside the function, because NumPy, Numba and pandas take seconds; this
is the only room where imports inside functions are allowed (ruff PLC0415 is off here).  A command
with sub-commands (`lab run`) gives its app a callback: `@app.callback()`.

A command returns nothing.  It raises a `WorkbenchError` for everything the user can cause, and
`typer.Exit(code)` where a result has its own exit code.  It prints through `workbench.cli.output`.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from workbench.cli.output import note, print_text
from workbench.cli.stop import stopped_by_signals
from workbench.errors import HostError, InputError, WorkbenchError
from workbench.spelling import shorten, suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "workbench"
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""

_LONGEST_TEXT: Final = 10_000
"""Characters of an error: two of the longest paths that Linux has (PATH_MAX) fit."""

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Entry(NamedTuple):
    """One command: the module that holds its `app`, and its line in `workbench --help`."""

    module: str
    summary: str


COMMANDS: Final[dict[str, Entry]] = {
    "doctor": Entry("workbench.cli.doctor", "Say what this host can and cannot do, and the fix."),
    "capture": Entry("workbench.cli.capture", "Record what a running guest gives back."),
    "lab": Entry("workbench.cli.lab", "Boot a throwaway guest, run a scenario in it, capture it."),
    "info": Entry("workbench.cli.info", "Say what a trace holds, lost, and can answer."),
    "replay": Entry("workbench.cli.replay", "Replay a trace, as captured or with other settings."),
    "repair": Entry("workbench.cli.repair", "Make a whole trace of what a damaged one still has."),
    "slice": Entry(
        "workbench.cli.slice", "Cut out a part of a trace, with the state it begins in."
    ),
    "anonymize": Entry("workbench.cli.anonymize", "Make a trace that can be shared."),
    "report": Entry("workbench.cli.report", "Write one HTML page with the whole story of a trace."),
    "compare": Entry(
        "workbench.cli.compare", "Say whether a candidate lost anything against a baseline."
    ),
    "history": Entry(
        "workbench.cli.history", "Keep figures over time, and say where they changed."
    ),
    "curve": Entry("workbench.cli.curve", "Say what hosts of every memory size would swap."),
    "sweep": Entry("workbench.cli.sweep", "Compute a study of many guests, and keep it."),
    "plan": Entry("workbench.cli.plan", "Say how many guests fit on a host."),
    "validate": Entry(
        "workbench.cli.validate", "Predict settings from captures, and compare with live runs."
    ),
    "import": Entry("workbench.cli.imports", "Read what another tool sampled or logged."),
    "export": Entry("workbench.cli.export", "Write a trace for Perfetto, or as CSV."),
    "demo": Entry("workbench.cli.demo", "Replay every bundled trace; write charts and a table."),
    "notebooks": Entry("workbench.cli.notebooks", "Write the notebooks, about a trace of yours."),
    "conform": Entry(
        "workbench.cli.conform",
        "Hold the model of the device against QEMU's, with random programs.",
    ),
    "live": Entry("workbench.cli.live", "Capture a real guest here, replay it, compare the two."),
}


def command_app() -> typer.Typer:
    """Make the app that a command's module must have, with the house's settings."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


class CommandGroup(TyperGroup):
    """Commands that are imported when they are run, and not before."""

    def list_commands(self, ctx: object) -> list[str]:
        """Name the commands, in the order of a working day."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:  # noqa: ANN401 - Typer hides the type.
        """Import the module of one command."""
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        return typer.main.get_command(importlib.import_module(entry.module).app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as above.
        """Find the command, or say which ones have a similar name."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command '{args[0]}'{_suggestion(args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ANN401 - as above.
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def _suggestion(name: str) -> str:
    return suggestion(name, COMMANDS, otherwise="see `workbench --help`", most=3)


_root = typer.Typer(cls=CommandGroup, rich_markup_mode=None)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value.
    if asked:
        from workbench import __version__

        print_text(f"{PROGRAM} {__version__}")
        raise typer.Exit


@_root.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print it.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print tracebacks (like WORKBENCH_DEBUG=1).")
    ] = False,
) -> None:
    """Replay what balloon devices gave back, and ask what other settings would have done.

    Exit codes: 0 fine, 1 our bug, 2 wrong usage, 3 bad input file, 4 this host cannot do it,
    5 something differs that should not, 6 undecided, 7 events were lost, 8 the trace cannot
    answer that, 130 interrupted.

    Example: workbench replay traces/churn-on.trace
    """
    del version
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    command = typer.main.get_command(_root)
    try:
        code = command.main(
            args=list(arguments) or ["--help"], prog_name=PROGRAM, standalone_mode=False
        )
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost door: everything ends in a sentence.
        if os.environ.get("WORKBENCH_DEBUG"):
            note(traceback.format_exc().rstrip())
        return _explain(error)
    if code == INTERRUPTED:  # Typer makes it of a KeyboardInterrupt.
        note(f"{PROGRAM}: interrupted")
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    """Print one sentence about an error, and return the exit code that belongs to it."""
    if isinstance(error, WorkbenchError):
        text, code = str(error), error.exit_code
    elif isinstance(error, TyperException):
        # Its message names the option, which its text alone does not.
        text, code = error.format_message(), error.exit_code
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory for this ({error}); use a larger host, or `--totals`"
        code = HostError.exit_code
    elif isinstance(error, OSError) and error.errno in _DISK_FULL:
        where = error.filename or "the output"
        text, code = f"{where}: {error.strerror}; nothing more can be written", HostError.exit_code
    elif isinstance(error, OSError) and error.filename is not None:
        text, code = f"{error.filename}: {error.strerror}", InputError.exit_code
    else:
        kind = type(error).__name__
        bug = f"this is a bug in the workbench ({kind}: {error})"
        text = f"{bug}; `{PROGRAM} --debug COMMAND ...` prints where"
        code = WorkbenchError.exit_code
    note(f"{PROGRAM}: {shorten(' '.join(text.split()), _LONGEST_TEXT)}")
    return code


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # What its encoding has not is spelt out.
            stream.reconfigure(errors="backslashreplace")
    with stopped_by_signals():
        code = run(sys.argv[1:])
    sys.exit(code)
