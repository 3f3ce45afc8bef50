"""A comparison as Markdown: for a pull request, or GitHub's step summary."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from workbench.gate.budgets import NOT_LISTED
from workbench.gate.verdict import ONE_SIDE_ONLY, Verdict
from workbench.gate.words import COLUMNS, INTERVAL, figure_cells, headline, reason_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.gate.comparison import Comparison
    from workbench.gate.figure import Figure

LARGEST_BYTES: Final = 65_000
"""A comment on GitHub has at most 65,536 characters, a step summary 1 MiB."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")

_SPECIAL: Final = re.compile(
    r"[\\`*{}\[\]<>#!|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=[A-Za-z]):(?=//)|(?<=www)\."
)
"""What Markdown or HTML could take for theirs, and GitHub for a link."""


def markdown(comparison: Comparison) -> str:
    """Write a comparison as Markdown.

    The first line is the verdict.  What comes from recordings, their names for example, is escaped.
    Where there is more than fits, the rows at the end are left out, and it is said where they are.
    """
    head = [_escaped(headline(comparison)), ""]
    head += [f"- {_escaped(remark)}" for remark in comparison.remarks]
    head += [""] if comparison.remarks else []
    shown = [each for each in comparison.in_order if is_telling(each)]
    tail = [""] * bool(shown) + [_escaped(rest_text(comparison, len(shown)))]
    table = _table(shown)
    room = LARGEST_BYTES - _size([*head, *tail]) - _CUT_BYTES
    kept = _fitting(table, room)
    cut = len(table) - len(kept)
    if cut:
        tail.insert(0, f"\n{cut:,} more rows are in what `workbench compare --json` prints.")
    text = "\n".join([*head, *kept, *tail]).rstrip("\n") + "\n"
    return text if len(text.encode()) <= LARGEST_BYTES else _cut_text(text)


_CUT_BYTES: Final = 200
"""Room for the line that says what was left out."""


def is_telling(figure: Figure) -> bool:
    """Whether a figure has a row of its own: it changed, and has a say.

    Those of a recording that only one side has are not listed one by one: it is named before.
    """
    if figure.verdict is Verdict.IGNORED or figure.reason == ONE_SIDE_ONLY:
        return False
    return figure.verdict is not Verdict.SAME or set(figure.baseline) != set(figure.candidate)


def rest_text(comparison: Comparison, shown: int) -> str:
    """Say what has no row."""
    ignored = comparison.counts["ignored"]
    alone = sum(figure.reason == ONE_SIDE_ONLY for figure in comparison.figures)
    equal = len(comparison.figures) - ignored - alone - shown
    unlisted = sum(figure.reason == NOT_LISTED for figure in comparison.figures)
    parts = (
        (equal, "figure is equal", "figures are equal"),
        (alone, *(f"{verb} of recordings that only one side has" for verb in ("is", "are"))),
        (unlisted, *(f"{verb} no say, as each {NOT_LISTED}" for verb in ("has", "have"))),
        (ignored - unlisted, *(f"{v} ignored, as the budget file says" for v in ("is", "are"))),
    )
    told = [f"{count:,} {one if count == 1 else many}" for count, one, many in parts if count]
    return f"{'; '.join(told)}." if told else ""


def _table(figures: Sequence[Figure]) -> list[str]:
    if not figures:
        return []
    has_recordings = any(each.recording for each in figures)
    has_intervals = any(each.low is not None for each in figures)
    columns = [name for name in COLUMNS if has_intervals or name != INTERVAL]
    columns += ["recording"] * has_recordings + ["why"]
    lines = [_row(columns), _row(["---:" if name in _RIGHT else "---" for name in columns])]
    for each in figures:
        cells = figure_cells(each)
        numbers = [cells.baseline, cells.candidate, cells.change]
        numbers += [cells.interval] if has_intervals else []
        # A number and its unit stay on one line.
        row = [f"`{cells.metric}`", *(cell.replace(" ", "\u00a0") for cell in numbers)]
        row += [_VERDICTS.get(each.verdict, cells.verdict)]
        row += [_escaped(_recording(each))] if has_recordings else []
        lines.append(_row([*row, _escaped(reason_text(each))]))
    return lines


_RIGHT: Final = frozenset({"baseline", "candidate", "change", INTERVAL})

_VERDICTS: Final = {Verdict.WORSE: "**worse**", Verdict.UNDECIDED: "**undecided**"}


def _recording(figure: Figure) -> str:
    return f"{figure.recording}, {figure.settings}" if figure.settings else figure.recording


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    sizes = itertools.accumulate(_size([line]) for line in lines)
    return [line for line, size in zip(lines, sizes, strict=True) if size <= room]


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _cut_text(text: str) -> str:
    """Cut what is too long without any table: remarks of thousands of recordings."""
    kept = text.encode()[: LARGEST_BYTES - _CUT_BYTES].decode(errors="ignore")
    return (
        f"{kept.rpartition(chr(10))[0]}\n\nThe rest is in what `workbench compare --json` prints.\n"
    )


def _escaped(text: str) -> str:
    """Keep text from being Markdown, HTML, a mention or a link."""
    escaped = _SPECIAL.sub(r"\\\g<0>", _CONTROL.sub(" ", text))
    return escaped.replace("&", "&amp;").replace("@", "@\u200b")
