"""What guests of a study swap, for its report: only studies of traces have this section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.report.document import Block, Column, Paragraph, Points, Section, Table
from workbench.report.machines import ROWS_MAX
from workbench.report.text import name_text
from workbench.study import WITHOUT_REPORTING
from workbench.study.swap_words import swap_means
from workbench.units import PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.study import Plan

_NUMBERS = (
    "guests",
    "pages swapped in",
    "pages swapped out",
    "in a second",
    "reads avoided",
    "writes avoided",
)


def swap_sections(plan: Plan) -> tuple[Section, ...]:
    """Say what guests swap and what reporting avoids of it, or why that is not known; or nothing.

    Nothing is said where a guest is known by samples, and where no host has swap.
    """
    blocks: list[Block] = [Paragraph(text=text) for text in plan.swap_sentences]
    if len(plan.swap):
        rows = swap_means(plan.swap).to_dict("records")
        blocks.append(_table(rows))
    if plan.swap_notes:
        blocks.append(Points(items=plan.swap_notes[:ROWS_MAX]))
    if not blocks:
        return ()
    return (Section(key="swap", heading="Swap, page by page", blocks=tuple(blocks)),)


def _table(rows: list[dict[Any, Any]]) -> Table:
    columns = (Column(name="host"), Column(name="compared"))
    return Table(
        caption="What guests swap until all have done what was recorded",
        columns=(*columns, *(Column(name=name, is_number=True) for name in _NUMBERS)),
        rows=tuple(_cells(row) for row in rows[:ROWS_MAX]),
        note="On the average of the draws. In a second: pages that came back in all but the worst "
        "1 % of seconds. Avoided: what so many guests swap without reporting, less this.",
    )


def _cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    is_without = row["variant"] == WITHOUT_REPORTING.label
    avoided = row["swap_in_avoided_pages"], row["swap_out_avoided_pages"]
    return (
        name_text(str(row["host"])),
        name_text(str(row["variant"])),
        f"{int(row['guests']):,}",
        f"{row['swap_in_pages']:,.0f}",
        f"{row['swap_out_pages']:,.0f}",
        f"{row['swap_in_pages_per_second_p99']:,.0f}",
        *("-" if is_without else format_bytes(pages * PAGE_BYTES) for pages in avoided),
    )
