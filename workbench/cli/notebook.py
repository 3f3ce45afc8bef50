"""Execute a notebook in a fresh kernel, quietly, and keep it as HTML that needs no network."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from workbench.errors import InputError

_PACKAGES = ("nbformat", "nbclient", "nbconvert", "ipykernel")

_TIMEOUT_S = 300
"""For one cell: a first run compiles the model."""


def missing_package() -> str | None:
    """Name a package that is needed and not there."""
    return next((name for name in _PACKAGES if importlib.util.find_spec(name) is None), None)


def execute(notebook: Path, parameters: dict[str, str], output: Path) -> tuple[Path, Path]:
    """Execute a notebook, and write it with its results as .ipynb and .html.

    Parameters
    ----------
    parameters
        Variables to set after the cell tagged `parameters`.

    Raises
    ------
    InputError
        A cell failed.
    """
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    # nbformat declares types for some of its functions only.
    nbformat: Any = importlib.import_module("nbformat")

    document = nbformat.read(notebook, as_version=4)
    _set_parameters(document, parameters)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        # Sockets in a folder of our own: nobody else on this host can talk to the kernel.
        kernel = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=str(Path(folder) / "kernel")
        )
        client = NotebookClient(
            document,
            km=kernel,
            timeout=_TIMEOUT_S,
            resources={"metadata": {"path": str(notebook.parent)}},
        )
        try:
            client.execute(cleanup_kc=True)
        except CellExecutionError as error:
            raise InputError(f"{notebook}: {error.ename}: {error.evalue}") from None
    executed = output / notebook.name
    nbformat.write(document, executed)
    page = executed.with_suffix(".html")
    page.write_text(_html(document, notebook.stem), encoding="utf-8")
    return executed, page


def _set_parameters(document: Any, parameters: dict[str, str]) -> None:  # noqa: ANN401 - nbformat's.
    nbformat: Any = importlib.import_module("nbformat")
    for index, cell in enumerate(document.cells):
        if "parameters" in cell.metadata.get("tags", ()):
            source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
            document.cells.insert(index + 1, nbformat.v4.new_code_cell(source))
            return


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
