"""Streams made by hand, saved and changed, put a real balloon where we want it."""

import struct
from contextlib import closing

import pytest

from tests.validation.balloon_driver import (
    CMD_ID,
    DONE,
    FEATURES,
    FIRST_ID,
    PROPERTIES,
    RAM,
    Balloon,
)
from workbench.errors import HostError, InputError
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.device_section import read_fields, with_hint_state
from workbench.validation.outgoing import OutgoingMigration
from workbench.validation.real_machine import MODERN_ADDRESS, RealMachine
from workbench.validation.setup import Setup
from workbench.validation.stream_reader import HEADER, ZERO_PAGE
from workbench.validation.streams import (
    IncomingStream,
    colo_stream,
    load,
    migrate,
    postcopy_advice,
    postcopy_discard,
    postcopy_stream,
    set_capability,
)

qemu = pytest.mark.qemu


@pytest.fixture
def start(tmp_path):
    """Start machines, and end them after the test."""
    machines = []

    def start_one(**setup):
        machines.append(RealMachine(Setup(properties=PROPERTIES, **setup), folder=tmp_path))
        return machines[-1]

    yield start_one
    for machine in machines:
        machine.close()


@pytest.fixture
def incoming(start):
    """Start a machine that waits for a stream made by hand."""
    return start(incoming="deferred", send_configuration=False)


def test_the_colo_stream_is_thirteen_bytes():
    assert colo_stream().hex() == "5145564d00000003" + "0800080000"


def test_the_postcopy_stream_is_advice_and_a_discard():
    advice = "5145564d00000003" + "0800030010" + f"{0x201000:016x}" + f"{PAGE_BYTES:016x}"
    discard = "0800060015" + "00" + "026d30" + "00" + f"{4 * MIB:016x}" + f"{2 * MIB:016x}"

    assert postcopy_stream(RAM, 4 * MIB, page_bytes=2 * MIB).hex() == advice + discard


@qemu
@pytest.mark.parametrize(
    ("capability", "stream"),
    [("x-colo", colo_stream()), ("postcopy-ram", postcopy_stream(RAM, 0))],
)
def test_discards_are_inhibited_while_a_stream_made_by_hand_is_open(
    incoming, tmp_path, capability, stream
):
    """Neither a reset of the device nor hundreds of reports end it."""
    set_capability(incoming, capability, state=True)
    balloon = Balloon(incoming).set_up()
    before = balloon.discards()
    with IncomingStream(incoming, tmp_path) as opened:
        opened.send(stream)
        found = [balloon.set_up().discards()]
        found += [balloon.discards() for _ in range(100)]

        assert before
        assert not any(found)
        assert incoming.is_alive()


@qemu
def test_the_advice_of_postcopy_empties_memory_and_inhibits_nothing(incoming, tmp_path):
    set_capability(incoming, "postcopy-ram", state=True)
    balloon = Balloon(incoming)
    with IncomingStream(incoming, tmp_path) as opened:
        balloon.ask("memset", 0, MIB // 2, 0x55)
        opened.send(postcopy_advice())
        emptied = balloon.ask("read", 0, MIB // 2)
        after_advice = balloon.set_up().discards()
        balloon.ask("memset", 4 * MIB, 2 * PAGE_BYTES, 0x55)
        opened.send(postcopy_discard(RAM, 4 * MIB, PAGE_BYTES))

        assert not any(emptied)
        assert after_advice
        assert not balloon.discards()
        assert balloon.ask("read", 4 * MIB, 2 * PAGE_BYTES) == ZERO_PAGE + b"\x55" * PAGE_BYTES


@qemu
def test_a_stream_that_qemu_refuses_is_told(incoming, tmp_path):
    with IncomingStream(incoming, tmp_path) as opened, pytest.raises(HostError):
        opened.send(HEADER + b"\xff\xff")


@qemu
def test_a_guest_moves_with_its_balloon_and_its_source_can_go_on(start, tmp_path):
    source = start()
    balloon = Balloon(source).set_up()
    balloon.ask("writel", MODERN_ADDRESS + 0x2004, 77)
    balloon.ask("memset", 4 * MIB, MIB, 0x66)
    destination = start(incoming="deferred")
    migrate(source, destination, tmp_path)
    moved = Balloon(destination)
    moved.available = dict(balloon.available)
    balloon.go_on()

    assert [moved.config(offset) for offset in (4, CMD_ID)] == [77, DONE]
    assert moved.ask("read", 4 * MIB, MIB) == b"\x66" * MIB
    assert moved.discards()
    assert balloon.discards()


@qemu
def test_a_guest_does_not_move_to_where_its_features_are_missing(start, tmp_path):
    source = start()
    Balloon(source).set_up()
    destination = RealMachine(Setup(incoming="deferred"), folder=tmp_path)
    with closing(destination), pytest.raises(HostError):
        migrate(source, destination, tmp_path)


@pytest.fixture
def saved(start, tmp_path):
    """Save a running balloon."""
    balloon = Balloon(start()).set_up()
    for offset, value in ((4, 77), (12, 0xAABBCCDD)):
        balloon.ask("writel", MODERN_ADDRESS + 0x2000 + offset, value)
    balloon.machine.qmp("balloon", value=8 * MIB)
    balloon.config(0)
    with OutgoingMigration(balloon.machine, tmp_path) as migration:
        migration.finish()
    return migration.reader


@qemu
def test_a_stream_holds_the_state_of_the_balloon(saved):
    state = read_fields(saved)

    assert (state["status"], state["features"]) == (0x0F, FEATURES & 0xFFFFFFFF)
    assert (state["all features"], state["started"]) == (FEATURES, 1)
    assert (state["num_pages"], state["actual"], state["poison_val"]) == (2048, 77, 0xAABBCCDD)
    assert (state["cmd_id"], state["hint_status"]) == (FIRST_ID, 3)
    assert state["config"] == struct.pack("<4I", 2048, 77, 0, 0xAABBCCDD)
    assert [size for size, _, _ in state["queues"]] == [32, 128, 128, 32, 32]


@qemu
@pytest.mark.parametrize(
    ("cmd_id", "status", "read", "next_id"),
    [
        (0xFFFFFFFF, 1, 0xFFFFFFFF, 0x80000000),
        (0xFFFFFFFE, 3, DONE, 0xFFFFFFFF),
        (5, 2, 0, 6),
    ],
)
def test_a_saved_command_id_can_be_changed(start, tmp_path, saved, cmd_id, status, read, next_id):
    """The id after the last one is the first one."""
    machine = start(incoming="deferred")
    load(machine, tmp_path, with_hint_state(saved, cmd_id, status))
    balloon = Balloon(machine)
    loaded = balloon.config(CMD_ID)
    with OutgoingMigration(machine, tmp_path):
        asked_for = balloon.config(CMD_ID)

    assert (loaded, asked_for) == (read, next_id)


@qemu
def test_without_hinting_there_is_no_id_to_change(start, tmp_path):
    with OutgoingMigration(start(), tmp_path) as migration:
        migration.finish()
    with pytest.raises(InputError, match="hinting was not negotiated"):
        with_hint_state(migration.reader, 1, 1)
