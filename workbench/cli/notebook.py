"""The notebooks: where they are, how one gets its trace, and how they are executed."""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workbench
from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbclient.exceptions import CellExecutionError

_PACKAGES = ("nbformat", "nbclient", "nbconvert", "ipykernel")

_TIMEOUT_S = 300
"""For one cell: a first run compiles the model."""

_TRACE_LINE = re.compile(r"TRACE = .*")

_ARROW = re.compile(r"^-+> \d+ (.*\S)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def bundled_notebooks() -> list[Path]:
    """List the project's notebooks, in reading order.

    In an installed package they are within it; in a checkout, where people edit them, beside it.
    """
    package = Path(workbench.__file__).parent
    folders = (package / "notebooks", package.parent / "notebooks")
    return next((found for folder in folders if (found := sorted(folder.glob("*.ipynb")))), [])


def lab_command(target: Path) -> str | None:
    """Give the command that opens a notebook, or a folder of them; None if JupyterLab is not here.

    Root has to say that this is meant.
    """
    jupyter = Path(sys.executable).with_name("jupyter")
    if not jupyter.is_file():
        return None
    as_root = "--allow-root " if os.geteuid() == 0 else ""
    return f"{short(jupyter)} lab {as_root}{target}"


def short(path: Path) -> Path:
    """Give a path as one types it from here."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def missing_package() -> str | None:
    """Name a package that executing needs and that is not there."""
    return next((name for name in _PACKAGES if importlib.util.find_spec(name) is None), None)


def trace_of(notebook: Path) -> Path:
    """Give the trace that a notebook reads as it is."""
    line = _parameters(notebook, _read(notebook))[0]
    return (notebook.parent / str(ast.literal_eval(line.partition("=")[2].strip()))).resolve()


def write_with_trace(notebook: Path, trace: Path, output: Path) -> Path:
    """Write a notebook into a folder, with `trace` in the first line of its parameters.

    That line is set, rather than a cell added below it as papermill does: whoever opens the
    notebook finds one place to change.

    Raises
    ------
    InputError
        It is no notebook, or has no such line.
    """
    document = _read(notebook)
    lines = _parameters(notebook, document)
    lines[0] = _TRACE_LINE.sub(lambda _: f"TRACE = {str(trace.resolve())!r}", lines[0])
    written = output / notebook.name
    # As Jupyter writes it, so that saving there changes nothing else.
    text = json.dumps(document, indent=1, ensure_ascii=False)
    written.write_text(f"{text}\n", encoding="utf-8")
    return written


def _read(notebook: Path) -> dict[str, Any]:
    try:
        document = json.loads(notebook.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{notebook}: not a notebook ({error})") from None
    return document if isinstance(document, dict) else {}


def _parameters(notebook: Path, document: dict[str, Any]) -> list[str]:
    """Find the lines of the cell tagged `parameters`: those of the document, to be changed."""
    for cell in document.get("cells", ()):
        lines: list[str] = cell["source"]
        is_tagged = "parameters" in cell["metadata"].get("tags", ())
        if is_tagged and lines and _TRACE_LINE.match(lines[0]):
            return lines
    raise InputError(
        f"{notebook}: has no cell tagged `parameters` whose first line is TRACE = ..., expected "
        "one, as in the project's own notebooks"
    )


def execute(notebooks: Sequence[Path]) -> list[Path]:
    """Execute notebooks where they are, as many at once as there are processors.

    Each has a fresh kernel; results are kept in the notebook, and beside it as HTML that needs no
    network.

    Returns
    -------
    The HTML pages.

    Raises
    ------
    InputError
        A cell failed.
    KeyboardInterrupt
        Somebody wished it to end; the kernels have ended.
    """
    with asyncio.Runner(loop_factory=_DeafLoop) as runner:
        try:
            return runner.run(_execute_all(notebooks))
        except KeyboardInterrupt:
            # What is stopped while it works complains at length that its kernel died.
            runner.get_loop().set_exception_handler(lambda *_: None)
            raise


class _DeafLoop(asyncio.SelectorEventLoop):
    """Takes no handlers of signals: nbclient would put its own in the place of the command's."""

    def add_signal_handler(self, *_: object) -> None:
        """Refuse, as nbclient expects of a loop outside the main thread."""
        raise RuntimeError


async def _execute_all(notebooks: Sequence[Path]) -> list[Path]:
    places = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def execute_one(notebook: Path) -> Path:
        async with places:
            return await _execute(notebook)

    # Each to its end, whatever becomes of the others: a kernel that is stopped while it works
    # complains at length.
    done = await asyncio.gather(*map(execute_one, notebooks), return_exceptions=True)
    for failure in (each for each in done if isinstance(each, BaseException)):
        raise failure
    return [page for page in done if isinstance(page, Path)]


async def _execute(notebook: Path) -> Path:
    # nbclient itself and not papermill, which runs it too: that adds times to the notebook, so that
    # equal inputs no longer give equal bytes, and its parameters are set before.
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    # nbformat declares types for some of its functions only.
    nbformat: Any = importlib.import_module("nbformat")

    document = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        # Sockets in a folder of our own: nobody else on this host can talk to the kernel.
        kernel = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=str(Path(folder) / "kernel")
        )
        client = NotebookClient(
            document,
            km=kernel,
            timeout=_TIMEOUT_S,
            record_timing=False,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(notebook.parent)}},
        )
        try:
            # Before it executes: what is cancelled while it does this there, leaves its kernel.
            await client.async_start_new_kernel()
            await client.async_start_new_kernel_client()
            await client.async_execute(cleanup_kc=True)
        except CellExecutionError as error:
            raise InputError(f"{notebook}: {_failure(error)}") from None
        finally:
            if kernel.has_kernel:
                await kernel.shutdown_kernel(now=True)
    nbformat.write(document, notebook)
    page = notebook.with_suffix(".html")
    page.write_text(_html(document, notebook.stem), encoding="utf-8")
    return page


def _failure(error: CellExecutionError) -> str:
    """Say what a cell raised, and in which of its lines: IPython's first arrow points there."""
    said = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
    arrow = _ARROW.search(_COLOUR.sub("", error.traceback))
    return f"{said}, in `{arrow[1]}`" if arrow else said


def _html(document: Any, title: str) -> str:  # noqa: ANN401 - nbformat's.
    nbconvert: Any = importlib.import_module("nbconvert")
    exporter = nbconvert.HTMLExporter(
        # Without these addresses the page asks no other server for anything.
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    body, _ = exporter.from_notebook_node(document, resources={"metadata": {"name": title}})
    return str(body)
