"""Free page reporting: what becomes of each range, and poison_val (the book's 2.1, 2.5, 3)."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import (
    HINT,
    HUGE,
    PAGE,
    POISON,
    RAM_STOP,
    REPORTING,
    ROM,
    SEAM,
    Guest,
)
from workbench.model.balloon import rules as rule
from workbench.model.balloon.hinting import CMD_ID_MIN, Precopy
from workbench.model.balloon.offer import Properties, Queue
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

ACTUAL, POISON_VAL = 4, 12
PATTERN = 0xAAAAAAAA
ONE = (PAGE, PAGE_BYTES)


def reporter(features=REPORTING | POISON):
    guest = Guest().start(features)
    guest.fill(PAGE, 8 * PAGE_BYTES)
    return guest


def discards(guest):
    """Report a page, and say whether it was discarded."""
    guest.fill()
    guest.report(ONE)
    return guest.is_zero()


# --- ranges (2.1)


@pytest.mark.parametrize(
    "ranges",
    [
        [(PAGE, PAGE_BYTES)],
        [(PAGE, 4 * PAGE_BYTES)],
        [(PAGE, PAGE_BYTES), (PAGE + 2 * PAGE_BYTES, PAGE_BYTES)],
        [(PAGE, PAGE_BYTES), (PAGE, PAGE_BYTES)],
        [(PAGE, 2 * PAGE_BYTES), (PAGE + PAGE_BYTES, 2 * PAGE_BYTES)],
        [(0, PAGE_BYTES)],
        [(0xA0000, PAGE_BYTES)],
        [(HUGE, HUGE_PAGE_BYTES)],
        [(HUGE, 2 * HUGE_PAGE_BYTES)],
    ],
)
def test_whole_pages_are_discarded_in_the_order_of_the_chain(ranges):
    """As often as they are named, and whatever they overlap."""
    guest = reporter()
    guest.report(*ranges)
    places = [(guest.memory.find(address), length) for address, length in ranges]

    assert guest.discards() == [
        (place.region.block.name, place.offset_bytes, length) for place, length in places
    ]
    assert guest.used(Queue.REPORT) == [(0, 0)]
    assert guest.isr() == 1


def test_what_is_around_a_range_is_untouched():
    guest = reporter()
    guest.report((PAGE + PAGE_BYTES, PAGE_BYTES))

    assert guest.is_kept()
    assert guest.is_zero(PAGE + PAGE_BYTES)
    assert guest.is_kept(PAGE + 2 * PAGE_BYTES)


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (PAGE + 0x800, PAGE_BYTES),
        (PAGE, 0x800),
        (PAGE, PAGE_BYTES + 0x800),
        (PAGE + 1, PAGE_BYTES - 1),
        (HUGE, PAGE_BYTES),
        (HUGE + PAGE_BYTES, HUGE_PAGE_BYTES),
        (HUGE, HUGE_PAGE_BYTES + PAGE_BYTES),
        (HUGE, HUGE_PAGE_BYTES // 2),
    ],
)
def test_anything_but_whole_pages_of_the_block_is_skipped_in_silence(address, length):
    """The block's own pages: 4 KiB are nothing of a block with pages of 2 MiB."""
    guest = reporter()
    guest.report(ONE, (address, length), (SEAM, PAGE_BYTES))

    assert [row[0] for row in guest.discards()] == ["low", "next"]
    assert guest.device.errors == []
    assert guest.used(Queue.REPORT) == [(0, 0)]


def test_a_split_can_make_a_range_whole():
    """A huge page and a little more at the very end of memory is a huge page, and nothing."""
    guest = reporter()
    guest.report((RAM_STOP - HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + PAGE_BYTES))

    assert guest.discards() == [("huge", HUGE_PAGE_BYTES, HUGE_PAGE_BYTES)]


def test_firmware_is_no_memory():
    guest = reporter()
    guest.report(ONE, (ROM, PAGE_BYTES), ONE)

    assert guest.traced("bad_addr") == [(ROM,)]
    assert len(guest.discards()) == 2


def test_what_the_driver_lets_the_device_read_is_ignored():
    guest = reporter()
    guest.send(Queue.REPORT, (PAGE, PAGE_BYTES, 0), (PAGE + PAGE_BYTES, PAGE_BYTES, 1))
    guest.send(Queue.REPORT, (PAGE, PAGE_BYTES, 0))

    assert guest.discards() == [("low", PAGE + PAGE_BYTES, PAGE_BYTES)]
    assert guest.returned(Queue.REPORT) == 2


def test_an_element_may_hold_more_than_32_ranges():
    guest = reporter()
    guest.report(*[ONE] * 33, indirect=1)

    assert len(guest.discards()) == 33
    assert guest.device.tally[rule.REPORT_MANY] == 1


def test_a_range_can_be_written_and_reported_again():
    guest = reporter()

    assert [discards(guest), discards(guest)] == [True, True]


def test_reports_go_on_during_a_migration():
    guest = reporter(REPORTING | HINT)
    guest.balloon.hinting.migrating = True
    guest.balloon.hinting.precopy(guest.balloon, Precopy.AFTER_BITMAP_SYNC)

    assert discards(guest)


@pytest.mark.parametrize("features", [0, POISON, REPORTING])
def test_nobody_asks_whether_reporting_was_negotiated(features):
    guest = reporter(features)

    assert discards(guest)
    assert (guest.device.tally[rule.REPORT_NOT_NEGOTIATED] > 0) == (not features & REPORTING)


# --- what forbids discards


@pytest.mark.parametrize("what", ["discard_disabled", "incoming_postcopy", "background_snapshot"])
def test_while_discards_are_forbidden_elements_are_returned_without_effect(what):
    """It is asked for each element, so that it can begin and end at any time."""
    guest = reporter()
    before = discards(guest)
    setattr(guest.balloon, what, True)
    while_forbidden = discards(guest)
    setattr(guest.balloon, what, False)

    assert (before, while_forbidden, discards(guest)) == (True, False, True)
    assert guest.returned(Queue.REPORT) == 3


def test_what_forbids_discards_is_asked_before_poison_val():
    guest = reporter()
    guest.write_config(POISON_VAL, PATTERN)
    guest.balloon.discard_disabled = 1
    guest.report(ONE)

    assert guest.device.tally[rule.REPORT_INHIBITED] == 1
    assert guest.device.tally[rule.REPORT_POISONED] == 0


# --- poison_val (3.1)


@pytest.mark.parametrize("value", [PATTERN, 0xAA, 0xAA00, 0x80000000, 1])
def test_any_poison_val_but_0_stops_all_discards(value):
    guest = reporter()
    guest.write_config(POISON_VAL, value)

    assert not discards(guest)
    assert guest.config(POISON_VAL) == value
    assert guest.returned(Queue.REPORT) == 1


def test_a_poison_val_of_0_stops_none():
    """A guest that clears its memory as it frees it takes PAGE_POISON too (init_on_free)."""
    guest = reporter()
    guest.write_config(POISON_VAL, 0)

    assert discards(guest)
    assert guest.device.tally[rule.REPORT_POISON_ZERO] == 1


def test_poison_val_takes_effect_byte_by_byte():
    """The first byte that is not 0 stops discards, the last that becomes 0 allows them."""
    guest = reporter()
    found = []
    for value in (0xAA, 0):
        for byte in range(4):
            guest.write_config(POISON_VAL + byte, value, 1)
            found.append(discards(guest))

    assert found == [False] * 7 + [True]


def test_without_page_poison_poison_val_stays_0():
    guest = reporter(REPORTING)
    guest.write_config(POISON_VAL, PATTERN)

    assert guest.config(POISON_VAL) == 0
    assert discards(guest)


def test_where_page_poison_is_not_offered_it_cannot_be_written():
    guest = Guest(Properties(page_poison=False, free_page_reporting=True)).start(POISON)
    guest.write_config(POISON_VAL, PATTERN)

    assert guest.config(POISON_VAL) == 0xFFFFFFFF
    assert discards(guest)


@pytest.mark.parametrize(("first", "expected"), [("write", 0), ("features", PATTERN)])
def test_poison_val_needs_the_features_but_not_features_ok(first, expected):
    guest = Guest()
    steps = [("config_write", POISON_VAL, 4, PATTERN), ("features", POISON)]
    guest.do(*(steps if first == "write" else reversed(steps)))

    assert guest.config(POISON_VAL) == expected


def test_another_field_keeps_poison_val():
    guest = reporter()
    guest.write_config(POISON_VAL, PATTERN)
    guest.write_config(ACTUAL, 7)

    assert (guest.config(POISON_VAL), guest.config(ACTUAL)) == (PATTERN, 7)
    assert not discards(guest)


def test_poison_val_keeps_the_other_field():
    guest = reporter()
    guest.write_config(ACTUAL, 7)
    guest.write_config(POISON_VAL, PATTERN)

    assert guest.config(ACTUAL) == 7


def stale():
    """Reset a device that had a poison_val, and negotiate without looking at it."""
    guest = reporter()
    guest.write_config(POISON_VAL, PATTERN)
    return guest.start(REPORTING | POISON)


def test_a_reset_clears_poison_val_and_stale_bytes_bring_it_back():
    """A write of any field takes all of the shadow, which a reset does not clear."""
    guest = stale()
    after_reset = discards(guest)
    guest.write_config(ACTUAL, 7)

    assert (after_reset, discards(guest)) == (True, False)
    assert guest.config(POISON_VAL) == PATTERN
    assert guest.device.tally[rule.CONFIG_STALE] == 1


@pytest.mark.parametrize(("offset", "width"), [(0, 1), (4, 4), (12, 2), (8, 4)])
def test_any_read_after_the_reset_prevents_that(offset, width):
    guest = stale()
    guest.config(offset, width)
    guest.write_config(ACTUAL, 7)

    assert guest.config(POISON_VAL) == 0


def test_a_read_that_does_not_fit_does_not():
    guest = stale()
    guest.config(16)
    guest.write_config(ACTUAL, 7)

    assert guest.config(POISON_VAL) == PATTERN


def test_a_write_to_a_field_that_cannot_be_written_brings_it_back_too():
    guest = stale()
    guest.write_config(0, 0)

    assert guest.config(POISON_VAL) == PATTERN


@pytest.mark.parametrize(
    ("features", "values", "counted"),
    [
        (0, [PATTERN], {rule.POISON_NOT_NEGOTIATED: 1}),
        (POISON, [0, 0], {}),
        (POISON, [PATTERN, 0xAA], {rule.POISON_SET: 1, rule.POISON_CHANGED: 1}),
        (POISON, [PATTERN, 0, PATTERN], {rule.POISON_SET: 2, rule.POISON_CLEARED: 1}),
    ],
)
def test_what_a_write_did_to_poison_val_is_counted(features, values, counted):
    guest = Guest().start(features)
    for value in values:
        guest.write_config(POISON_VAL, value)
    tally = guest.device.tally

    assert {name: tally[name] for name in tally if name.startswith("poison.")} == counted


@pytest.mark.parametrize("offset", range(16))
def test_what_was_written_in_vain_is_counted(offset):
    """Bytes of num_pages and of the command id."""
    guest = Guest().start(POISON)
    guest.write_config(offset, 1, 1)

    assert guest.device.tally[rule.CONFIG_READ_ONLY] == (offset < 4 or 8 <= offset < 12)


# --- which handlers look at it (3.3)


@pytest.mark.parametrize(
    ("features", "poison_val", "reports", "inflates"),
    [
        (0, 0, True, True),
        (REPORTING, 0, True, True),
        (REPORTING | POISON, 0, True, True),
        (REPORTING | POISON, PATTERN, False, True),
    ],
)
def test_only_reporting_looks_at_poison_val(features, poison_val, reports, inflates):
    guest = reporter(features | HINT)
    guest.write_config(POISON_VAL, poison_val)
    hinting = guest.balloon.hinting
    hinting.migrating = True
    hinting.precopy(guest.balloon, Precopy.AFTER_BITMAP_SYNC)
    guest.command(CMD_ID_MIN + 1)
    guest.send(Queue.HINT, (PAGE, PAGE_BYTES, 1))

    assert discards(guest) is reports
    guest.fill(PAGE + PAGE_BYTES)
    guest.inflate(PAGE + PAGE_BYTES)
    assert guest.is_zero(PAGE + PAGE_BYTES) is inflates
    assert len(hinting.hinted) == 1
