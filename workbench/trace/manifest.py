"""What a trace says of itself: host, machines, probes, losses.  One versioned JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.errors import InputError
from workbench.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_NAME = "manifest.json"


class _Facts(BaseModel):
    """Frozen facts.  What a newer minor version has more is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RamBlock(_Facts):
    """One RAMBlock of QEMU that holds guest RAM."""

    name: str
    used_bytes: int = Field(gt=0)
    page_bytes: int = Field(gt=0)
    """The page size QEMU believes the block to have (qemu_ram_pagesize)."""
    shared: bool
    transparent_huge_page: bool
    """Whether the host may back the block with huge pages (madvise, or `always`)."""
    huge_page_offset_bytes: int = Field(default=0, ge=0)
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
    reporting_order: int | None = None
    reporting_delay_ns: int | None = None
    reporting_capacity: int | None = None


class VirtualMachine(_Facts):
    """One QEMU process."""

    name: str
    qemu_version: str
    machine_type: str
    accelerator: str
    arguments: tuple[str, ...] = ()
    memory_bytes: int = Field(ge=0)
    ram_blocks: tuple[RamBlock, ...]
    device: BalloonProperties = BalloonProperties()
    guest: GuestFacts = GuestFacts()
    features: int | None = None
    """Features in force when the capture began; None if the driver had not set any."""
    poison_val: int | None = None
    """The device's poison_val when the capture began."""


class HostFacts(_Facts):
    """The host the trace was captured on."""

    kernel: str
    memory_bytes: int
    processors: int
    transparent_huge_page: str
    khugepaged_defrag: bool
    frees_empty_page_tables: bool
    """Whether a discard of a whole 2 MiB frees its page table (CONFIG_PT_RECLAIM), as tried."""
    swap: tuple[str, ...] = ()
    page_cluster: int = 0
    multi_generation_lru: bool = False


class Probe(_Facts):
    """One probe: what it saw and what it missed."""

    name: str
    attached: bool
    reason: str = ""
    """Why it is not attached."""
    events: int = 0
    unattributed: int = 0
    """Records that were not about any guest's RAM, as far as the capture knows."""
    lost: dict[str, int] = {}


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
    start_time_ns: int
    duration_ns: int = 0
    complete: bool = False
    """False while the capture runs, and for ever if it was killed."""
    mid_life: bool = False
    """Whether the guest was already running when the capture began."""
    host: HostFacts
    virtual_machines: tuple[VirtualMachine, ...]
    probes: tuple[Probe, ...] = ()

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
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{path.parent}: no {MANIFEST_NAME} here; a trace is a folder that holds one"
        raise InputError(message) from None
    except (OSError, ValueError) as error:
        message = f"{path}: not readable as JSON ({error}); capture the trace again"
        raise InputError(message) from None
    _check_version(path, document)
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = f"{path}: field {field!r} is wrong: {first['msg']}; capture the trace again"
        raise InputError(message) from None


def _check_version(path: Path, document: object) -> None:
    version = document.get("schema_version") if isinstance(document, dict) else None
    major = str(version).partition(".")[0]
    own_major = SCHEMA_VERSION.partition(".")[0]
    if not major.isdecimal():
        message = (
            f"{path}: schema_version is {version!r}, expected something like {SCHEMA_VERSION!r}"
        )
        raise InputError(message)
    if int(major) > int(own_major):
        message = (
            f"{path}: written in trace format {version}, this workbench reads up to "
            f"{own_major}.x; install a newer workbench"
        )
        raise InputError(message)
