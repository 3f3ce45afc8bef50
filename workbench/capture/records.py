"""The one record that every probe fills, and what its fields mean for each source.

The C struct and the NumPy type are rendered from the same columns.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np

from workbench.schema import Column, Kind
from workbench.units import HUGE_PAGE_ORDER, PAGE_BYTES


class Source(enum.IntEnum):
    """Which probe made a record."""

    REPORT_RANGE = 1
    DISCARD = 2
    HINT_COMMAND = 3
    HINT_RANGE = 4
    CONFIG_WRITE = 5
    FEATURES = 6
    STATUS = 7
    RESET = 8
    PRECOPY = 9
    FAULT = 10
    SWAP_IN = 13
    SWAP_OUT = 14
    COLLAPSE = 15
    GUEST_FAULT = 16
    BITMAP_SYNC = 17
    INFLATE = 18
    DEFLATE = 19
    STATISTIC = 20
    INHIBIT = 21
    RECLAIM = 22


TALLIED: Final = {
    Source.REPORT_RANGE: Kind.REPORT,
    Source.DISCARD: Kind.DISCARD,
    Source.HINT_RANGE: Kind.HINT_RANGE,
    Source.FAULT: Kind.FAULT,
    Source.GUEST_FAULT: Kind.FAULT,
    Source.INFLATE: Kind.INFLATE,
    Source.DEFLATE: Kind.DEFLATE,
    Source.RECLAIM: Kind.RECLAIM,
}
"""What is only counted where the detail is lower, and as what: there may be any number of these.
What the host swaps is not even counted, for the samples have its own counters."""


class FaultBit(enum.IntFlag):
    """What the `value` of a fault holds above the error code of the processor.

    `address` is where it was, `element` the frame that was allocated last (-1: none) and `length`
    its order.  `time_ns` is when the fault was served or, if it was not, of the last allocation for
    it; `duration_ns` is since it began.
    """

    SERVED = 1 << 32
    TRIED_HUGE = 1 << 33
    SWAPPED_IN = 1 << 34
    """It came back from swap, which was known before it was served."""


FAULT_ERROR_CODE_BITS: Final = 32
FAULT_ALLOCATIONS_SHIFT: Final = 40
"""Frames that were allocated in turn, up to FAULT_ALLOCATIONS_MAX."""
FAULT_ALLOCATIONS_MAX: Final = 255


class Loss(enum.IntEnum):
    """Why an event is not in the trace."""

    RING_FULL = 0
    NO_CALL = 1
    UNREADABLE = 2
    UNKNOWN_LAYOUT = 3
    MAP_FULL = 4
    TOO_LONG = 5


LOSS_MEANINGS: Final[dict[Loss, str]] = {
    Loss.RING_FULL: "More came than was taken out of the ring between the probes and the capture.",
    Loss.NO_CALL: "A function returned whose call was not seen: the probes came in between.",
    Loss.UNREADABLE: "QEMU's or the guest's memory could not be read at that moment.",
    Loss.UNKNOWN_LAYOUT: "A structure of QEMU was not laid out as the probes know it.",
    Loss.MAP_FULL: "More threads or processes at once than the probes have room for.",
    Loss.TOO_LONG: "An array of the driver had more entries, or pieces, than are recorded.",
}
"""A decoder adds one: `late_outcome`, what came of a fault that had been given up."""


RAW_COLUMNS: Final = (
    Column("time_ns", "int64", "ns", "Host CLOCK_MONOTONIC."),
    Column("address", "int64", "", "Host address, block offset or frame; see the source."),
    Column("length", "int64", "", "Bytes, pages or an order; see the source."),
    Column("value", "int64", "", "Result, flags or value; see the source."),
    Column("element", "int64", "", "Number of the reported element; -1 is none."),
    Column("duration_ns", "int64", "ns", "How long the call took; 0 where it is not measured."),
    Column("process", "int32", "", "Thread group id, 0 where it is not a guest's own doing."),
    Column("thread", "int32", "", "Thread id."),
    Column("source", "int32", "", "Which probe, see Source."),
    Column("block", "int32", "", "Index of the RAM block where the probe knows it, else -1."),
)

RAW_DTYPE: Final = np.dtype([(column.name, column.dtype) for column in RAW_COLUMNS], align=True)


class Record(NamedTuple):
    """One raw record, as plain integers, in the order of `RAW_COLUMNS`."""

    time_ns: int
    address: int
    length: int
    value: int
    element: int
    duration_ns: int
    process: int
    thread: int
    source: int
    block: int


_C_TYPES: Final = {"int64": "__s64", "int32": "__s32"}

LONGEST_ELEMENT: Final = 1024
"""Ranges in one element; QEMU refuses more (VIRTQUEUE_MAX_SIZE, hw/virtio/virtio.h).  Also the
pages of one element of the inflate or deflate queue that are recorded: Linux puts 256 in one
(drivers/virtio/virtio_balloon.c, VIRTIO_BALLOON_ARRAY_PFNS_MAX)."""

MOST_STATISTICS: Final = 32
"""Statistics of one element that are recorded: Linux 6.12 has 16 (virtio_balloon.h,
VIRTIO_BALLOON_S_NR)."""


def render_header() -> str:
    """Write the C declarations that the probes include: the record, sources and losses."""
    fields = "\n".join(
        f"    {_C_TYPES[column.dtype]} {column.name};  // {column.meaning}"
        for column in RAW_COLUMNS
    )
    asserts = "\n".join(
        f'_Static_assert(__builtin_offsetof(struct record, {name}) == {offset}, "{name} moved");'
        for name, (_, offset, *_rest) in (RAW_DTYPE.fields or {}).items()
    )
    sources = "\n".join(f"#define SOURCE_{source.name} {source.value}" for source in Source)
    bits = "\n".join(f"#define FAULT_{bit.name} {bit.value}ull" for bit in FaultBit)
    losses = "\n".join(f"#define LOSS_{loss.name} {loss.value}" for loss in Loss)
    return (
        f"struct record {{\n{fields}\n}};\n{asserts}\n"
        f'_Static_assert(sizeof(struct record) == {RAW_DTYPE.itemsize}, "record has padding");\n'
        f"{sources}\n{losses}\n#define LOSS_COUNT {len(Loss)}\n"
        f"#define SOURCE_COUNT {max(Source) + 1}\n#define LONGEST_ELEMENT {LONGEST_ELEMENT}\n"
        f"#define MOST_STATISTICS {MOST_STATISTICS}\n{bits}\n"
        f"#define FAULT_ERROR_CODE_BITS {FAULT_ERROR_CODE_BITS}\n"
        f"#define FAULT_ALLOCATIONS_SHIFT {FAULT_ALLOCATIONS_SHIFT}\n"
        f"#define FAULT_ALLOCATIONS_MAX {FAULT_ALLOCATIONS_MAX}\n"
        f"#define HUGE_PAGE_ORDER {HUGE_PAGE_ORDER}\n#define PAGE_BYTES {PAGE_BYTES}ull\n"
    )
