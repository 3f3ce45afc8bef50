"""What a report says, as data: sections of sentences, facts, figures and tables, in one order.

Nothing here knows HTML.  A string may hold anything a trace holds; whoever renders it escapes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A sentence or a few."""

    kind: ClassVar[str] = "paragraph"

    text: str
    is_lead: bool = False
    """Whether it is what a reader in a hurry reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence that bears on how far everything else can be trusted."""

    kind: ClassVar[str] = "remark"

    text: str
    level: Literal["good", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A list of sentences."""

    kind: ClassVar[str] = "points"

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names with what they stand for, short enough to stand beside each other."""

    kind: ClassVar[str] = "facts"

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Text whose lines and spaces count."""

    kind: ClassVar[str] = "listing"

    caption: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One number in large type: what it is, and how it sums up the run."""

    value: str
    name: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigures:
    """The few numbers of the answer."""

    kind: ClassVar[str] = "key_figures"

    items: tuple[KeyFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table; numbers are aligned to the right."""

    name: str
    is_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a table has in one place: a few words, and below them in small type what they mean."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells, one cell for each column."""

    kind: ClassVar[str] = "table"

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture as it will stand in the page."""

    media_type: Literal["image/svg+xml", "image/png"]
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart, on a light and on a dark page."""

    kind: ClassVar[str] = "figure"

    key: str
    caption: str
    alt: str
    """What the chart shows, for whoever cannot see it: the finding, with its figures."""
    light: Image
    dark: Image


Block: TypeAlias = Paragraph | Remark | Points | Facts | Listing | KeyFigures | Table | Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the story."""

    key: str
    """Names it in links and in JSON."""
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole report, in the order in which it is read."""

    title: str
    subtitle: str
    headline: str
    """The answer, in one sentence with figures."""
    sections: tuple[Section, ...]
    lost_events: int
    lineage: dict[str, Any]
    """What the figures were made of: equal lineage, equal bytes."""

    @property
    def figure_keys(self) -> tuple[str, ...]:
        """Name the charts, in order."""
        blocks = (block for section in self.sections for block in section.blocks)
        return tuple(block.key for block in blocks if isinstance(block, Figure))
