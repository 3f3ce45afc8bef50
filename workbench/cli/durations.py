"""Durations and shares as people write them on a command line."""

from __future__ import annotations

import re

from workbench.errors import UsageError

_LONGEST_S = 2.0**32
"""More than a hundred years; in nanoseconds it still fits an int64."""

_UNIT_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_seconds(text: str) -> float:
    """Read a duration: `60`, `60s`, `1.5m`, `2h`, `250ms`.

    Raises
    ------
    UsageError
        It is something else, or not above zero.
    """
    seconds = parse_instant(text)
    if seconds <= 0:
        raise UsageError(_refusal(text))
    return seconds


def parse_instant(text: str) -> float:
    """Read a time since a beginning, in seconds: a duration, or 0.

    Raises
    ------
    UsageError
        It is something else, or longer than a clock of 64 bits lasts.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", text.strip())
    if match is None:
        raise UsageError(_refusal(text))
    seconds = float(match[1]) * _UNIT_SECONDS[match[2] or ""]
    if seconds > _LONGEST_S:
        raise UsageError(_refusal(text))
    return seconds


def _refusal(text: str) -> str:
    return f"{text!r} is not a duration; write 60s, 1.5m or 250ms"


def parse_share(text: str) -> float:
    """Read a share: `5%`, `0.5%`, `120%`.

    Raises
    ------
    UsageError
        It is something else, or not above zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    share = float(match[1]) / 100 if match else 0.0
    if share <= 0:
        message = f"{text!r} is not a share; write 5% or 0.5%"
        raise UsageError(message)
    return share
