"""The balloon's section of a stream is read to its last byte, and only as QEMU 7.2 lays it out."""

import struct

import pytest

from tests.validation.test_stream_reader import SIZES, stream_of
from workbench.errors import InputError
from workbench.model.balloon.migration import HINT_SECTION, save_state
from workbench.model.balloon.offer import Properties
from workbench.validation.device_section import fields_of, read_fields, with_hint_state
from workbench.validation.driver import Driver
from workbench.validation.model_machine import model_machine
from workbench.validation.setup import Setup
from workbench.validation.stream_reader import read_stream

NAME = b"0000:00:04.0/virtio-balloon"


def subsection(name, content=b""):
    return b"\5" + bytes((len(name),)) + name.encode() + struct.pack(">I", 1) + content


def section(*subsections, footer=b"\x7e", queues=((128, 0x1000, 3),)):
    """Make a stream that ends with a section of a balloon."""
    start = b"\4" + struct.pack(">IB", 5, len(NAME)) + NAME + struct.pack(">II", 0, 1)
    pci = struct.pack(">I", 2) + bytes(range(256)) + struct.pack(">4I", 1, 0, 0, 0)
    common = struct.pack(">BBHI", 0xF, 3, 2, 0x20) + struct.pack(">I", 8) + b"\7" * 8
    rings = struct.pack(">I", len(queues)) + b"".join(struct.pack(">IQH", *one) for one in queues)
    body = pci + common + rings + struct.pack(">II", 7, 77) + b"".join(subsections)
    return read_stream(stream_of(SIZES)[:-1] + start + body + footer + struct.pack(">I", 5) + b"\0")


def test_what_is_always_there_is_read():
    fields = read_fields(section())

    assert fields["PCI config space"] == bytes(range(256))
    assert fields["interrupt lines"] == (1, 0, 0, 0)
    assert [fields[name] for name in ("status", "isr", "queue_sel", "features")] == [15, 3, 2, 32]
    assert (fields["config"], fields["queues"]) == (b"\7" * 8, ((128, 0x1000, 3),))
    assert (fields["num_pages"], fields["actual"], fields["subsections"]) == (7, 77, ())


def test_subsections_are_read_in_their_order():
    fields = read_fields(
        section(
            subsection(HINT_SECTION, struct.pack(">II", 5, 3)),
            subsection("virtio/ringsize", struct.pack(">1024I", *range(1024))),
            subsection("virtio/broken", b"\1"),
        )
    )

    assert fields["subsections"] == (HINT_SECTION, "virtio/ringsize", "virtio/broken")
    assert (fields["cmd_id"], fields["hint_status"], fields["broken"]) == (5, 3, 1)
    assert fields["default sizes"] == tuple((number,) for number in range(1024))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (section(subsection("virtio/new")), "what is not known: 'virtio/new'"),
        (section(footer=b"\x55"), "not laid out as QEMU 7.2"),
        (section(subsection("virtio/ringsize", b"\0" * 9)), "ends within"),
        (section(footer=b""), "not laid out|ends within"),
        (read_stream(stream_of(SIZES)[:-1]), "cut off"),
        (read_stream(stream_of(SIZES)), "holds no state"),
    ],
)
def test_another_section_is_refused(stream, message):
    with pytest.raises(InputError, match=message):
        read_fields(stream)


def test_the_hint_state_can_be_replaced_where_it_is():
    changed = with_hint_state(section(subsection(HINT_SECTION, struct.pack(">II", 5, 3))), 9, 1)

    assert read_fields(read_stream(changed))["cmd_id"] == 9
    with pytest.raises(InputError, match="hinting was not negotiated"):
        with_hint_state(section(), 9, 1)


def test_the_models_fields_have_a_row_for_every_possible_queue():
    setup = Setup(properties=Properties(free_page_reporting=True, packed=True))
    machine = model_machine(setup)
    machine.execute(Driver(machine.device.offer).compile(("start", 1 << 34 | 1 << 32, [(3, 8)])))
    fields = fields_of(save_state(machine))
    tables = ("rings", "default sizes", "queue registers", "packed rings")

    assert [len(fields[name]) for name in tables] == [1024] * 4
    assert fields["default sizes"][2:5] == ((128,), (32,), (0,))
    assert fields["queue registers"][3][:2] == (8, 1)
    assert fields["packed rings"][3:5] == ((0, True, 0, True, 0),) * 2
