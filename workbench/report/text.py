"""Text that is safe to show: whatever a trace calls its guests, a page reads from left to right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.spelling import on_one_line, shorten, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_NAME: Final = 80
"""Characters of a name that are shown: more than a sensible one has."""

LONGEST_TEXT: Final = 4000
"""Characters of any one text of a page."""


def page_text(text: str) -> str:
    """Spell out what would not be seen, and leave out the middle of what nobody would read."""
    return visible(shorten(text, LONGEST_TEXT))


def name_text(text: str) -> str:
    """Give a name that stands in a sentence, a table or a chart: on one line, and no longer."""
    return on_one_line(shorten(text, LONGEST_NAME))


def sentence_list(words: Iterable[str]) -> str:
    """Join words as in a sentence: ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
