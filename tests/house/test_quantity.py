"""Times and sizes, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.quantity import size_bytes, time_ns, time_text, whole_number
from workbench.units import GIB, KIB, MIB, PIB, TIB

HOUR_NS = 3_600 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5ns", 5),
        ("-250 us", -250_000),
        ("90s", 90 * 10**9),
        ("+2 min", 120 * 10**9),
        ("2m", 120 * 10**9),
        ("-6h", -6 * HOUR_NS),
        (" 7D ", 7 * 24 * HOUR_NS),
    ],
)
def test_times(text, expected):
    assert time_ns(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3k", 3 * KIB),
        ("512 MiB", 512 * MIB),
        ("64G", 64 * GIB),
        ("64gb", 64 * GIB),
        ("1T", TIB),
        ("4P", 4 * PIB),
    ],
)
def test_sizes(text, expected):
    assert size_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "6", "6x", "h", "1.5h", "6 h 3 min", "- 6h", "--6h", "6h\n7h", "9" * 5000 + "s"]
)
def test_what_is_no_time(text):
    assert time_ns(text) is None


@pytest.mark.parametrize("text", ["", "64", "-64G", "64 GG", "1.5G", "G", "9" * 5000 + "G"])
def test_what_is_no_size(text):
    assert size_bytes(text) is None


def test_a_unit_is_read_only_where_there_can_be_one():
    assert whole_number("2m", times=True) == 120 * 10**9
    assert whole_number("2m", sizes=True) == 2 * MIB
    assert whole_number("2m") is None
    assert whole_number("0x10", times=True) == 16


@given(time=st.integers(-(2**62), 2**62))
def test_a_time_that_is_written_is_read_again(time):
    assert time_ns(time_text(time).replace(",", "")) == time


@pytest.mark.parametrize(
    ("time", "text"),
    [(0, "0 d"), (1, "1 ns"), (60 * 10**9, "1 min"), (90 * 10**9, "90 s"), (6 * HOUR_NS, "6 h")],
)
def test_a_time_is_written_in_its_largest_whole_unit(time, text):
    assert time_text(time) == text
