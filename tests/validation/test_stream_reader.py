"""A migration stream is read to the page, whole or in pieces, and nothing else passes for one."""

import struct

import pytest

from workbench.errors import InputError
from workbench.units import PAGE_BYTES
from workbench.validation.stream_reader import (
    HEADER,
    ZERO_PAGE,
    StreamReader,
    pages_sent,
)


def stream_of(*records, name=b"ram", footer=0x7E):
    """Make a stream with one section of RAM records, the mark that ends it included."""
    start = b"\x01" + struct.pack(">IB", 2, len(name)) + name + struct.pack(">II", 0, 4)
    records = (*records, struct.pack(">Q", 0x10))
    return HEADER + start + b"".join(records) + bytes((footer, 0, 0, 0, 2)) + b"\0"


SIZES = struct.pack(">Q", 0x3000 | 4) + b"\x02m0" + struct.pack(">Q", 0x3000)
FIRST = struct.pack(">Q", 0x1000 | 8) + b"\x02m0" + b"\x11" * PAGE_BYTES
SECOND = struct.pack(">Q", 0x2000 | 2 | 0x20) + b"\0"
AGAIN = struct.pack(">Q", 0x1000 | 8 | 0x20) + b"\x22" * PAGE_BYTES


def test_the_last_sending_of_a_page_counts():
    pages = pages_sent(stream_of(SIZES, FIRST, SECOND, AGAIN))

    assert pages == {("m0", 0x1000): b"\x22" * PAGE_BYTES, ("m0", 0x2000): ZERO_PAGE}
    assert pages["m0", 0x2000] is ZERO_PAGE


def test_a_stream_may_come_in_any_pieces():
    """A reader knows a page as soon as its last byte has come."""
    stream = stream_of(SIZES, FIRST, SECOND, AGAIN)
    reader = StreamReader()
    known = []
    for number in range(len(stream)):
        reader.feed(stream[number : number + 1])
        known.append(len(reader.sent))

    assert pages_sent([stream[:5000], stream[5000:]]) == pages_sent(stream) == reader.pages()
    assert [known.index(count) for count in (1, 2, 3)] == [
        stream.index(part) + len(part) - 1 for part in (FIRST, SECOND, AGAIN)
    ]
    assert reader.devices_at == len(stream) - 1


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"QEVM\0\0\0\x02", "not a migration stream of version 3"),
        (HEADER + b"\x09", "byte 8 of the stream begins no known section: 9"),
        (stream_of(name=b"block"), "sends 'block' piece by piece"),
        (stream_of(footer=0), "no footer"),
        (stream_of(struct.pack(">Q", 0x40)), "flags 0x40"),
    ],
)
def test_another_stream_is_refused(stream, message):
    with pytest.raises(InputError, match=message):
        pages_sent(stream)
