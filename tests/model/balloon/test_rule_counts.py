"""A rule is counted where it acts, and not where something else does."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import (
    HINT,
    HOLE,
    HUGE,
    PAGE,
    POISON,
    REPORTING,
    ROM,
    ROM_STOP,
    SEAM,
    STATS,
    TOP,
    Guest,
)
from tests.model.balloon.hinter import REQUESTED, Hinter
from workbench.model.balloon import pci
from workbench.model.balloon import rules as rule
from workbench.model.balloon.offer import EVENT_IDX, NOTIFY_ON_EMPTY, Properties, Queue
from workbench.units import PAGE_BYTES

ACTUAL, POISON_VAL = 4, 12
REPORT = 4
PAGES_OF_8_BYTES = Properties(page_poison=False)


# --- what is offered


@pytest.mark.parametrize(
    ("properties", "version", "counted"),
    [
        (Properties(), (7, 2), rule.CONFIG_LENGTH_FULL),
        (Properties(qemu_4_0_config_size=True), (7, 2), rule.CONFIG_LENGTH_FULL),
        (Properties(page_poison=False, free_page_hint=True), (7, 2), rule.CONFIG_LENGTH_HINTS),
        (Properties(page_poison=False), (7, 2), rule.CONFIG_LENGTH_LEAST),
        (
            Properties(page_poison=False, qemu_4_0_config_size=True),
            (7, 2),
            rule.CONFIG_LENGTH_FIXED,
        ),
        (Properties(), (4, 0), rule.COMPAT_LENGTH),
        (Properties(), (3, 1), rule.CONFIG_LENGTH_LEAST),
    ],
)
def test_the_length_of_the_config_space_shows_beyond_eight_bytes(properties, version, counted):
    guest = Guest(properties, version=version)
    guest.config(4)
    before = guest.counts(counted)
    guest.config(8)

    assert (before, guest.counts(counted)) == ([0], [1])
    assert sum("length" in name for name in guest.device.tally) == 1


@pytest.mark.parametrize(
    ("properties", "version", "select", "counted"),
    [
        (Properties(packed=True), (7, 2), 1, {rule.FEATURES_PACKED}),
        (Properties(packed=True), (7, 2), 0, set()),
        (Properties(), (5, 0), 0, {rule.COMPAT_POISON}),
        (Properties(page_poison=True), (5, 0), 0, set()),
        (Properties(), (5, 1), 0, set()),
        (Properties(), (7, 1), 1, {rule.COMPAT_RING_RESET}),
    ],
)
def test_a_feature_counts_where_its_half_is_read(properties, version, select, counted):
    guest = Guest(properties, version=version)
    guest.write_register(pci.DEVICE_FEATURE_SELECT, 4, select)
    guest.register(pci.DEVICE_FEATURE, 4)

    assert set(guest.device.tally) - {rule.FEATURES_OFFERED} == counted


@pytest.mark.parametrize(
    ("features", "late", "counted"),
    [(1 << NOTIFY_ON_EMPTY, False, 1), (1 << NOTIFY_ON_EMPTY, True, 0), (POISON, False, 0)],
)
def test_hidden_features_count_when_they_are_taken(features, late, counted):
    guest = Guest()
    if late:
        guest.start()
    guest.do(("features", features))

    assert guest.counts(rule.FEATURES_HIDDEN) == [counted]


@pytest.mark.parametrize(("features", "counted"), [(POISON, 0), (1 << 20, 1)])
def test_features_read_back_although_they_were_not_taken(features, counted):
    guest = Guest()
    guest.do(("features", features))
    guest.write_register(pci.DRIVER_FEATURE_SELECT, 4, 0)

    assert guest.register(pci.DRIVER_FEATURE, 4) == features
    assert guest.counts(rule.FEATURES_READ_BACK) == [counted]


# --- the config space


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("offset", "width", "split", "straddles"),
    [(4, 4, 0, 0), (2, 4, 1, 0), (6, 4, 1, 1), (8, 4, 0, 0), (9, 2, 1, 0)],
)
def test_an_access_that_is_split_counts_once(legacy, offset, width, split, straddles):
    guest = Guest(PAGES_OF_8_BYTES)
    guest.do(("reset", legacy))
    guest.config(offset, width)
    read = guest.counts(rule.CONFIG_SPLIT, rule.CONFIG_READ_STRADDLES)
    guest.write_config(offset, 0, width)
    written = guest.counts(rule.CONFIG_SPLIT, rule.CONFIG_WRITE_STRADDLES)

    assert (read, written) == ([split, straddles], [2 * split, straddles])


@pytest.mark.parametrize(
    ("offset", "width", "value", "counted"),
    [
        (ACTUAL, 4, 1, {rule.CONFIG_ACTUAL, rule.CONFIG_ACTUAL_EARLY}),
        (ACTUAL, 1, 1, {rule.CONFIG_ACTUAL, rule.CONFIG_ACTUAL_EARLY, rule.CONFIG_ACTUAL_BYTES}),
        (ACTUAL, 4, 0, {rule.CONFIG_ACTUAL_SAME}),
        (POISON_VAL, 4, 0, set()),
    ],
)
def test_a_write_of_actual_counts_for_what_it_changes(offset, width, value, counted):
    guest = Guest()
    guest.write_config(offset, value, width)

    assert {name for name in guest.device.tally if "actual" in name} == counted


@pytest.mark.parametrize(
    ("offset", "counted"),
    [
        (ACTUAL, {rule.CONFIG_STALE}),
        (0, {rule.CONFIG_STALE, rule.CONFIG_ANY_FIELD}),
        (8, {rule.CONFIG_STALE, rule.CONFIG_ANY_FIELD}),
        (POISON_VAL, set()),
    ],
)
def test_any_field_brings_back_what_is_stale(offset, counted):
    guest = Guest().start(POISON)
    guest.write_config(POISON_VAL, 0xAA)
    guest.start(POISON)
    guest.write_config(offset, 0)

    assert {rule.CONFIG_STALE, rule.CONFIG_ANY_FIELD} & set(guest.device.tally) == counted


def test_poison_is_kept_by_a_write_beside_it():
    guest = Guest().start(POISON)
    guest.write_config(ACTUAL, 1)
    before = guest.counts(rule.POISON_KEPT)
    guest.write_config(POISON_VAL, 0xAA)
    guest.write_config(ACTUAL, 2)

    assert (before, guest.counts(rule.POISON_KEPT)) == ([0], [1])


def test_poison_before_features_ok():
    guest = Guest()
    guest.do(("reset",), ("status", 3), ("features", POISON | 1 << 32))
    guest.write_config(POISON_VAL, 0xAA)
    guest.do(("reset",), ("status", 3), ("features", POISON))
    guest.write_config(POISON_VAL, 0xAA)

    assert guest.counts(rule.POISON_SET, rule.POISON_BEFORE_FEATURES_OK) == [2, 1]


# --- resets


def test_a_reset_keeps_what_there_is():
    names = (
        rule.RESET_KEEPS_TARGET,
        rule.RESET_KEEPS_ACTUAL,
        rule.RESET_KEEPS_GENERATION,
        rule.STATS_RESET_KEEPS,
        rule.HINT_COUNTER_KEPT,
        rule.HINT_RESET_STOPS,
        rule.RESET_MENDS,
    )
    hinter = Hinter()
    hinter.do(("reset",))
    before = hinter.counts(*names)
    hinter.start(HINT | STATS)
    hinter.reach(REQUESTED)
    hinter.balloon.set_target(PAGE_BYTES)
    hinter.write_config(ACTUAL, 1)
    hinter.statistics((4, 1))
    hinter.send(Queue.STATS, (PAGE, 0, 0))
    hinter.machine.system_reset()

    assert (before, hinter.counts(*names)) == ([0] * 7, [1] * 7)
    assert hinter.counts(rule.RESET_SYSTEM) == [1]


def test_sizes_return_at_a_reset_and_come_back_when_a_queue_is_enabled():
    guest = Guest().start(REPORTING, Queue.REPORT, size=8)
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_RESET, 2, 1)
    default = guest.register(pci.QUEUE_SIZE, 2)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)

    assert (default, guest.register(pci.QUEUE_SIZE, 2)) == (32, 8)
    assert guest.counts(rule.QUEUE_SIZE_DEFAULT, rule.QUEUE_SIZE_LEFT) == [1, 1]


# --- descriptors


@pytest.mark.parametrize(
    ("place", "length", "counted"),
    [
        (SEAM - PAGE_BYTES, 2 * PAGE_BYTES, {rule.MAP_SPLITS}),
        (HOLE - PAGE_BYTES, 2 * PAGE_BYTES, {rule.MAP_RUNS_OUT}),
        (ROM_STOP - PAGE_BYTES, 2 * PAGE_BYTES, {rule.MAP_RUNS_IN, rule.MAP_FIRMWARE}),
        (
            ROM_STOP - 0x800,
            PAGE_BYTES,
            {rule.MAP_RUNS_IN, rule.MAP_FIRMWARE, rule.MAP_BOUNCE_CLIPPED},
        ),
        (ROM, PAGE_BYTES, {rule.MAP_FIRMWARE}),
        (HUGE - 0x800, PAGE_BYTES, {rule.MAP_BOUNCE_UNCLIPPED}),
        (TOP - PAGE_BYTES, PAGE_BYTES, {rule.MAP_LAST_PAGE}),
        (TOP - PAGE_BYTES, 2 * PAGE_BYTES, {rule.MAP_LAST_PAGE, rule.MAP_WRAPS}),
        (HOLE, 2 * PAGE_BYTES, {rule.MAP_BOGUS_LONG}),
        (PAGE, PAGE_BYTES, set()),
    ],
)
def test_a_descriptor_counts_for_what_it_meets(place, length, counted):
    guest = Guest().start()
    guest.report((place, length))

    assert {name for name in guest.device.tally if name.startswith("map.")} == counted


def test_a_bounce_buffer_may_be_somebody_elses():
    guest = Guest().start(STATS)
    guest.send(Queue.STATS, (HOLE, 100, 0))
    guest.report((HOLE, 1))

    assert guest.counts(rule.MAP_BOUNCE_READ, rule.MAP_BOUNCE_HELD, rule.MAP_BOGUS) == [1, 1, 0]


def test_firmware_is_read_where_it_is():
    guest = Guest().start()
    guest.send(Queue.INFLATE, (ROM, 8, 0))

    assert guest.counts(rule.MAP_FIRMWARE_READ, rule.MAP_BOUNCE_READ) == [1, 0]


@pytest.mark.parametrize(("count", "counted"), [(1023, [0, 0]), (1024, [1, 0]), (1025, [0, 1])])
def test_1024_pieces_are_the_most(count, counted):
    guest = Guest().start()
    guest.report(*[(PAGE, PAGE_BYTES)] * count, indirect=1)

    assert guest.counts(rule.MAP_MOST, rule.MAP_TOO_MANY) == counted


@pytest.mark.parametrize(
    ("first", "counted"), [((PAGE, PAGE_BYTES, 1), 1), ((PAGE, 0, 1), 0), ((PAGE, 8, 0), 1)]
)
def test_what_was_mapped_before_a_fatal_descriptor_counts_as_left_undone(first, counted):
    guest = Guest().start()
    guest.send(Queue.REPORT, first, (PAGE, 0, 1))

    assert guest.counts(rule.RING_ALL_OR_NOTHING) == [counted]


# --- errors and interrupts


@pytest.mark.parametrize(("status", "counted"), [(0xF, [1, 0]), (0xB, [0, 1])])
def test_an_error_before_driver_ok_is_another_one(status, counted):
    guest = Guest().start()
    guest.do(("status", status))
    guest.report((PAGE, 0))

    assert guest.counts(rule.ERROR_MODERN, rule.ERROR_EARLY) == counted


def test_notify_on_empty_counts_where_it_makes_a_difference():
    guest = Guest().start(1 << NOTIFY_ON_EMPTY, legacy=True)
    guest.report((PAGE, PAGE_BYTES))
    before = guest.counts(rule.NOTIFY_ON_EMPTY, rule.NOTIFY_ON_EMPTY_LATER)
    guest.do(("avail_flags", guest.number(Queue.REPORT), 1))
    guest.add(Queue.REPORT, (PAGE, PAGE_BYTES, 1))
    guest.report((PAGE, PAGE_BYTES))

    assert before == [0, 0]
    assert guest.counts(rule.NOTIFY_ON_EMPTY, rule.NOTIFY_ON_EMPTY_LATER) == [1, 1]


def test_avail_event_is_not_written_while_kicks_are_not_wanted():
    hinter = Hinter()
    hinter.start(HINT | 1 << EVENT_IDX)
    before = hinter.counts(rule.RING_AVAIL_EVENT)
    hinter.command(7)

    assert (before, hinter.counts(rule.RING_AVAIL_EVENT)) == ([0], [0])
