"""The one sentence: what it claims, and what it does not."""

from __future__ import annotations

import pytest

from tests.synthetic import (
    OFF,
    POISONED,
    TWO_BLOCKS,
    off_samples,
    started,
    two_block_samples,
    write_trace,
)
from workbench.replay import Settings
from workbench.report import find
from workbench.report.headline import headline, percent, sureness


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.000_01, "less than 0.01 %"),
        (0.000_4, "0.04 %"),
        (0.016, "1.6 %"),
        (0.37, "37 %"),
        (1.41, "141 %"),
    ],
)
def test_a_share_has_as_many_digits_as_tell_it_from_none(share, text):
    assert percent(share) == text


def test_a_pair_counts_what_reporting_kept_out_of_memory_and_out_of_swap(tmp_path):
    """Of 9.5 s between the first sample and the last: on 25 MiB-seconds, off 32."""
    on = write_trace(
        tmp_path / "on.trace",
        TWO_BLOCKS,
        samples=two_block_samples(swap_out_pages=30, swap_in_pages=10),
    )
    off = write_trace(
        tmp_path / "off.trace",
        OFF,
        machines=[started(reporting=False)],
        samples=off_samples(swap_out_pages=70, swap_in_pages=30),
    )
    said = headline(find(on, Settings(), off))

    assert "and avoided 60 of 100 pages of swap I/O of the whole host (60 %)" in said
    assert "2.63 MiB instead of 3.37 MiB without it" in said


def test_swap_that_reporting_costs_is_called_a_cost(tmp_path):
    on = write_trace(
        tmp_path / "on.trace", TWO_BLOCKS, samples=two_block_samples(swap_out_pages=30)
    )
    off = write_trace(
        tmp_path / "off.trace", OFF, machines=[started(reporting=False)], samples=off_samples()
    )
    said = headline(find(on, Settings(), off))

    assert "and cost 30 pages of swap I/O of the whole host, where there was none" in said


def test_reports_in_vain_are_said_to_be_in_vain(tmp_path):
    trace = write_trace(tmp_path / "poisoned.trace", POISONED, machines=[started()])
    said = headline(find(trace, Settings()))

    assert said.startswith("Nothing came back: of 2 reported ranges QEMU discarded none (poisoned)")
    assert "what it would have been without reporting, this trace cannot tell" in said


def test_without_reporting_nothing_is_claimed_about_it(tmp_path):
    trace = write_trace(tmp_path / "off.trace", OFF, machines=[started(reporting=False)])
    said = headline(find(trace, Settings()))

    assert said.startswith("Guests reported no free pages, as free page reporting was off; ")
    assert "what it would have been with reporting, this trace cannot tell" in said


def test_without_samples_nobody_knows_how_right_it_is():
    assert sureness({"resident_bytes": None, "reason": "no samples"}) == (
        "how right the model is, is not known: no samples"
    )
