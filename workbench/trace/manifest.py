"""What a trace says of itself: host, machines, probes, losses.  One versioned JSON document."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from workbench.errors import InputError
from workbench.schema import SCHEMA_VERSION
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_NAME = "manifest.json"

FAULT_PROBE: Final = "memory"
"""The probe that sees what guests touch."""
_LARGEST_BYTES: Final = 1 << 26
"""Of a manifest; a thousand guests take a megabyte."""

_LONGEST_VERSION: Final = 20
"""Characters of a schema_version; two numbers of a few digits are expected."""


def _check_page_bytes(value: int) -> int:
    if value & (value - 1):
        message = "Input should be a power of two"
        raise ValueError(message)
    return value


_MOST_BLOCKS: Final = 256
_MOST_MACHINES: Final = 4096
# Limits far above any machine: sums of what they let through still fit an int64.
Bytes = Annotated[int, Field(ge=0, le=2**52)]
Count = Annotated[int, Field(ge=0, le=2**52)]
Nanoseconds = Annotated[int, Field(ge=0, le=2**62)]
PageBytes = Annotated[int, Field(ge=PAGE_BYTES, le=2**30), AfterValidator(_check_page_bytes)]
Features = Annotated[int, Field(ge=0, lt=2**63)]
"""One bit less than virtio's 64, to fit an int64: bit 63 is reserved (virtio 1.2, 2.2)."""
PoisonVal = Annotated[int, Field(ge=0, lt=2**32)]
"""poison_val is 32 bits wide (virtio 1.2, 5.5.4)."""
SmallNumber = Annotated[int, Field(ge=0, lt=2**31)]
"""What Linux keeps in an int."""


class _Facts(BaseModel):
    """Frozen facts.  What a newer minor version has more is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RamBlock(_Facts):
    """One RAMBlock of QEMU that holds guest RAM."""

    name: str
    used_bytes: int = Field(gt=0, le=2**46)
    page_bytes: PageBytes
    """The page size QEMU believes the block to have (qemu_ram_pagesize)."""
    shared: bool
    transparent_huge_page: bool
    """Whether the host may back the block with huge pages (madvise, or `always`)."""
    huge_page_offset_bytes: int = Field(default=0, ge=0, lt=2 * MIB)
    """The block's host address modulo 2 MiB."""


class BalloonProperties(_Facts):
    """The properties of the virtio-balloon device; None where the capture could not tell."""

    free_page_reporting: bool | None = None
    page_poison: bool | None = None
    free_page_hint: bool | None = None


class GuestFacts(_Facts):
    """What whoever started the guest knows about it; None where nobody said."""

    kernel: str | None = None
    init_on_free: bool | None = None
    reporting_order: SmallNumber | None = None
    reporting_delay_ns: Nanoseconds | None = None
    reporting_capacity: SmallNumber | None = None


class QueueIndices(_Facts):
    """How far a queue of the balloon had come (QEMU's VirtQueue, virtio 1.2, 2.7)."""

    last_avail_idx: int = Field(ge=0, lt=2**16)
    """Elements the device had taken, modulo 2**16."""
    used_idx: int = Field(ge=0, lt=2**16)
    """Elements the device had given back, modulo 2**16."""


class VirtualMachine(_Facts):
    """One QEMU process.  What it was "when the capture began" is when `attached_time_ns` says so.

    A machine with an `attached_time_ns` or `ended_time_ns` is in the trace between them only:
    nothing is known of it before, and it holds no memory after.
    """

    name: str
    qemu_version: str
    machine_type: str
    accelerator: str
    arguments: tuple[str, ...] = ()
    memory_bytes: Bytes
    ram_blocks: tuple[RamBlock, ...] = Field(min_length=1, max_length=_MOST_BLOCKS)
    device: BalloonProperties = BalloonProperties()
    guest: GuestFacts = GuestFacts()
    features: Features | None = None
    """Features in force when the trace begins; None if the driver had not set any."""
    poison_val: PoisonVal | None = None
    """The device's poison_val when the trace begins."""
    shadow_poison_val: PoisonVal | None = None
    """What the driver last wrote there, whatever became of it; None: the same.  A slice knows."""
    discard_inhibited: bool = False
    """Whether discards are forbidden when the trace begins.  A slice knows."""
    hint_command: PoisonVal | None = None
    """The last command id of the hint queue before the trace begins.  A slice knows."""
    reporting_queue: QueueIndices | None = None
    """Of the reporting queue when the capture began; None if there is none or it was not read."""
    hint_queue: QueueIndices | None = None
    """Of the hint queue, likewise."""
    hint_cmd_id: PoisonVal | None = None
    """free_page_hint_cmd_id of the config space as the driver had last read it when the capture
    began.  What state QEMU's side of hinting was in is not known: no exported function shows it."""
    qemu_build_id: str = ""
    """The linker's name of the QEMU program; empty where it has none."""
    attached_time_ns: Nanoseconds | None = None
    """When the capture found this machine; None where it was there from the start."""
    ended_time_ns: Nanoseconds | None = None
    """When its QEMU was seen to have ended; None where it outlived the capture."""


class NotCaptured(_Facts):
    """A QEMU that ran on the host and is not in the trace, though all were asked for."""

    name: str
    reason: str


class HostFacts(_Facts):
    """The host the trace was captured on."""

    kernel: str
    memory_bytes: Bytes
    processors: SmallNumber
    transparent_huge_page: str
    khugepaged_defrag: bool
    frees_empty_page_tables: bool
    """Whether a discard of a whole 2 MiB frees its page table (CONFIG_PT_RECLAIM), as tried."""
    counts_are_exact: bool = True
    """Whether the kernel reports every page that a fault adds, as tried.  Where it does not (before
    Linux 6.2), what a fault brought is taken from its allocation alone."""
    swap: tuple[str, ...] = ()
    page_cluster: SmallNumber = 0
    multi_generation_lru: bool = False


class Probe(_Facts):
    """One probe: what it saw and what it missed."""

    name: str
    attached: bool
    reason: str = ""
    """Why it is not attached; or, of an import, what about its events is assumed."""
    events: Count = 0
    unattributed: Count = 0
    """Records that were not about any guest's RAM, as far as the capture knows."""
    lost: dict[str, Count] = {}
    """Events that no table holds, by what they were of and why: `discard: ring_full`."""
    run_count: Count | None = None
    run_time_ns: Nanoseconds | None = None
    """How often its programs ran, for whatever process, and how long that took; None where the
    kernel did not count it."""
    missed_runs: Count | None = None
    """How often the kernel did not run one, because the processor was in another already.  That is
    so in interrupts only, which are not about a guest."""


class Manifest(_Facts):
    """The whole of manifest.json."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    command: str
    """The command that made the trace."""
    scenario: str = ""
    """The scenario's name, where the lab made the trace."""
    scenario_text: str = ""
    lab_settings: dict[str, str] = {}
    """The lab's settings by name, as text, where the lab made the trace."""
    created: str
    """Wall-clock time, ISO 8601, UTC."""
    clock: str = "CLOCK_MONOTONIC"
    start_time_ns: Nanoseconds
    duration_ns: Nanoseconds = 0
    complete: bool = False
    """False while the capture runs, and for ever if it was killed."""
    mid_life: bool = False
    """Whether the guest was already running when the capture began."""
    lowered_time_ns: Nanoseconds | None = None
    """From when on the capture recorded less than everything, to stay within its budget."""
    access_interval_ns: Nanoseconds | None = None
    """How often the guests' accesses to their pages were sampled.  None where they were not: the
    recency of a page is then that of its last fault."""
    access_source: str | None = None
    """What sampled the accesses; None where nothing did, and in traces before format 1.2."""
    host: HostFacts
    virtual_machines: tuple[VirtualMachine, ...] = Field(min_length=1, max_length=_MOST_MACHINES)
    not_captured: tuple[NotCaptured, ...] = ()
    probes: tuple[Probe, ...] = ()

    @property
    def saw_faults(self) -> bool:
        """Whether what guests touched is in the trace: without, it shows no resident memory."""
        return all(probe.attached for probe in self.probes if probe.name == FAULT_PROBE)

    @property
    def lost_events(self) -> int:
        """Events that no table holds, over all probes and reasons."""
        return sum(sum(probe.lost.values()) for probe in self.probes)


def parse_manifest(path: Path) -> Manifest:
    """Read `path` as a manifest.

    Raises
    ------
    InputError
        It is absent, not JSON, of a newer major version, or lacks a field.
    """
    document = _read_json(path)
    _check_version(path, document)
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = f"{path}: field {field!r} is wrong: {first['msg']}; capture the trace again"
        raise InputError(message) from None


def _read_json(path: Path) -> object:
    """Read a document that is text throughout: JSON can write half a character (lone surrogate)."""
    try:
        document: object = json.loads(_text(path))
        json.dumps(document, ensure_ascii=False).encode()
    except FileNotFoundError:
        message = f"{path.parent}: no {MANIFEST_NAME} here; a trace is a folder that holds one"
        raise InputError(message) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        message = f"{path}: not readable as JSON ({error}); capture the trace again"
        raise InputError(message) from None
    return document


def _open_at_once(name: str, flags: int) -> int:
    """Open without waiting for whoever writes into a pipe."""
    return os.open(name, flags | os.O_NONBLOCK)


def _text(path: Path) -> str:
    """Read a file, if it is one, and no longer than any manifest."""
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{path}: is not a file, expected the trace's manifest")
        content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise InputError(f"{path}: is larger than {_LARGEST_BYTES:,} bytes, expected a manifest")
    return content.decode("utf-8")


def _check_version(path: Path, document: object) -> None:
    version = document.get("schema_version") if isinstance(document, dict) else None
    text = version if isinstance(version, str) else ""
    major = text.partition(".")[0]
    own_major = SCHEMA_VERSION.partition(".")[0]
    if not major.isdecimal() or len(text) > _LONGEST_VERSION:
        shown = type(version).__name__
        if len(text) > _LONGEST_VERSION:
            shown = f"{text[:_LONGEST_VERSION]!r}..."
        elif version is None or isinstance(version, str):
            shown = repr(version)
        message = f"{path}: schema_version is {shown}, expected something like {SCHEMA_VERSION!r}"
        raise InputError(message)
    if int(major) > int(own_major):
        message = (
            f"{path}: written in trace format {version}, this workbench reads up to "
            f"{own_major}.x; install a newer workbench"
        )
        raise InputError(message)
