"""The columns of a trace: each declared once, and rendered wherever it is needed.

The probes' C structs, the NumPy arrays, the Parquet files and the tables in the documentation all
come from here, so that they cannot drift apart.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple

from workbench.units import LARGEST_ORDER

SCHEMA_VERSION: Final = "1.2"
"""Major.minor.  A reader takes every minor of its own major and refuses newer majors by name."""

NO_BLOCK: Final = -1
"""`ram_block` of an event that is not about guest RAM; `offset_bytes` is then a guest address."""

NO_ELEMENT: Final = -1
"""`element` of an event that does not belong to an element of the reporting queue."""

UNKNOWN: Final = -1
"""A quantity the capture could not see."""


class Kind(enum.IntEnum):
    """What happened.  Codes are part of the trace format: never renumbered, never reused."""

    REPORT = 1
    DISCARD = 2
    FAULT = 3
    SWAP_OUT = 4
    HINT_COMMAND = 5
    HINT_RANGE = 6
    CONFIG_WRITE = 7
    FEATURES = 8
    STATUS = 9
    RESET = 10
    MIGRATION_START = 11
    MIGRATION_END = 12
    COLLAPSE = 13
    INHIBIT = 14
    MARKER = 15
    ACCESS = 16
    BITMAP_SYNC = 17
    FREE = 18
    READ_AHEAD = 19
    INFLATE = 20
    DEFLATE = 21
    STATISTIC = 22
    PRECOPY_COMPLETE = 23
    RECLAIM = 24
    DETAIL = 25
    COUNTED = 26


KIND_MEANINGS: Final[dict[Kind, str]] = {
    Kind.REPORT: "One range of a reported element, before the device decides about it.  status: 0.",
    Kind.DISCARD: "QEMU gave a range back to the host.  status: what ram_block_discard_range "
    "returned; element: the element it served, or -1 (an inflated balloon).",
    Kind.FAULT: "The guest or QEMU faulted on a page of guest RAM; time_ns is when it was served.  "
    "length_bytes: memory the host allocated for it (0: none, -1: not seen); status: FaultFlag "
    "bits.",
    Kind.SWAP_OUT: "The host put a page, or a whole huge page, of guest RAM into swap.  status: "
    "SwapOutFlag bits.",
    Kind.HINT_COMMAND: "The driver sent a command on the hint queue.  status: the command id.",
    Kind.HINT_RANGE: "A range that a migration need not send.",
    Kind.CONFIG_WRITE: "The driver wrote the device's config space.  offset_bytes: where; "
    "length_bytes: width of the access; status: the value, little endian.",
    Kind.FEATURES: "The features in force when the driver was ready.  status: the feature bits.",
    Kind.STATUS: "The driver wrote the device status.  status: the value.",
    Kind.RESET: "The device was reset.",
    Kind.MIGRATION_START: "An outgoing migration began.",
    Kind.MIGRATION_END: "An outgoing migration ended.  status: 1 completed, 0 not.",
    Kind.COLLAPSE: "khugepaged collapsed pages of this guest; Linux does not say which.  "
    "A trace with any does not claim to be exact to the page.",
    Kind.INHIBIT: "Discards were forbidden (status 1) or allowed again (status 0), as QEMU found "
    "when it was about to discard; time_ns is just before that element.",
    Kind.MARKER: "A point in time that the lab names.  status: the number of the scenario's step.",
    Kind.ACCESS: "The guest accessed these pages since the sample before (only in the lab).  "
    "time_ns: when the sample was taken; status: 1 written, 0 only read.",
    Kind.BITMAP_SYNC: "An outgoing migration asked which pages were written since it last asked: "
    "those are to be sent from here on.  The first comes just before its MIGRATION_START.",
    Kind.FREE: "The guest's allocator got these pages back.  status: 1 it filled them with zeros.  "
    "Written by the model of the guest, not captured.",
    Kind.READ_AHEAD: "The host read pages from swap that nobody had asked for.  Written by the "
    "model of the host, not captured.",
    Kind.INFLATE: "The driver put a page into the balloon, before the device decides about it.  "
    "What was given back for it, a discard says.",
    Kind.DEFLATE: "The driver took a page out of the balloon.",
    Kind.STATISTIC: "The driver handed in one statistic.  offset_bytes: its tag (virtio 1.2, "
    "5.5.6.3); status: the value.",
    Kind.PRECOPY_COMPLETE: "An outgoing migration begins its last part: the guest stands still, "
    "and what is left is sent (QEMU's precopy point of that name).",
    Kind.RECLAIM: "A thread of this guest had to reclaim memory for the host; time_ns is when it "
    "was done.  length_bytes: what it reclaimed, of whomever.",
    Kind.DETAIL: "From here on the capture recorded less, to stay within its budget.  status: see "
    "Detail.",
    Kind.COUNTED: "So many events were counted and not recorded, up to time_ns since the line "
    "before.  status: their kind; offset_bytes: how many; length_bytes: of how many bytes in all "
    "(0 for faults).",
}


class FaultFlag(enum.IntFlag):
    """Bits of the `status` of a fault; a capture sets none but the first three."""

    WRITE = 1
    """The access was a write (Linux arch/x86 X86_PF_WRITE)."""
    SWAP_IN = 2
    """The page came back from swap."""
    HUGE_REFUSED = 4
    """The host tried to allocate a huge page and did not get one."""
    WITHOUT_READ = 8
    """The page came back from swap without I/O: it was read ahead, or was all zeros."""
    DEAD = 16
    """The page came back from swap though it was free in the guest until this touch."""


class SwapOutFlag(enum.IntFlag):
    """Bits of the `status` of a swap-out; a capture sets none."""

    CLEAN = 1
    """Swap had the page already: nothing was written."""
    ZEROS = 2
    """The page was all zeros, which Linux 6.12 and later only note."""
    DEAD = 4
    """The page was free in the guest."""


class Detail(enum.IntEnum):
    """How much a capture records."""

    RANGES = 0
    """Every event, with its range."""
    COUNTS = 1
    """Of ranges, faults and pages in swap only how many; all else as before."""
    SAMPLES = 2
    """No events any more, only what is measured several times a second."""


class PageState(enum.IntEnum):
    """The two lowest bits of `page_state` of a range of pages in the `state` table."""

    UNBACKED = 0
    RESIDENT = 1
    SWAPPED = 2
    ZERO_PAGE = 3


class PageFlag(enum.IntFlag):
    """Further bits of `page_state`: what a slice knows of pages from before; a capture sets none.

    Where none is set, how the host maps the pages is taken from their states.
    """

    DISCARDED = 4
    """Of pages that are unbacked, or the zero page: a discard took their content."""
    HUGE = 8
    """Of resident pages: they are part of a huge page, of which others may have been discarded."""
    TABLE = 16
    """A page table is there, though by the states of the pages there could be none."""


PAGE_STATE_MASK: Final = 3
"""The bits of `page_state` that hold the PageState."""

PAGE_STATE_CODES: Final = tuple(
    state | flags
    for state, held in (
        (PageState.UNBACKED, PageFlag.DISCARDED),
        (PageState.RESIDENT, PageFlag.HUGE),
        (PageState.SWAPPED, PageFlag(0)),
        (PageState.ZERO_PAGE, PageFlag.DISCARDED),
    )
    for flags in sorted({0, int(held), int(PageFlag.TABLE), int(held | PageFlag.TABLE)})
)
"""Every `page_state` that there is."""


class Column(NamedTuple):
    """One column: its name, NumPy type, unit and meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str
    absent: int | None = None
    """What stands in its place in a trace that is older than the column; None if none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a trace."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(column.name for column in self.columns)


EVENTS: Final = Table(
    name="events",
    meaning="What the guest asked, what QEMU and the host did.  The only table every replay reads.",
    columns=(
        Column("time_ns", "int64", "ns", "Host CLOCK_MONOTONIC."),
        Column("sequence", "int64", "", "Order of the capture; breaks ties of time_ns."),
        Column("vm", "int32", "", "Index into the manifest's list of virtual machines."),
        Column("kind", "int8", "", "What happened, see Kind."),
        Column("ram_block", "int16", "", "Index into the machine's RAM blocks; -1 is none."),
        Column("offset_bytes", "int64", "bytes", "Where in the block (without one: an address)."),
        Column("length_bytes", "int64", "bytes", "How much; the meaning varies with the kind."),
        Column("status", "int64", "", "Result, value or flags; the meaning varies with the kind."),
        Column("element", "int64", "", "Number of the reported element; -1 is none."),
        Column("duration_ns", "int64", "ns", "How long it took; 0 where it is not measured."),
    ),
)

STATE: Final = Table(
    name="state",
    meaning="The guest RAM that is there when a trace begins.  Rows of unbacked pages are there "
    "only where a slice knows more of them.",
    columns=(
        Column("vm", "int32", "", "Index into the manifest's list of virtual machines."),
        Column("ram_block", "int16", "", "Index into the machine's RAM blocks."),
        Column("offset_bytes", "int64", "bytes", "First byte of the range."),
        Column("length_bytes", "int64", "bytes", "Length of the range."),
        Column("page_state", "int8", "", "What the pages are: PageState, and PageFlag bits."),
    ),
)

GUEST_SAMPLES: Final = Table(
    name="guest_samples",
    meaning="What the guest says of itself: its free blocks by order, from /proc/buddyinfo.",
    columns=(
        Column("time_ns", "int64", "ns", "Host CLOCK_MONOTONIC when the line arrived."),
        Column("guest_time_ns", "int64", "ns", "The guest's own uptime."),
        Column("vm", "int32", "", "Index into the manifest's list of virtual machines."),
        *(
            Column(
                f"free_blocks_order_{order}", "int64", "blocks", f"Free blocks of order {order}."
            )
            for order in range(LARGEST_ORDER + 1)
        ),
    ),
)

SAMPLES: Final = Table(
    name="samples",
    meaning="What the host measured.  The yardstick: no model ever reads it.",
    columns=(
        Column("time_ns", "int64", "ns", "Host CLOCK_MONOTONIC when the reading began."),
        Column("duration_ns", "int64", "ns", "How long the reading took."),
        Column("vm", "int32", "", "Index into the manifest's list of virtual machines."),
        Column("resident_bytes", "int64", "bytes", "Guest RAM in memory."),
        Column("swapped_bytes", "int64", "bytes", "Guest RAM in swap."),
        Column("host_free_bytes", "int64", "bytes", "MemFree of the host."),
        Column("swap_in_pages", "int64", "pages", "Host pswpin, since the capture began."),
        Column("swap_out_pages", "int64", "pages", "Host pswpout, since the capture began."),
        Column("swap_in_zero_pages", "int64", "pages", "Host swpin_zero, likewise; -1 if absent."),
        Column(
            "swap_out_zero_pages", "int64", "pages", "Host swpout_zero, likewise; -1 if absent."
        ),
        Column("qemu_cpu_ns", "int64", "ns", "Processor time QEMU has used."),
        Column("capture_cpu_ns", "int64", "ns", "Processor time the capture has used."),
        Column(
            "swap_read_bytes",
            "int64",
            "bytes",
            "What the host's swap devices have read since the capture began; -1 if there is none, "
            "or swap is a file among others.",
            absent=UNKNOWN,
        ),
        Column(
            "swap_written_bytes",
            "int64",
            "bytes",
            "What they have written, likewise.",
            absent=UNKNOWN,
        ),
    ),
)

GUEST_SERIES: Final = Table(
    name="guest_series",
    meaning="Samples of a guest's free memory.  A file of its own, not a table of a trace.",
    columns=(
        Column("time_ns", "int64", "ns", "Of the sample; where it begins does not matter."),
        Column("free_pages", "int64", "pages", "Free pages, whatever the size of their block."),
        Column(
            "free_huge_pages",
            "int64",
            "2 MiB",
            "What is free in blocks of 2 MiB or more; -1 if nobody asked.",
        ),
        Column("total_bytes", "int64", "bytes", "All memory of the guest."),
        Column(
            "resident_bytes",
            "int64",
            "bytes",
            "QEMU's resident set; -1 if it was not measured.  The yardstick: no model reads it.",
        ),
        Column(
            "cached_bytes",
            "int64",
            "bytes",
            "The guest's page cache, which is not free; -1 if nobody asked.",
            absent=UNKNOWN,
        ),
    ),
)

TABLES: Final[dict[str, Table]] = {
    table.name: table for table in (EVENTS, STATE, GUEST_SAMPLES, SAMPLES)
}


class Feature(enum.IntEnum):
    """Feature bits of the balloon device (virtio 1.2, 5.5.3; QEMU 7.2 standard-headers)."""

    MUST_TELL_HOST = 0
    STATS_VQ = 1
    DEFLATE_ON_OOM = 2
    FREE_PAGE_HINT = 3
    PAGE_POISON = 4
    REPORTING = 5


CONFIG_POISON_OFFSET_BYTES: Final = 12
"""Where poison_val stands in the device's config space (virtio 1.2, 5.5.4)."""
