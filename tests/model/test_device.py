"""The balloon device: the order of its checks, its registers, its config space."""

from __future__ import annotations

import numpy as np
import pytest

from tests.strategies import (
    block,
    config_write,
    constants,
    inflate,
    lay_out,
    register,
    report,
    run_rows,
)
from workbench.model import Outcome, new_device
from workbench.model.device import judge_range
from workbench.schema import Feature
from workbench.units import PAGE_BYTES

RAM = lay_out([block(8)])
LARGE_PAGES = lay_out([block(8, page_bytes=4 * PAGE_BYTES)])
POISON_VAL = 0xAAAAAAAA
KEEPS_PAGE_POISON = register("features", 1 << Feature.PAGE_POISON)
ASK = report(0, 1)


def outcomes(*rows, blocks=RAM, **choices):
    """The outcomes of the rows that are reports or discards."""
    ledger = run_rows(rows, blocks, **choices).ledger
    return [
        entry[0] for row, entry in zip(rows, ledger, strict=True) if row[0] in {"report", "discard"}
    ]


def test_a_range_with_nothing_wrong_is_discarded():
    assert outcomes(ASK) == ["discarded"]


@pytest.mark.parametrize(
    ("inhibited", "poison_val", "ram_block", "offset", "length", "expected"),
    [
        (1, 1, -1, 1, 1, Outcome.SKIPPED_INHIBITED),
        (0, 1, -1, 1, 1, Outcome.SKIPPED_POISONED),
        (0, 0, -1, 1, 1, Outcome.SKIPPED_BAD_ADDRESS),
        (0, 0, 0, 512, 8 * PAGE_BYTES, Outcome.SKIPPED_UNALIGNED),
        (0, 0, 0, PAGE_BYTES, 8 * PAGE_BYTES, Outcome.SKIPPED_OVERRUN),
        (0, 0, 0, PAGE_BYTES, 7 * PAGE_BYTES, Outcome.DISCARDED),
    ],
)
def test_the_checks_stand_in_qemus_order(
    inhibited, poison_val, ram_block, offset, length, expected
):
    """With everything wrong the first check names the outcome; each line mends the one above."""
    device = new_device(0, poison_val)
    device.discard_inhibited[0] = inhibited

    assert judge_range(offset, length, ram_block, constants(RAM), device) == expected


@pytest.mark.parametrize("poison_val", [1, 0xAA, POISON_VAL, 0x80000000])
def test_any_nonzero_poison_value_stops_all_discards(poison_val):
    assert outcomes(ASK, poison_val=poison_val) == ["skipped_poisoned"]


def test_offset_and_length_are_checked_against_the_blocks_own_page_size():
    small = report(0, 1)
    at_odd_place = report(1, 4)
    whole = report(4, 4)

    assert outcomes(small, at_odd_place, whole, blocks=LARGE_PAGES) == [
        "skipped_unaligned",
        "skipped_unaligned",
        "discarded",
    ]


def test_an_overrun_is_judged_without_overflow():
    """A length near 2**63 does not wrap around to look small."""
    row = ("report", 0, 4 * PAGE_BYTES, 2**63 - PAGE_BYTES, 0, 1, 0)

    assert outcomes(row) == ["skipped_overrun"]


def test_a_discard_that_the_host_refused_takes_nothing():
    """QEMU ignores the result (mem-lock=on: -22), the page stays."""
    result = run_rows([("fault", 0, 0, -1, 1, -1, 0), report(0, 4, refusal=-22)], RAM)

    assert result.ledger[1] == ("discard_failed", "no_surprise", 0, 0, 0)


def test_poison_val_is_kept_only_where_page_poison_is_negotiated():
    write = config_write(12, 4, POISON_VAL)

    assert outcomes(write, ASK) == ["discarded"]
    assert outcomes(KEEPS_PAGE_POISON, write, ASK) == ["skipped_poisoned"]


def test_a_write_before_the_features_is_dropped_and_one_after_them_is_kept():
    """Linux writes poison_val after its features and before DRIVER_OK."""
    write = config_write(12, 4, POISON_VAL)
    driver_ok = KEEPS_PAGE_POISON

    assert outcomes(write, KEEPS_PAGE_POISON, ASK) == ["discarded"]
    assert outcomes(KEEPS_PAGE_POISON, write, driver_ok, ASK) == ["skipped_poisoned"]


def test_poison_val_takes_effect_byte_by_byte():
    """The first byte that is not 0 stops discards, the last that becomes 0 allows them."""
    rows = [KEEPS_PAGE_POISON]
    for byte in range(4):
        rows += [config_write(12 + byte, 1, 0xAA), ASK]
    for byte in range(4):
        rows += [config_write(12 + byte, 1, 0), ASK]

    assert outcomes(*rows) == ["skipped_poisoned"] * 7 + ["discarded"]


def test_a_write_that_overlaps_poison_val_writes_the_overlap():
    """Eight bytes from offset 8: cmd_id, which is ignored, and poison_val."""
    low_half_only = config_write(8, 8, 0xFFFFFFFF)
    both_halves = config_write(8, 8, 0x000000AA_00000000)

    assert outcomes(KEEPS_PAGE_POISON, low_half_only, ASK) == ["discarded"]
    assert outcomes(KEEPS_PAGE_POISON, both_halves, ASK) == ["skipped_poisoned"]


def test_a_write_past_the_config_space_is_dropped_as_a_whole():
    rows = [KEEPS_PAGE_POISON, config_write(14, 4, 0xFFFFFFFF), ASK]

    assert outcomes(*rows) == ["discarded"]


def test_another_field_written_keeps_poison_val():
    rows = [KEEPS_PAGE_POISON, config_write(12, 4, POISON_VAL), config_write(4, 4, 7), ASK]

    assert outcomes(*rows) == ["skipped_poisoned"]


def test_any_write_clears_poison_val_once_page_poison_is_gone():
    rows = [
        KEEPS_PAGE_POISON,
        config_write(12, 4, POISON_VAL),
        register("features", 0),
        ASK,
        config_write(4, 4, 0),
        ASK,
    ]

    assert outcomes(*rows) == ["skipped_poisoned", "discarded"]


def test_reset_clears_poison_val_but_stale_bytes_bring_it_back():
    """Only a write of another field without any read in between: the shadow is not reset."""
    rows = [
        KEEPS_PAGE_POISON,
        config_write(12, 4, POISON_VAL),
        register("reset"),
        KEEPS_PAGE_POISON,
        ASK,
        config_write(4, 4, 0),
        ASK,
    ]

    assert outcomes(*rows) == ["discarded", "skipped_poisoned"]


def test_a_driver_that_writes_poison_val_after_a_reset_overwrites_stale_bytes():
    rows = [
        KEEPS_PAGE_POISON,
        config_write(12, 4, POISON_VAL),
        register("reset"),
        KEEPS_PAGE_POISON,
        config_write(12, 4, 0),
        config_write(4, 4, 0),
        ASK,
    ]

    assert outcomes(*rows) == ["discarded"]


def test_reset_forgets_the_features():
    rows = [KEEPS_PAGE_POISON, register("reset"), config_write(12, 4, POISON_VAL), ASK]

    assert outcomes(*rows) == ["discarded"]


def test_an_inhibitor_stops_discards_until_it_goes():
    rows = [register("inhibit", 1), ASK, register("reset"), ASK, register("inhibit", 0), ASK]

    assert outcomes(*rows) == ["skipped_inhibited", "skipped_inhibited", "discarded"]


def test_a_chosen_poison_value_replaces_what_was_written():
    rows = [KEEPS_PAGE_POISON, config_write(12, 4, POISON_VAL), ASK]

    assert outcomes(*rows, always_poison=0) == ["discarded"]
    assert outcomes(ASK, always_poison=POISON_VAL) == ["skipped_poisoned"]


def test_a_chosen_inhibitor_replaces_what_happened():
    rows = [register("inhibit", 1), ASK, register("inhibit", 0), ASK]

    assert outcomes(*rows, always_inhibited=True) == ["skipped_inhibited"] * 2
    assert outcomes(*rows, always_inhibited=False) == ["discarded"] * 2


def test_the_inflating_balloon_ignores_poison_val_and_heeds_an_inhibitor():
    assert outcomes(inflate(0, 1), always_poison=POISON_VAL) == ["discarded"]
    assert outcomes(inflate(0, 1), always_inhibited=True) == ["skipped_inhibited"]
    assert outcomes(inflate(0, 1, status=-22)) == ["discard_failed"]


def test_a_captured_discard_of_a_report_is_not_applied_again():
    """It served an element: the device decided about the report itself."""
    rows = [("fault", 0, 0, PAGE_BYTES, 1, -1, 0), ("discard", 0, 0, PAGE_BYTES, 0, 3, 0)]

    assert run_rows(rows, RAM).ledger[1] == ("no_outcome", "no_surprise", 0, 0, 0)


def test_a_device_that_was_running_starts_with_its_poison_value_in_the_shadow():
    rows = [config_write(4, 4, 0), ASK]
    features = 1 << Feature.PAGE_POISON

    assert outcomes(*rows, features=features, poison_val=POISON_VAL) == ["skipped_poisoned"]


def test_registers_are_arrays_that_kernels_can_write():
    assert all(register_.dtype == np.int64 for register_ in new_device(0, 0))
