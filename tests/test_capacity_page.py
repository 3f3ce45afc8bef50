"""The worked example of docs/capacity.md is what its commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.study import read_plan

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")

_, _, BEHIND = PAGE.partition("## A worked example\n")
EXAMPLE = BEHIND.partition("\n## ")[0]
BLOCK = re.compile(r"^```(sh|toml|text)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(EXAMPLE)
NUMBER = re.compile(r"(?<![\w.-])\d+(?:[.,]\d+)*(?![\w-])")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a place for what the page makes."""
    return tmp_path_factory.mktemp("capacity")


@pytest.fixture(scope="module")
def printed(folder):
    """Follow the page: write its study file, run its commands; give what each block prints."""
    (folder / "tools").symlink_to(ROOT / "tools")
    commands = folder / "bin"
    commands.mkdir()
    for name, what in (("workbench", "-m workbench"), ("python", "")):
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"\n')
        path.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
    }
    said = []
    for kind, content in BLOCKS:
        if kind == "toml":
            (folder / "spring.toml").write_text(content, encoding="utf-8")
        if kind == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", content],
                cwd=folder, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)
    assert (folder / "spring.html").stat().st_size > 0
    return said


def test_each_command_prints_what_the_page_shows(printed):
    shown = [content for kind, content in BLOCKS if kind == "text"]

    assert len(shown) == 2
    assert [text.strip() for text in printed if text.strip()] == [text.strip() for text in shown]


@pytest.mark.usefixtures("printed")
def test_every_column_of_the_answers_is_explained(folder):
    table = PAGE.partition("## What the answers hold\n")[2].partition("\n## ")[0]
    explained = re.findall(r"`(\w+)`", table.partition("`plan.risk`")[0])

    assert set(read_plan(folder / "spring.study").answers.columns) <= set(explained)


def test_every_figure_of_the_story_is_one_that_was_printed(printed):
    story = BLOCK.sub("", EXAMPLE.partition("**What it says.**")[2])
    known = {number for text in printed for number in NUMBER.findall(text)}
    # The size of a huge page, and the order as the kernel's parameter has it.
    told = set(NUMBER.findall(story)) - {"2"}

    assert len(told) > 10
    assert told - known == set()
