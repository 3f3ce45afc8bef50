"""What every answer from a trace leaves open, said beside it."""

from __future__ import annotations

import pytest

from tests.replay.test_identify import ask, guest
from tests.synthetic import REPORTED, event, swap_out, touch, write_trace
from workbench.replay import Settings, identify
from workbench.schema import Kind
from workbench.trace import read_trace


@pytest.mark.parametrize(
    ("number", "words"), [(1, "1 segment is missing"), (2, "2 segments are missing")]
)
def test_missing_segments_are_noted(tmp_path, number, words):
    whole = write_trace(tmp_path / "x.trace", [touch(1, 0)])
    (path,) = (whole.path / "events").iterdir()
    path.rename(path.with_name(f"{number:06d}-{number:06d}.parquet"))

    (note,) = identify(read_trace(whole.path)).notes

    assert note == f"{words}: not exact to the page"


SWAPPED_ONCE = [touch(1, 0), swap_out(2, 0)]


@pytest.mark.parametrize(
    ("events", "swap", "is_noted"),
    [
        (SWAPPED_ONCE, ("vda2 4.00 GiB",), True),
        (SWAPPED_ONCE, ("zram0 2.00 GiB", "/dev/vda2"), True),
        (SWAPPED_ONCE, ("zram0 2.00 GiB", "/dev/zram1"), False),
        (SWAPPED_ONCE, (), False),
        ([touch(1, 0)], ("vda2 4.00 GiB",), False),
    ],
)
def test_swap_that_hides_evictions_is_noted(tmp_path, events, swap, is_noted):
    notes = identify(write_trace(tmp_path / "x.trace", events, swap=swap)).notes

    assert ["swap was not only zram" in note for note in notes] == [True] * is_noted


def test_a_poison_value_comes_with_a_note_about_what_the_guest_writes():
    (note,) = ask(REPORTED, guest(poison_val=1)).notes

    assert "not about those writes" in note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lost": 3}, "3 events were lost"),
        ({"complete": False}, "cut short"),
    ],
)
def test_what_limits_a_capture_is_noted(changes, words):
    (note,) = ask(REPORTED, Settings(), **changes).notes

    assert words in note


def test_a_collapse_takes_the_claim_to_be_exact():
    (note,) = ask([*REPORTED, event(5, Kind.COLLAPSE)], Settings()).notes

    assert "khugepaged" in note
