"""Run a notebook's cells in this process: no kernel to start, no model to load again."""

from __future__ import annotations

import ast
import contextlib
import json


def code_cells(notebook):
    """Give the code of a notebook, cell by cell."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cells(notebook):
    """Run all cells in the notebook's folder; give the names, and what each cell shows at its end.

    A cell that fails, or whose result cannot be shown, raises.
    """
    names, shown = {}, []
    with contextlib.chdir(notebook.parent):
        for code in code_cells(notebook):
            body = ast.parse(code).body
            last = body.pop() if isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), notebook.name, "exec"), names)  # noqa: S102 - ours.
            if last is not None:
                value = compile(ast.Expression(last.value), notebook.name, "eval")
                shown.append(_show(eval(value, names)))  # noqa: S307 - ours.
    return names, shown


def _show(result):
    """Give what Jupyter would show of a result: a picture, a page or a text."""
    for form in ("_repr_png_", "_repr_html_", "_repr_markdown_"):
        if hasattr(result, form):
            return getattr(result, form)()
    return repr(result)
