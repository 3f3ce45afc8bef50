"""Migration of the device, between machines alike and different (the book's 3.2)."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import (
    EVERYTHING,
    HINT,
    PAGE,
    POISON,
    REPORTING,
    STATS,
    Guest,
)
from workbench.model.balloon import pci
from workbench.model.balloon.hinting import CMD_ID_MIN, HintStatus, Precopy
from workbench.model.balloon.migration import load_state, save_state
from workbench.model.balloon.offer import EVENT_IDX, RING_PACKED, Properties, Queue
from workbench.units import PAGE_BYTES

NUM_PAGES, ACTUAL, CMD_ID, POISON_VAL = 0, 4, 8, 12
PATTERN = 0xAAAAAAAA
ONE = (PAGE, PAGE_BYTES)

REPORTS = Properties(free_page_reporting=True)
HINTS = Properties(free_page_hint=True)
BOTH = Properties(free_page_reporting=True, free_page_hint=True)
SHORT = Properties(free_page_reporting=True, page_poison=False)


def arrive(source: Guest, properties: Properties = EVERYTHING) -> tuple[Guest, str | None]:
    """Move a guest to a new machine: memory, device, and the driver that lives in it."""
    destination = Guest(properties)
    for ours, theirs in zip(destination.memory.blocks, source.memory.blocks, strict=True):
        ours.content[:] = theirs.content
    destination.device.vm_running = False
    problem = load_state(destination.machine, save_state(source.machine))
    offer = destination.driver.offer
    destination.driver = source.driver
    destination.driver.offer = offer
    destination.device.set_running(running=True)
    return destination, problem


def migrate(source: Guest, properties: Properties = EVERYTHING) -> Guest:
    """Move a guest to a machine that takes it."""
    destination, problem = arrive(source, properties)
    assert problem is None
    return destination


def discards(guest: Guest) -> bool:
    guest.fill()
    guest.report(ONE)
    return guest.is_zero()


# --- what arrives


def test_the_balloon_arrives():
    source = Guest().start(REPORTING | POISON)
    source.balloon.set_target(5 * PAGE_BYTES)
    source.write_config(ACTUAL, 77)
    source.write_config(POISON_VAL, PATTERN)
    read = [source.config(offset) for offset in (NUM_PAGES, ACTUAL, CMD_ID, POISON_VAL)]
    destination = migrate(source)

    assert [destination.config(4 * number) for number in range(4)] == read
    assert read[1:] == [77, 0, PATTERN]
    assert not discards(destination)
    assert destination.balloon.balloon_changes == []


def test_the_registers_arrive_and_the_generation_does_not():
    source = Guest().start(REPORTING)
    source.balloon.set_target(5)
    source.write_register(pci.DEVICE_FEATURE_SELECT, 4, 1)
    source.write_register(pci.DRIVER_FEATURE_SELECT, 4, 1)
    source.write_register(pci.QUEUE_SELECT, 2, 4)
    registers = [
        pci.DEVICE_FEATURE_SELECT,
        pci.DEVICE_FEATURE,
        pci.DRIVER_FEATURE_SELECT,
        pci.DRIVER_FEATURE,
        pci.QUEUE_SELECT,
        pci.QUEUE_ENABLE,
        pci.QUEUE_DESC,
        pci.QUEUE_DRIVER,
        pci.QUEUE_DEVICE,
    ]
    read = [source.register(offset, 4) for offset in registers]
    destination = migrate(source)

    assert [destination.register(offset, 4) for offset in registers] == read
    assert (destination.status(), destination.isr()) == (0xF, 3)
    assert (source.generation(), destination.generation()) == (1, 0)


@pytest.mark.parametrize(
    ("features", "legacy"),
    [
        (0, False),
        (0, True),
        (1 << EVENT_IDX, False),
        (1 << EVENT_IDX, True),
        (1 << RING_PACKED, False),
    ],
)
def test_the_destination_goes_on_where_the_source_was(features, legacy):
    source = Guest().start(REPORTING | features, legacy=legacy)
    for _ in range(35):
        source.report(ONE)
    destination = migrate(source)

    assert discards(destination)
    assert len(destination.discards()) == 1
    if not features >> RING_PACKED:
        used = destination.ring(Queue.REPORT).used
        assert destination.read(used + 2, 2) == 36


def test_what_was_made_available_at_the_source_is_served_at_the_destination():
    source = Guest().start(REPORTING)
    source.add(Queue.REPORT, (*ONE, 1))
    destination = migrate(source)
    destination.kick(Queue.REPORT)

    assert len(destination.discards()) == 1


@pytest.mark.parametrize("packed", [0, 1 << RING_PACKED])
def test_held_statistics_are_taken_again(packed):
    source = Guest().start(STATS | packed)
    source.statistics((4, 1))
    destination = migrate(source)

    assert destination.balloon.statistics.held is not None
    assert destination.balloon.statistics.values[4] == 1
    assert destination.returned(Queue.STATS) == 0


def test_hinting_is_done_where_the_guest_arrives():
    """The source says so before it sends the device, as the machine is stopped by then."""
    source = Guest().start(HINT)
    source.balloon.hinting.precopy(source.balloon, Precopy.AFTER_BITMAP_SYNC)
    source.device.set_running(running=False)
    source.balloon.hinting.precopy(source.balloon, Precopy.AFTER_BITMAP_SYNC)
    destination = migrate(source)

    assert destination.config(CMD_ID) == 1
    assert destination.balloon.hinting.cmd_id == CMD_ID_MIN + 1


def test_hints_of_a_driver_that_took_none_do_not_travel():
    source = Guest().start(HINT)
    source.balloon.hinting.precopy(source.balloon, Precopy.AFTER_BITMAP_SYNC)
    source.device.guest_features &= ~HINT
    destination = migrate(source)

    assert destination.balloon.hinting.status is HintStatus.STOP
    assert destination.balloon.hinting.cmd_id == CMD_ID_MIN


def test_stale_bytes_travel_in_the_shadow():
    """A write at the destination brings back the poison_val of before the source's reset."""
    source = Guest().start(REPORTING | POISON)
    source.write_config(POISON_VAL, PATTERN)
    destination = migrate(source.start(REPORTING | POISON))
    arrived = destination.balloon.poison_val
    destination.write_config(ACTUAL, 7)

    assert (arrived, destination.balloon.poison_val) == (0, PATTERN)


def test_a_broken_device_is_broken_where_it_arrives():
    source = Guest().start(REPORTING)
    source.report((PAGE, 0))
    destination = migrate(source)
    destination.report(ONE)

    assert destination.discards() == []
    assert destination.status() == 0x4F


def test_a_device_without_the_right_to_access_memory_has_none_where_it_arrives():
    source = Guest().start(REPORTING)
    source.do(("bus_master", 0))
    destination = migrate(source)
    destination.report(ONE)

    assert destination.discards() == []


# --- machines with other options


@pytest.mark.parametrize(
    ("features", "properties"),
    [
        (REPORTING, HINTS),
        (HINT, REPORTS),
        (POISON, SHORT),
        (1 << RING_PACKED, BOTH),
        (1 << EVENT_IDX, Properties(event_idx=False)),
    ],
)
def test_a_destination_that_lacks_a_negotiated_feature_refuses(features, properties):
    source = Guest().start(features)
    destination, problem = arrive(source, properties)
    taken, offered = source.device.guest_features, destination.device.host_features

    assert problem == f"Features 0x{taken:x} unsupported. Allowed features: 0x{offered:x}"


@pytest.mark.parametrize("properties", [REPORTS, BOTH, SHORT, Properties()])
def test_what_was_only_offered_need_not_be_there(properties):
    """Nor need the config space be as long, or the queues as many."""
    source = Guest().start(STATS)
    source.write_config(ACTUAL, 7)
    destination = migrate(source, properties)
    destination.inflate(PAGE)

    assert destination.config(ACTUAL) == 7
    assert len(destination.discards()) == 1


def test_a_longer_config_space_begins_with_the_shorter_one():
    source = Guest(SHORT).start(REPORTING)
    source.write_config(ACTUAL, 7)
    destination = migrate(source)

    assert destination.device.config[ACTUAL : ACTUAL + 4] == b"\7\0\0\0"
    assert destination.config(POISON_VAL) == 0


def test_more_features_are_no_obstacle():
    assert discards(migrate(Guest(REPORTS).start(REPORTING), REPORTS))


def test_a_queue_that_serves_something_else_there_serves_that():
    """Reports in queue 3 come back without effect where queue 3 takes hints."""
    source = Guest(REPORTS).start(REPORTING)
    destination = migrate(source, BOTH)
    destination.fill()
    destination.do(("element", 3, [(*ONE, 1)]), ("kick", 3))

    assert destination.is_kept()
    assert destination.read(destination.driver.rings[3].used + 2, 2) == 1
    assert destination.device.queues[3].num == 32


@pytest.mark.parametrize("legacy", [False, True])
def test_a_queue_that_nobody_serves_there_is_dead(legacy):
    source = Guest(BOTH).start(STATS, legacy=legacy)
    destination = migrate(source, Properties())
    destination.do(("element", 4, [(*ONE, 1)]), ("kick", 4))

    assert len(destination.device.queues) == 5
    assert destination.read(destination.driver.rings[4].used + 2, 2) == 0
    assert destination.status() == 0xF if not legacy else not destination.is_broken()


def test_a_queue_that_nobody_serves_is_gone_after_a_reset():
    destination = migrate(Guest(BOTH).start(STATS), Properties())
    there = destination.register(pci.NUM_QUEUES, 2)
    destination.do(("reset",))

    assert (there, destination.register(pci.NUM_QUEUES, 2)) == (5, 3)


def test_a_queue_that_is_gone_cannot_be_given_a_size():
    destination = migrate(Guest(BOTH).start(STATS), Properties())
    destination.do(("reset",))
    destination.write_register(pci.QUEUE_SELECT, 2, 4)
    destination.write_register(pci.QUEUE_SIZE, 2, 16)
    destination.write_register(pci.QUEUE_ENABLE, 2, 1)

    assert destination.register(pci.QUEUE_SIZE, 2) == 0
    assert destination.register(pci.NUM_QUEUES, 2) == 3


def test_a_queues_own_size_travels_where_any_queue_has_another():
    """A reset at the destination gives it the source's."""
    source = Guest(REPORTS).start(REPORTING, Queue.REPORT, size=8)
    destination = migrate(source, BOTH)
    sizes = [destination.device.queues[3].num]
    destination.do(("reset",))
    sizes.append(destination.device.queues[3].num)

    assert sizes == [8, 32]


def test_a_queues_own_size_stays_where_all_have_theirs():
    destination = migrate(Guest(REPORTS).start(REPORTING), BOTH)
    sizes = [destination.device.queues[3].num]
    destination.do(("reset",))

    assert [*sizes, destination.device.queues[3].num] == [32, 1024]


# --- rings that cannot be


def test_an_available_index_that_cannot_be_breaks_the_device():
    """The destination goes on, and the device needs a reset."""
    source = Guest().start(REPORTING)
    source.memory.write(source.ring(Queue.REPORT).avail + 2, b"\x21\0")
    destination = migrate(source)

    assert destination.device.errors == [
        "VQ 4 size 0x20 Guest index 0x21 inconsistent with Host index 0x0: delta 0x21"
    ]
    assert (destination.status(), destination.generation()) == (0x4F, 1)


def test_a_used_index_that_cannot_be_refuses_the_guest():
    source = Guest().start(REPORTING)
    source.report(ONE)
    source.memory.write(source.ring(Queue.REPORT).used + 2, b"\2\0")

    assert arrive(source)[1] == "VQ 4 size 0x20 < last_avail_idx 0x1 - used_idx 0x2"


def test_rings_that_do_not_fit_at_the_destination_break_the_device():
    source = Guest().start(REPORTING, Queue.REPORT)
    source.device.queues[4].used = (6 << 20) - 8
    destination = migrate(source)

    assert destination.device.errors[0] == "Cannot map used"
    assert destination.is_broken()


def test_rings_of_which_nothing_was_used_and_that_do_not_fit_count_as_empty():
    source = Guest().start(REPORTING, Queue.REPORT)
    source.device.queues[4].desc = (6 << 20) - 8
    queue = migrate(source).device.queues[4]

    assert (queue.used_idx, queue.inuse) == (0, 0)


def test_a_queue_without_rings_has_no_index():
    source = Guest().start(REPORTING)
    source.report(ONE)
    source.write_register(pci.QUEUE_SELECT, 2, 4)
    source.write_register(pci.QUEUE_DESC, 4, 0)
    source.write_register(pci.QUEUE_ENABLE, 2, 1)

    assert arrive(source)[1] == "VQ 4 address 0x0 inconsistent with Host index 0x1"


def test_with_a_queue_of_another_size_the_sizes_of_all_possible_queues_travel():
    """Those that the source does not have too: after a reset the destination has none of them."""
    source = Guest(REPORTS).start(REPORTING, Queue.REPORT, size=8)
    destination = migrate(source, BOTH)
    destination.do(("reset",))

    assert destination.register(pci.NUM_QUEUES, 2) == 4
