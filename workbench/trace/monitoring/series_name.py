"""Names of series as Prometheus and Grafana write them: ``metric{label="value",...}``."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"\s*([a-zA-Z_:][\w:]*)?\s*(?:\{(.*)\})?\s*", re.DOTALL)
_LABEL: Final = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")


def labels_of(text: str) -> dict[str, str] | None:
    """Read a name; `__name__` is the metric.  None where it is no such name."""
    found = _NAME.fullmatch(text)
    if not found:
        return None
    metric, inside = found[1], found[2] or ""
    labels = {"__name__": metric} if metric else {}
    at = 0
    while at < len(inside.rstrip()):
        label = _LABEL.match(inside, at)
        if not label:
            return None
        labels[label[1]] = _ESCAPED.sub(_unescaped, label[2])
        at = label.end()
    return labels if "__name__" in labels else None


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
