"""A report as one HTML page that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from workbench.report.text import page_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from workbench.report.document import Image, Report

_NO_BREAK: Final = "\u00a0"

_BEFORE_UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|[KMG]?i?B|n?s|ms|us)(?:\W|$))")
"""The space between a number and its unit, where no line may end."""


def render(report: Report) -> bytes:
    """Write the page, in UTF-8.  Equal reports give equal bytes."""
    environment = _environment()
    page = environment.get_template("report.html.jinja").render(report=report)
    return page.encode("utf-8", "backslashreplace")  # Of a path that is not UTF-8.


@cache
def _environment() -> Environment:
    # Jinja takes a tenth of a second to import.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        autoescape=True,
        finalize=_finalize,
        loader=PackageLoader("workbench.report"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["data_uri"] = data_uri
    return environment


def _finalize(value: Any) -> Any:  # noqa: ANN401 - whatever a template shows.
    """Spell out what would not be seen, in all text that is not the template's own."""
    return _BEFORE_UNIT.sub(_NO_BREAK, page_text(value)) if type(value) is str else value


def data_uri(image: Image) -> Any:  # noqa: ANN401 - Markup, which Jinja brings.
    """Give a picture as an address that holds it: letters, digits and a few signs, all harmless."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with Jinja.

    content = base64.b64encode(image.content).decode("ascii")
    return Markup("data:{};base64,{}").format(image.media_type, Markup(content))  # noqa: S704
