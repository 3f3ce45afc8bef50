"""The house style, as far as a machine can see it."""

from __future__ import annotations

import ast
import itertools
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "capture",
    "lab",
    "trace",
    "model",
    "replay",
    "measure",
    "study",
    "plot",
    "report",
    "validation",
    "gate",
    "cli",
)

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
LINE_COLUMNS_MAX = 100
TRACE_BYTES_MAX = 1_000_000
CELL_LINES_MAX = 12

CODE = sorted((ROOT / "workbench").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PROBES = sorted((ROOT / "workbench").rglob("*.[ch]"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TRACES = sorted((ROOT / "traces").glob("*.trace"))

NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}

# Assembled, so that this file does not hold what it looks for.
UNWANTED = {
    "a path of one machine": re.compile("|".join(("/" + "root/", "/" + "home/", "/" + "tmp/"))),
    "a file outside the repository": re.compile(r"\.\./" + "shared|/work" + "/"),
    "the address of a package registry": re.compile("pypi" + r"\.org|files\.python" + "hosted"),
    "a note to do something later": re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + r"XX)\b"),
}


def name_of(path):
    """Name a file the way a person would."""
    return str(path.relative_to(ROOT))


def per_file(paths):
    """Make one test of each file, named after it."""
    return pytest.mark.parametrize("path", paths, ids=name_of)


def text_files():
    """List the files of the project that people read."""
    folders = ("workbench", "tests", "notebooks", "docs", "tools", "traces", ".ci")
    made = {"__pycache__", ".ipynb_checkpoints"}
    binary = {".parquet", ".png", ".svg", ".pyc"}
    deep = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    flat = (path for path in ROOT.iterdir() if path.name not in {".git", ".coverage"})
    return sorted(
        path
        for path in (*flat, *deep)
        if path.is_file() and path.suffix not in binary and not made & set(path.parts)
    )


def requirements():
    """List what the project asks of PyPI, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *itertools.chain.from_iterable(extras)]


def definitions(tree):
    """Walk over the functions and classes of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


@per_file([*CODE, *TESTS])
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    long_functions = {
        node.name: length
        for node in definitions(ast.parse(text))
        if not isinstance(node, ast.ClassDef)
        and (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES_MAX
    }

    assert len(lines) <= FILE_LINES_MAX
    assert long_functions == {}


@per_file(PROBES)
def test_lines_of_probes_fit_on_a_page(path):
    """Ruff looks after Python's."""
    long_lines = [
        number
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LINE_COLUMNS_MAX
    ]
    assert long_lines == []


@per_file(CODE)
def test_what_is_public_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nested = {
        child
        for node in definitions(tree)
        if not isinstance(node, ast.ClassDef)
        for child in definitions(ast.Module(body=node.body, type_ignores=[]))
    }
    undocumented = [
        node.name
        for node in definitions(tree)
        if node not in nested and not node.name.startswith("_") and not ast.get_docstring(node)
    ]

    assert ast.get_docstring(tree)
    assert undocumented == []


@per_file([path for path in CODE if path.parent.name != "cli"])
def test_only_the_command_line_prints(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prints = [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.stdout")
    ]
    assert prints == []


@per_file([path for path in CODE if "model" not in path.relative_to(ROOT).parts])
def test_kernels_live_in_the_model_and_nowhere_else(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*@(kernel|njit|jit|vectorize)\b", text, re.MULTILINE)


@per_file([path for path in CODE if path.name != "bcc_loader.py"])
def test_only_the_loader_imports_bcc(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import bcc|from bcc)\b", text, re.MULTILINE)


@per_file([path for path in TESTS if path.parent.name == "naive"])
def test_the_naive_model_shares_nothing_with_the_model(path):
    """If it and the kernels agree, they agree for different reasons."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) (workbench|numba|numpy|pandas)\b", text, re.MULTILINE)


@per_file(CODE)
def test_files_have_telling_names(path):
    assert path.stem not in VAGUE_NAMES


@per_file(text_files())
def test_nothing_points_to_one_machine_or_to_later(path):
    text = path.read_text(encoding="utf-8")
    found = [what for what, pattern in UNWANTED.items() if pattern.search(text)]
    assert found == []


@per_file(NOTEBOOKS)
def test_notebooks_only_call(path):
    """No outputs are stored, nothing is defined, cells are short; a question, and its answer."""
    document = json.loads(path.read_text(encoding="utf-8"))
    cells = document["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    logic = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda, ast.AsyncFunctionDef)
    tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    kinds = [node for source in sources for node in ast.walk(ast.parse(source))]

    assert [cell["outputs"] for cell in code if cell["outputs"]] == []
    assert [cell["execution_count"] for cell in code if cell["execution_count"]] == []
    assert [node for node in kinds if isinstance(node, logic)] == []
    assert [source for source in sources if source.count("\n") >= CELL_LINES_MAX] == []
    assert [cell["source"][0].startswith('TRACE = "') for cell in tagged] == [True]
    assert re.fullmatch(r"# .*\?\n", cells[0]["source"][0])
    assert "assert" in "".join(cells[-1]["source"])
    # What Jupyter adds besides would change with whoever opened it last.
    assert document["metadata"] == NOTEBOOK_METADATA


def test_notebooks_are_numbered_in_reading_order():
    numbers = [int(path.name.partition("_")[0]) for path in NOTEBOOKS]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@per_file(TRACES)
def test_a_bundled_trace_is_small(path):
    size_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size_bytes < TRACE_BYTES_MAX


def test_the_rooms_exist_and_there_are_no_others():
    folders = {
        path.name
        for path in (ROOT / "workbench").iterdir()
        if path.is_dir() and not path.name.startswith("_")
    }
    assert folders == set(ROOMS)


@pytest.mark.parametrize(
    ("name", "listing"),
    [
        ("workbench/__init__.py", r"in the order data walks through them:([^.]*)\."),
        ("ARCHITECTURE.md", r"(?s)(\n\| *`capture`.*)"),
    ],
)
def test_the_rooms_are_listed_in_one_order(name, listing):
    listed = re.search(listing, (ROOT / name).read_text(encoding="utf-8"))
    assert listed is not None
    # Of a table the first column lists the rooms; the last one says what they may import.
    names = re.sub(r"(?m)^(\|[^|]*\|).*", r"\1", listed.group(1))
    where = [re.search(rf"\b{room}\b", names).start() for room in ROOMS]
    assert where == sorted(where)


def test_every_room_is_in_the_layers_and_in_the_tests():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in contracts["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    layered = {name for layer in layers for name in re.findall(r"workbench\.(\w+)", layer)}

    assert set(ROOMS) <= layered
    assert [room for room in ROOMS if not list((ROOT / "tests" / room).glob("test_*.py"))] == []


def test_bcc_is_not_a_dependency():
    """The package of that name on PyPI is something else; see docs/decisions/0001."""
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")

    assert not re.search(r"^bcc\b", pinned, re.MULTILINE)
    assert not [name for name in requirements() if re.match(r"bcc\b", name)]


def test_every_dependency_is_pinned():
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }

    assert {re.match(r"[\w-]+", name).group().lower() for name in requirements()} <= pinned


def test_every_make_target_explains_itself():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z]+):.*## \S", text, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split())

    assert targets == explained == phony


def test_decisions_are_numbered_and_say_what_follows():
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert all(f"## {part}" in text for part in ("Context", "Decision", "Consequences"))
