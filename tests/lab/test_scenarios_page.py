"""The page about scenarios knows every word of them."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.lab import parse_scenario
from workbench.lab.host_advice import HOST_WORDS
from workbench.lab.scenario import FORMS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/scenarios.md"


def test_every_word_has_its_line() -> None:
    """The table lists the words of the parser, and no others."""
    listed = re.findall(r"^\| `([a-z-]+)", PAGE.read_text("utf-8"), re.MULTILINE)

    assert sorted(set(listed)) == sorted({*FORMS, "repeat", "host"})


def test_every_word_for_the_host_has_its_line() -> None:
    """Likewise for the lines of `host`."""
    listed = re.findall(r"^\| `host ([a-z-]+) ", PAGE.read_text("utf-8"), re.MULTILINE)

    assert listed == [*HOST_WORDS]


def test_the_example_is_a_scenario() -> None:
    """What the page shows can be run."""
    (example,) = re.findall(r"```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

    assert len(parse_scenario(example, name="example").steps) == 13
