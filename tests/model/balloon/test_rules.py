"""The list of rules: each has an id, a place in the book, and a sentence."""

from __future__ import annotations

import re

import pytest

from workbench.model.balloon import rules
from workbench.model.balloon.rules import MAP_PROBLEMS, RULES, Tally

IDS = {
    value
    for name, value in vars(rules).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_")
}


def test_every_id_has_a_rule_and_every_rule_an_id():
    assert set(RULES) == IDS


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_a_sentence_with_a_place_in_the_book(name):
    section, statement = RULES[name]

    assert re.fullmatch(r"[1-6]\.\d", section)
    assert re.fullmatch(r"\S[^\n]*\w[)]?\.", statement)
    assert re.fullmatch(r"[a-z]+(\.[a-z-]+)?", name)


def test_the_messages_of_the_mapping_layer_have_rules():
    assert set(MAP_PROBLEMS.values()) <= IDS


def test_a_tally_counts_from_zero():
    tally = Tally()
    tally[rules.DEFLATE] += 1

    assert (tally[rules.DEFLATE], tally[rules.KICK_EARLY]) == (1, 0)
