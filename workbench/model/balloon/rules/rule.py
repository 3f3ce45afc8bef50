"""What a rule is, how rules are counted, and the table that all of them are entered into."""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One rule, as a sentence."""

    section: str
    statement: str


class Tally(dict[str, int]):
    """How often each rule was exercised, by id; 0 for those that were not."""

    def __missing__(self, rule: str) -> int:
        return 0


RULES: Final[dict[str, Rule]] = {}
"""Every rule, by id."""


def define(section: str, name: str, statement: str) -> str:
    """Enter a rule into the table.  Returns its id."""
    RULES[name] = Rule(section, statement)
    return name
