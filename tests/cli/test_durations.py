"""Durations and shares of a command line."""

from __future__ import annotations

import pytest

from workbench.cli.durations import parse_seconds, parse_share
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


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.5 %", 0.005), ("120%", 1.2)])
def test_a_number_of_hundredths_is_a_share(text: str, share: float) -> None:
    """Of one processor; more than one may be meant."""
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "5", "0%", "-1%", "much", "0.05"])
def test_anything_else_is_no_share(text: str) -> None:
    """A bare number could be either a part or hundredths."""
    with pytest.raises(UsageError, match="is not a share"):
        parse_share(text)
