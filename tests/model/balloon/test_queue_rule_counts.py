"""Rules of reports, hints, inflation, statistics and the monitor are counted where they act."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import (
    HINT,
    PAGE,
    RAM_STOP,
    REPORTING,
    STATS,
    Guest,
    small_memory,
)
from tests.model.balloon.hinter import FIRST_ID, REQUESTED, START, Hinter
from workbench.model.balloon import rules as rule
from workbench.model.balloon.machine import Machine
from workbench.model.balloon.memory import GuestMemory, RamBlock, Region
from workbench.model.balloon.offer import Properties, Queue
from workbench.schema import Feature
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

ACTUAL, POISON_VAL = 4, 12
REPORT = 4
PAGES_OF_8_BYTES = Properties(page_poison=False)


# --- reports


@pytest.mark.parametrize(
    ("descriptors", "counted"),
    [
        ([(PAGE, PAGE_BYTES, 1)], set()),
        ([(PAGE, PAGE_BYTES, 1)] * 2, {rule.REPORT_AGAIN}),
        ([(PAGE, 8, 0)], {rule.REPORT_NOTHING}),
        ([(PAGE, 8, 0), (PAGE, PAGE_BYTES, 1)], {rule.REPORT_READABLE}),
        ([(PAGE, 8, 1), (PAGE, PAGE_BYTES, 1)], {rule.REPORT_UNALIGNED, rule.REPORT_GOES_ON}),
        ([(PAGE, PAGE_BYTES, 1), (PAGE, 8, 1)], {rule.REPORT_UNALIGNED}),
    ],
)
def test_a_report_counts_for_what_it_holds(descriptors, counted):
    guest = Guest().start()
    guest.send(Queue.REPORT, *descriptors)
    always = {rule.REPORT_DISCARDS, rule.REPORT_LENGTH}

    assert {name for name in guest.device.tally if name.startswith("report.")} - always == counted


def test_the_used_ring_can_be_reported():
    guest = Guest().start()
    used = guest.ring(Queue.REPORT).used
    guest.report((PAGE, PAGE_BYTES))
    before = guest.counts(rule.REPORT_OWN_RING)
    guest.report((used, PAGE_BYTES))

    assert (before, guest.counts(rule.REPORT_OWN_RING)) == ([0], [1])
    assert guest.used(Queue.REPORT) == [(0, 0), (1, 0)]
    assert guest.read(used + 4, 8) == 0


def test_a_report_of_a_stopped_machine_and_one_during_a_migration():
    hinter = Hinter()
    hinter.report((PAGE, PAGE_BYTES))
    hinter.hinting.migrating = False
    hinter.device.set_running(running=False)
    hinter.report((PAGE, PAGE_BYTES))
    hinter.kick(Queue.REPORT)

    assert hinter.counts(rule.REPORT_MIGRATING, rule.REPORT_STOPPED) == [1, 1]


# --- hints


@pytest.mark.parametrize(
    ("state", "cmd_id", "counted"),
    [
        (REQUESTED, FIRST_ID, rule.HINT_ACCEPTED),
        (REQUESTED, FIRST_ID + 1, rule.HINT_WRONG_ID),
        (START, FIRST_ID, rule.HINT_SAME_ID_STOPS),
        (START, FIRST_ID + 1, rule.HINT_DRIVER_STOPS),
    ],
)
def test_a_command_counts_for_what_it_does(state, cmd_id, counted):
    hinter = Hinter().reach(state)
    before = hinter.counts(counted)
    hinter.command(cmd_id)

    assert (before, hinter.counts(counted)) == ([0], [1])


def test_an_id_that_has_ended_does_not_start_again():
    hinter = Hinter()
    hinter.command(FIRST_ID)
    hinter.reach(START).command(FIRST_ID)
    hinter.command(FIRST_ID)

    assert hinter.counts(rule.HINT_IGNORED_COMMAND, rule.HINT_NO_RESTART) == [1, 1]


def test_elements_are_found_without_a_kick_while_hinting_runs():
    hinter = Hinter().reach(START)
    hinter.add(Queue.HINT, (PAGE, PAGE_BYTES, 1))
    hinter.balloon.run_threads()
    polled = hinter.counts(rule.HINT_POLLS, rule.HINT_RESUMES)
    hinter.device.set_running(running=False)
    hinter.add(Queue.HINT, (PAGE, PAGE_BYTES, 1))
    hinter.kick(Queue.HINT)
    hinter.device.set_running(running=True)

    assert polled == [1, 0]
    assert hinter.counts(rule.HINT_POLLS, rule.HINT_RESUMES) == [1, 1]


@pytest.mark.parametrize(
    ("features", "counted"), [(HINT, [0, 0]), (REPORTING, [1, 1]), (STATS, [1, 0])]
)
def test_queues_are_numbered_by_what_is_offered(features, counted):
    guest = Guest().start(features)
    guest.kick(Queue.HINT)

    assert guest.counts(rule.HINT_QUEUE_NOT_NEGOTIATED, rule.QUEUE_NUMBERS) == counted


# --- inflation, statistics, the monitor


def test_a_page_that_is_named_twice_is_discarded_twice():
    guest = Guest().start()
    guest.inflate(PAGE + PAGE_BYTES, PAGE + PAGE_BYTES, 0, 1 << 32)

    assert len(guest.discards()) == 3
    assert guest.counts(rule.INFLATE_AGAIN, rule.INFLATE_FIRST_PAGE, rule.INFLATE_FAR) == [1, 1, 1]


def test_deflate_on_oom_changes_nothing():
    guest = Guest(Properties(deflate_on_oom=True))
    guest.start(1 << Feature.DEFLATE_ON_OOM)
    guest.inflate(PAGE)
    before = guest.counts(rule.DEFLATE_ON_OOM)
    guest.start(0)
    guest.inflate(PAGE)

    assert (before, guest.counts(rule.DEFLATE_ON_OOM)) == ([1], [1])
    assert len(guest.discards()) == 2


def test_statistics_have_names():
    guest = Guest().start(STATS)
    numbers = guest.balloon.statistics
    none = numbers.by_name(guest.device.tally)
    before = guest.counts(rule.STATS_NAMES, rule.STATS_UNSET)
    guest.statistics(*((tag, tag) for tag in range(10)))
    told = numbers.by_name(guest.device.tally)

    assert set(none.values()) == {(1 << 64) - 1}
    assert (told["stat-swap-in"], told["stat-htlb-pgfail"]) == (0, 9)
    assert (before, guest.counts(rule.STATS_NAMES, rule.STATS_UNSET)) == ([0, 1], [1, 1])


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        (2, rule.STATS_INTERVAL_CHANGES),
        (0, rule.STATS_INTERVAL_STOPS),
        (-1, rule.STATS_INTERVAL_NEGATIVE),
        (1 << 32, rule.STATS_INTERVAL_TOO_BIG),
        (1, rule.STATS_INTERVAL_SAME),
    ],
)
def test_an_interval_counts_for_what_it_changes(value, counted):
    guest = Guest().start(STATS)
    balloon = guest.balloon
    balloon.statistics.set_interval(balloon, balloon.queue_of(Queue.STATS), 1)
    balloon.statistics.set_interval(balloon, balloon.queue_of(Queue.STATS), value)
    names = {name for name in guest.device.tally if name.startswith("stats.interval")}

    assert names - {rule.STATS_INTERVAL_STARTS} == {counted}


def test_the_size_of_the_memory_includes_modules():
    offer = Guest().device.offer
    balloon = Machine(offer, small_memory(), RAM_STOP, module_bytes=2 * PAGE_BYTES).balloon
    balloon.set_target(RAM_STOP)

    assert balloon.num_pages == 2
    assert balloon.query() == RAM_STOP + 2 * PAGE_BYTES
    assert balloon.tally[rule.QMP_MODULES] == 2


def test_the_size_that_is_told_may_be_less_than_nothing():
    guest = Guest().start()
    told = guest.balloon.query()
    guest.write_config(ACTUAL, RAM_STOP // PAGE_BYTES + 1)

    assert (told, guest.balloon.query()) == (RAM_STOP, -PAGE_BYTES)
    assert guest.counts(rule.QMP_QUERY, rule.QMP_QUERY_SIGNED) == [1, 1]


@pytest.mark.parametrize(
    ("target", "counted"),
    [
        (RAM_STOP, {rule.QMP_BALLOON_SAME}),
        (RAM_STOP + 1, {rule.QMP_BALLOON_SAME, rule.QMP_BALLOON_CLIPPED}),
        (RAM_STOP - 1, {rule.QMP_BALLOON_SAME, rule.QMP_BALLOON_ROUNDED}),
        (PAGE_BYTES, set()),
    ],
)
def test_a_target_counts_for_what_becomes_of_it(target, counted):
    guest = Guest()
    guest.balloon.set_target(target)

    assert {name for name in guest.device.tally if name.startswith("qmp.balloon-")} == counted


# --- the right to access memory, and offsets


def test_a_legacy_driver_gives_the_right_to_access_memory_by_its_status():
    guest = Guest().start(legacy=True)
    before = guest.counts(rule.LEGACY_BUS_MASTER)
    guest.do(("bus_master", 0), ("reset", True), ("status", 3))

    assert (before, guest.counts(rule.LEGACY_BUS_MASTER)) == ([0], [1])
    assert guest.counts(rule.BUS_MASTER_BACK) == [0]


def test_the_offset_in_the_block_is_what_is_aligned():
    block = RamBlock("m0", 4 * HUGE_PAGE_BYTES, HUGE_PAGE_BYTES, unmaps=False, punches=True)
    half = HUGE_PAGE_BYTES // 2
    memory = GuestMemory([Region(0, 7 * half, block, half, writable=True)])
    guest = Guest()
    guest.machine = Machine(guest.device.offer, memory, 7 * half)
    guest.device, guest.memory = guest.machine.device, memory
    guest.start(REPORTING, Queue.REPORT)
    guest.report((HUGE_PAGE_BYTES * 3, HUGE_PAGE_BYTES // 4), (half * 5, HUGE_PAGE_BYTES))

    assert guest.discards() == [("m0", half * 6, HUGE_PAGE_BYTES)]
    assert guest.counts(rule.REPORT_OFFSET, rule.REPORT_UNALIGNED_HUGE) == [2, 1]
