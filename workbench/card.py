"""What a trace, a run or settings say of themselves: a few facts, as text and as HTML.

Every `__repr__` and `_repr_html_` of the workbench comes from here, so that names which anybody
may have chosen (of traces, guests, scenarios) are made harmless in one place.
"""

from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from workbench.spelling import on_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template

Facts: TypeAlias = "Sequence[tuple[str, str]]"
"""Names and what they are; names may repeat."""

_WIDTH: Final = 100
"""Columns of text: what a terminal beside a page of documentation still shows."""

_LINES: Final = 12
"""Of text, for a list of runs to be read too.  What does not fit is folded less, and then cut."""

_REMARKS_SHOWN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Facts about one thing.

    Attributes
    ----------
    title
        What it is, in one line.
    facts
        What a colleague would ask first.  Of the same names that follow each other, text and HTML
        show the first.
    columns, rows
        A table, in HTML only; every column but the first is aligned to the right.
    remarks
        Sentences about it, of which text shows the first two.
    """

    title: str
    facts: Facts = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    remarks: Sequence[str] = ()

    def text(self) -> str:
        """Write it for a terminal."""
        lines = self._lines(each=2)
        return "\n".join(lines if len(lines) <= _LINES else self._lines(each=1))

    def _lines(self, each: int) -> list[str]:
        """Fold every fact and remark into so many lines at most."""
        shown = [*self.facts, *(("note", remark) for remark in self.remarks[:_REMARKS_SHOWN])]
        more = len(self.remarks) - _REMARKS_SHOWN
        if more > 0:
            shown.append(("note", f"and {more} more"))
        width = max((len(on_one_line(name)) for name, _ in shown), default=0)
        lines = textwrap.wrap(on_one_line(self.title), _WIDTH, max_lines=1, placeholder="...")
        for name, value in _said_once(shown):
            lines += textwrap.wrap(
                on_one_line(value),
                _WIDTH,
                initial_indent=f"  {on_one_line(name):<{width}}  ",
                subsequent_indent=" " * (width + 4),
                max_lines=each,
                placeholder="...",
            )
        return lines

    def html(self) -> str:
        """Write it for a notebook: small, in the colours of its theme, with nothing but text."""
        return _template().render(
            title=on_one_line(self.title),
            facts=[(on_one_line(name), on_one_line(value)) for name, value in self._facts_once],
            columns=[on_one_line(name) for name in self.columns],
            rows=[[on_one_line(cell) for cell in row] for row in self.rows],
            remarks=[on_one_line(remark) for remark in self.remarks],
        )

    @property
    def _facts_once(self) -> Facts:
        return _said_once(self.facts)


class Shown:
    """Something that says of itself what its card says, and completes to public names only."""

    __slots__ = ()

    def _card(self) -> Card:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]


def _said_once(facts: Facts) -> Facts:
    """Leave out a name that is that of the fact before."""
    before = [None, *(name for name, _ in facts)]
    return [
        ("" if name == last else name, value)
        for (name, value), last in zip(facts, before, strict=False)
    ]


_SOURCE: Final = """\
{%- set cell = "padding: 1px 12px 1px 0; border: 0; background: none; vertical-align: top;" -%}
{%- set faint = "color: var(--jp-ui-font-color2, inherit); font-weight: normal;" -%}
{%- set line = "border-bottom: 1px solid var(--jp-border-color1, rgba(128, 128, 128, 0.5));" -%}
{%- set side = {true: "text-align: left;", false: "text-align: right;"} -%}
{%- set table = "border-collapse: collapse; margin: 4px 0 0 0; width: auto; color: inherit; \
font-size: inherit;" -%}
<div style="font-size: 90%; line-height: 1.4;">
<div style="font-weight: bold; overflow-wrap: anywhere;">{{ title }}</div>
{%- if facts %}
<table style="{{ table }}">
{%- for name, value in facts %}
<tr style="background: none;">
<th scope="row" style="{{ cell }} {{ faint }} text-align: left; white-space: nowrap;">{{ name }}\
</th>
<td style="{{ cell }} text-align: left; overflow-wrap: anywhere; max-width: 60em;">{{ value }}</td>
</tr>
{%- endfor %}
</table>
{%- endif %}
{%- if rows %}
<table style="{{ table }}">
<tr style="background: none; {{ line }}">
{%- for name in columns %}
<th style="{{ cell }} {{ faint }} {{ side[loop.first] }} vertical-align: bottom;">{{ name }}</th>
{%- endfor %}
</tr>
{%- for row in rows %}
<tr style="background: none;">
{%- for text in row %}
<td style="{{ cell }} {{ side[loop.first] }} white-space: {{ 'nowrap' if text|length < 40 else \
'normal' }};">{{ text }}</td>
{%- endfor %}
</tr>
{%- endfor %}
</table>
{%- endif %}
{%- if remarks %}
<ul style="{{ faint }} margin: 4px 0 0 0; padding-left: 1.4em; max-width: 60em;">
{%- for remark in remarks %}
<li style="overflow-wrap: anywhere;">{{ remark }}</li>
{%- endfor %}
</ul>
{%- endif %}
</div>
"""
"""Styles stand with their elements, so that none reaches beyond; JupyterLab's colours where there
are any, and those of the page elsewhere: light or dark, both are readable."""


@functools.cache
def _template() -> Template:
    import jinja2  # noqa: PLC0415 - Only a notebook needs it.

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_SOURCE)
