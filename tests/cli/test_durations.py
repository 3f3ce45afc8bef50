"""Durations of a command line."""

from __future__ import annotations

import pytest

from workbench.cli.durations import parse_seconds
from workbench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60), ("60s", 60), ("1.5m", 90), ("2h", 7200), ("250ms", 0.25)]
)
def test_a_number_and_a_unit_are_a_duration(text: str, seconds: float) -> None:
    """Seconds where nothing is said."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "0s", "5 days", "1e3", "nan", "inf"])
def test_anything_else_is_wrong_usage(text: str) -> None:
    """Also what Python would take for a number."""
    with pytest.raises(UsageError, match="is not a duration"):
        parse_seconds(text)
