"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.synthetic_series import write_csv
from tools.render_docs import PAGES, render
from workbench import plot
from workbench.cli import app
from workbench.measure import METRICS
from workbench.schema import TABLES, Kind

ROOT = Path(__file__).resolve().parent.parent
ALL_PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "CHANGELOG.md"
)


def read(name):
    """Read one page."""
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_rendered_tables_are_current(name):
    """If this fails: python tools/render_docs.py."""
    assert render(read(name)) == read(name)


def test_every_column_kind_metric_and_command_is_written_down():
    format_page, metric_page = read("docs/trace-format.md"), read("docs/metrics.md")
    columns = {column.name for table in TABLES.values() for column in table.columns}

    assert {name for name in columns if f"`{name}`" not in format_page} == set()
    assert {kind for kind in Kind if f"`{kind.name.lower()}`" not in format_page} == set()
    assert {m.name for m in METRICS if f"`{m.name}`" not in metric_page} == set()
    assert {
        name for name in app.COMMANDS if f"`workbench {name}`" not in read("README.md")
    } == set()


@pytest.mark.parametrize("path", ALL_PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (path.parent / target).exists()]

    assert missing == []


def test_the_python_of_the_readme_runs(capsys, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    names = {}
    monkeypatch.chdir(ROOT)
    exec(code, names)  # noqa: S102 - our own page.
    shown = capsys.readouterr().out

    assert names["run"].trace.name == "churn-on"
    assert isinstance(plot.resident_memory(names["run"], names["what_if"]), plot.chart.Chart)
    columns = ("as captured", "free_page_reporting off", "difference", "better")
    assert all(column in shown for column in columns)
    assert "..." not in shown
    assert len(code.strip().splitlines()) <= 12


def test_every_chart_is_drawn_by_the_expression_that_the_page_gives(tmp_path, monkeypatch):
    page = read("docs/charts.md")
    expressions = dict(re.findall(r"^\| \[?`(wb\.plot\.(\w+)\(.*?\))`", page, re.MULTILINE))
    start, names = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    samples = write_csv(tmp_path)
    monkeypatch.chdir(ROOT)
    known = {}
    exec(start.split("\n\n")[0], known)  # noqa: S102 - our own page.
    exec(names.replace("samples.csv", str(samples)), known)  # noqa: S102 - likewise.

    assert sorted(expressions.values()) == sorted(set(plot.__all__) - {"save", "theme"})
    for expression in expressions:
        assert isinstance(eval(expression, known), plot.chart.Chart), expression  # noqa: S307


def test_every_option_the_readme_uses_exists(capsys):
    commands = re.findall(
        r"^workbench (\w+(?: run| series| monitoring| overcommit| qemu-log| perfetto)?)([^#\n]*)",
        read("README.md"),
        re.MULTILINE,
    )
    unknown = []
    for command, arguments in commands:
        app.run([*command.split(), "--help"])
        shown = capsys.readouterr().out
        options = re.findall(r"(?<=\s)--?[a-z][a-z-]*", arguments)
        unknown += [(command, option) for option in options if option not in shown]

    assert len(commands) >= 4
    assert unknown == []


def test_the_architecture_fits_on_one_page():
    assert len(read("ARCHITECTURE.md").splitlines()) <= 75
