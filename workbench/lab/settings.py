"""What a lab run is made of, checked before anything starts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from workbench.errors import UsageError
from workbench.units import GIB, LARGEST_ORDER, MIB, PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    from workbench.lab.scenario import Scenario

Accelerator = Literal["tcg", "kvm", "auto"]

MEMORY_MIN_BYTES: Final = 96 * MIB
"""Debian's 6.1 cloud kernel with this initramfs boots in 96 MiB, and not in 64 (measured)."""

MEMORY_MAX_BYTES: Final = 4 * GIB
"""The largest that was tried: QEMU puts 3 GiB of it below 4 GiB and the rest from there on, in one
block of RAM (QEMU 7.2 hw/i386/pc_piix.c, pc_init1)."""

VCPUS_MAX: Final = 16
GUESTS_MAX: Final = 16
"""More of either than this would only wait for the host's processors."""

PAGE_CLUSTER_MAX: Final = 31
"""Linux 6.18 mm/swap.c, page_cluster_max."""

SETTLE_DEFAULT_S: Final = 10.0
"""A guest gives back 512 MiB in at most three passes 2 s apart, at any order, as the reports of
`workbench lab run fragment --order 0` show."""

QUIET_S: Final = 3.0
"""The end of the settle time, when not even the sampler runs: one reporting delay and a bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSettings:
    """One lab run.

    Parameters
    ----------
    scenario
        What each guest does.
    memory_bytes, vcpu_count, guest_count
        Size and number of the guests; all run the same scenario at the same time.
    reporting, page_poison, free_page_hint
        Properties of the balloon device.
    reporting_order
        Written to the running guest; None leaves what the kernel chose.
    poison
        "none"; "init_on_free" (the guest then sets poison_val 0); or a poison_val, which is
        written to the device from within the guest.
    migrate_at
        Step, or mark, at whose beginning a migration into nowhere starts.
    attach_after
        Step, or mark, after which the guests wait until the capture has attached to them; None
        captures their whole lives.
    accelerator
        "tcg" emulates; "kvm" needs a host where a guest really boots under it; "auto" finds out.
    memory_limit_bytes
        Limit of the memory cgroup that holds all guests.
    zram_bytes, swap_file_bytes
        Size of a swap device made for this run: in compressed memory, or on a file.
    page_cluster
        Swap readahead while it runs: 2 to this power pages; None leaves what the host has.
    record_access
        Whether QEMU marks the pages that a guest reads and writes, which makes the guest slower.
    lock_memory
        Whether QEMU locks its memory (`-overcommit mem-lock=on`); the host then refuses to discard.
    settle_s
        Time after the last step for the guest's reports to end.
    """

    scenario: Scenario
    memory_bytes: int = 512 * MIB
    vcpu_count: int = 1
    guest_count: int = 1
    reporting: bool = True
    reporting_order: int | None = None
    page_poison: bool = True
    poison: str | int = "none"
    free_page_hint: bool = False
    migrate_at: str | None = None
    attach_after: str | None = None
    accelerator: Accelerator = "tcg"
    memory_limit_bytes: int | None = None
    zram_bytes: int | None = None
    swap_file_bytes: int | None = None
    page_cluster: int | None = None
    record_access: bool = False
    lock_memory: bool = False
    settle_s: float = SETTLE_DEFAULT_S

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        self._check_ranges()
        self._check_combinations()
        for place in (self.migrate_at, self.attach_after):
            if place is not None:
                self.scenario.step_number(place)

    def as_text(self) -> dict[str, str]:
        """All settings but the scenario, for the manifest of a trace."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "scenario"]
        return {name: str(getattr(self, name)) for name in names}

    def _check_ranges(self) -> None:
        _require(
            self.memory_bytes >= MEMORY_MIN_BYTES and self.memory_bytes % (2 * MIB) == 0,
            f"guest memory of {format_bytes(self.memory_bytes)}: it must be a multiple of 2 MiB, "
            f"and at least {format_bytes(MEMORY_MIN_BYTES)}",
        )
        _require(
            self.memory_bytes <= MEMORY_MAX_BYTES,
            f"guest memory of {format_bytes(self.memory_bytes)}: choose at most "
            f"{format_bytes(MEMORY_MAX_BYTES)}, the largest that was tried",
        )
        _require(
            1 <= self.vcpu_count <= VCPUS_MAX, f"{self.vcpu_count} vCPUs: choose 1 to {VCPUS_MAX}"
        )
        _require(
            1 <= self.guest_count <= GUESTS_MAX,
            f"{self.guest_count} guests: choose 1 to {GUESTS_MAX}",
        )
        _require(
            self.reporting_order is None or 0 <= self.reporting_order <= LARGEST_ORDER,
            f"reporting order {self.reporting_order}: choose 0 (4 KiB) to {LARGEST_ORDER} (4 MiB)",
        )
        _require(
            self.settle_s >= QUIET_S, f"settle time {self.settle_s} s: choose {QUIET_S} s or more"
        )
        _require(
            self.accelerator in ("tcg", "kvm", "auto"),
            f"accelerator {self.accelerator!r}: choose tcg, kvm or auto",
        )
        limit_bytes = self.memory_limit_bytes
        _require(
            limit_bytes is None or (limit_bytes > 0 and limit_bytes % PAGE_BYTES == 0),
            f"memory limit {limit_bytes} bytes: choose a multiple of 4 KiB",
        )
        self._check_swap()

    def _check_swap(self) -> None:
        for size_bytes in (self.zram_bytes, self.swap_file_bytes):
            _require(
                size_bytes is None or size_bytes >= MIB,
                f"swap of {size_bytes} bytes: choose at least 1 MiB",
            )
        _require(
            self.zram_bytes is None or self.swap_file_bytes is None,
            "swap in compressed memory and swap on a file: choose one, so that what is measured "
            "is the behaviour of one device",
        )
        _require(
            self.page_cluster is None or 0 <= self.page_cluster <= PAGE_CLUSTER_MAX,
            f"page cluster {self.page_cluster}: choose 0 to {PAGE_CLUSTER_MAX}",
        )

    def _check_combinations(self) -> None:
        room_bytes = room_for_files_bytes(self.memory_bytes)
        _require(
            self.scenario.peak_bytes <= room_bytes,
            f"scenario {self.scenario.name} holds up to {format_bytes(self.scenario.peak_bytes)}, "
            f"and a guest of {format_bytes(self.memory_bytes)} has room for "
            f"{format_bytes(room_bytes)}: give it more memory",
        )
        _require(
            not self.record_access or self.accelerator == "tcg",
            f"accelerator {self.accelerator}: accesses can be recorded under tcg only",
        )
        if isinstance(self.poison, str):
            _require(
                self.poison in ("none", "init_on_free"),
                f"poison {self.poison!r}: choose none, init_on_free or a value such as 0xaaaaaaaa",
            )
        else:
            _require(
                0 <= self.poison < 1 << 32, f"poison value {self.poison:#x}: it has 32 bits at most"
            )
            _require(
                self.page_poison,
                "a poison value needs the device property page-poison: without it the device "
                "ignores the value",
            )

    @property
    def init_on_free(self) -> bool:
        """Whether the guest clears memory it frees.  A poison value is only accepted if it does."""
        return self.poison != "none"

    @property
    def poison_val(self) -> int | None:
        """The value the guest writes to the device; None leaves what the driver wrote."""
        return self.poison if isinstance(self.poison, int) else None


def room_for_files_bytes(memory_bytes: int) -> int:
    """How much a scenario may hold in a guest of this size.

    The kernel and the initramfs take some 60 MiB at first, and 1/32 for page structs; the rest is
    watermarks, and what the kernel keeps from user memory in its lowest zone.
    Measured: exactly this much works with 128, 512, 1024, 2048, 3072 and 4096 MiB; 2 MiB less than
    what is free after boot does not with 128, nor 25 MiB less with 1024, nor 37 with 2048.
    """
    return memory_bytes - memory_bytes // 16 - 80 * MIB


def parse_poison(text: str) -> str | int:
    """The `poison` setting from a command line: a word, or a number such as 0xaaaaaaaa.

    Raises
    ------
    UsageError
        It is neither.
    """
    if text in ("none", "init_on_free"):
        return text
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(
            f"poison {text!r}: choose none, init_on_free or a value such as 0xaaaaaaaa"
        ) from None


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise UsageError(otherwise)
