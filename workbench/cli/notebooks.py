"""Write the notebooks into a folder, set to a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, print_json, print_text, working
from workbench.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = command_app()


@app.command()
def notebooks(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where they go.")],
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="TRACE", help="What they are about.  [bundled traces]"),
    ] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Execute them, and keep each as HTML too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the notebooks into a folder, about a trace of yours.

    Example: workbench notebooks -o mine --trace mine.trace --execute
    """
    from workbench.cli import notebook
    from workbench.trace import read_trace

    missing = notebook.missing_package() if execute else None
    if missing:
        raise HostError(
            f"{missing} is not installed; install the extra: balloon-workbench[notebook]"
        )
    bundled = notebook.bundled_notebooks()
    sources = {each: trace or notebook.trace_of(each) for each in bundled}
    _refuse_missing(list(sources.values()), trace)
    for path in set(sources.values()):
        read_trace(path)
    _refuse_overwriting(bundled, output)
    output.mkdir(parents=True, exist_ok=True)
    written = [notebook.write_with_trace(each, path, output) for each, path in sources.items()]
    pages: list[Path] = []
    if execute:
        with working(f"executing {len(written)} notebooks"):
            pages = notebook.execute(written)
    if as_json:
        print_json({"trace": trace, "notebooks": written, "pages": pages})
        return
    for path in pages or written:
        print_text(str(path))
    if not pages and (command := notebook.lab_command(output)) is not None:
        print_text(f"\n`{command}` opens them")


def _refuse_missing(paths: Sequence[Path], trace: Path | None) -> None:
    """The bundled traces come with the checkout, and not with an installed package."""
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None and trace is None:
        raise UsageError(
            f"{missing}: not there, because the bundled traces come with the checkout only; name "
            "a trace with --trace, such as one of `workbench capture`"
        )


def _refuse_overwriting(bundled: Sequence[Path], output: Path) -> None:
    for name in (name for path in bundled for name in (path.name, f"{path.stem}.html")):
        if (output / name).exists():
            raise UsageError(f"{output / name}: exists already; name another folder or remove it")
