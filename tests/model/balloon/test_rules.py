"""The list of rules: each has an id, a place in the book, and a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workbench.model import balloon
from workbench.model.balloon import rules
from workbench.model.balloon.rules import RULES, Tally

IDS = {
    name: value
    for name, value in vars(rules).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_")
}
MODEL = Path(balloon.__file__).parent


def test_every_id_has_a_rule_of_its_own():
    assert sorted(RULES) == sorted(IDS.values())


def test_the_model_counts_every_rule():
    counted = {
        name
        for path in MODEL.glob("*.py")
        for name in re.findall(r"\brule\.([A-Z_]+)\b", path.read_text(encoding="utf-8"))
    }

    assert counted == set(IDS)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_a_sentence_with_a_place_in_the_book(name):
    section, statement = RULES[name]

    assert re.fullmatch(r"[1-6]\.\d", section)
    assert re.fullmatch(r"\S[^\n]*\w[)]?\.", statement)
    assert re.fullmatch(r"[a-z]+(\.[a-z-]+)?", name)


def test_no_two_rules_say_the_same():
    assert len({rule.statement for rule in RULES.values()}) == len(RULES)


def test_a_tally_counts_from_zero():
    tally = Tally()
    tally[rules.DEFLATE] += 1

    assert (tally[rules.DEFLATE], tally[rules.KICK_EARLY]) == (1, 0)
