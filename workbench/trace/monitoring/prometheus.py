"""Answers of Prometheus to range queries (`/api/v1/query_range`): one or many, in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import InputError
from workbench.spelling import on_one_line
from workbench.trace.monitoring.metrics import Metrics
from workbench.trace.monitoring.names import MEANINGS
from workbench.trace.monitoring.tracks import times_ns

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.monitoring.json_text import JsonText
    from workbench.trace.monitoring.tracks import Sampled

KEYS: Final = frozenset({"status", "data", "errorType", "warnings", "infos", "isPartial"})
"""Of an answer (Prometheus, HTTP API, "Format overview"; isPartial is VictoriaMetrics')."""

_ADVICE: Final = "export it with /api/v1/query_range"


def read_prometheus(path: Path, text: JsonText) -> list[Sampled]:
    """Read answers that follow each other, or stand in a list.

    Raises
    ------
    InputError
        They are not what Prometheus answers, or say nothing of a guest's memory.
    """
    metrics = Metrics(path)
    number = 0
    while text.next_character():
        if text.next_character() == "[":
            for _ in text.items():
                _read_answer(text, metrics, number)
                number += 1
        else:
            _read_answer(text, metrics, number)
            number += 1
    return metrics.guests()


def _read_answer(text: JsonText, metrics: Metrics, number: int) -> None:
    root = "data" if number == 0 else f"answer {number + 1}, data"
    for key in text.entries():
        if key == "data" and text.next_character() == "{":
            _read_data(text, metrics, root)
        elif key == "error":
            error = on_one_line(str(text.value()))
            raise InputError(
                f"{metrics.path}, answer {number + 1}: is an error of Prometheus ({error}), "
                "expected a matrix; ask again"
            )
        else:
            text.value()


def _read_data(text: JsonText, metrics: Metrics, root: str) -> None:
    for key in text.entries():
        if key == "resultType":
            kind = text.value()
            if kind != "matrix":
                raise InputError(
                    f"{metrics.path}, {root}.resultType: is {on_one_line(repr(kind))}, expected "
                    f"'matrix'; {_ADVICE}"
                )
        elif key == "result" and text.next_character() == "[":
            for number in text.items():
                _read_series(text.value(), metrics, f"{root}.result[{number}]")
        else:
            text.value()


def _read_series(series: Any, metrics: Metrics, place: str) -> None:  # noqa: ANN401 - any JSON.
    path = metrics.path
    labels = series.get("metric") if isinstance(series, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise InputError(f"{path}, {place}: has no metric with labels, expected them; {_ADVICE}")
    name = labels.get("__name__", "")
    if name not in MEANINGS:
        metrics.ignored[name] += 1
        return
    place = f"{place}.values"
    pairs = series.get("values")
    try:
        seconds = [second for second, _ in pairs]
        texts = [text for _, text in pairs]
    except (TypeError, ValueError):
        raise InputError(
            f"{path}, {place}: is no list of [time, value], expected the samples of "
            f"{on_one_line(name)}; {_ADVICE}"
        ) from None
    times = times_ns(path, place, seconds)
    metrics.add(labels, place, times, _numbers(path, place, texts))


def _numbers(path: Path, place: str, texts: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Decode the values, which Prometheus writes as text."""
    if not {type(text) for text in texts} <= {str, int, float}:
        row = next(r for r, text in enumerate(texts) if type(text) not in {str, int, float})
        raise _no_number(path, place, row, texts[row])
    try:
        return np.fromiter(map(float, texts), np.float64, len(texts))
    except (ValueError, OverflowError):
        for row, text in enumerate(texts):
            try:
                float(text)
            except (ValueError, OverflowError):
                raise _no_number(path, place, row, text) from None
        raise


def _no_number(path: Path, place: str, row: int, value: object) -> InputError:
    return InputError(
        f"{path}, {place}[{row}]: is {on_one_line(repr(value))}, expected a number; {_ADVICE}"
    )
