"""What a trace says about the run it was captured from, as far as questions depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model import Outcome
from workbench.model.tally import KINDS, OUTCOMES, SWAP_IN_FAULTS
from workbench.schema import PAGE_STATE_MASK, FaultFlag, Feature, Kind, PageState
from workbench.units import PAGE_BYTES, format_ns

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.ledger import Ledger
    from workbench.replay.tallies import Tallied
    from workbench.trace import Manifest, Trace, VirtualMachine
    from workbench.trace.reader import Columns


NO_FAULTS: Final = (
    "the trace has no faults, so nothing shows what the guest held: only what was reported and "
    "discarded is known, not how much memory was resident or in swap"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """One machine, as captured."""

    name: str
    offers_reporting: bool | None
    """Whether the device did; None where nobody knows."""
    offers_page_poison: bool | None
    offers_hint: bool | None
    negotiated_reporting: bool
    negotiated_page_poison: bool
    init_on_free: bool | None
    """Whether the guest clears what it frees; None where nobody knows."""
    began_at_boot: bool
    """Whether the capture saw the guest's boot."""
    is_whole: bool
    """Whether the capture saw the guest from the start of the trace to its end."""
    reporting_order: int | None
    reporting_delay_ns: int | None
    reporting_capacity: int | None
    ranges: int
    """Reported ranges."""
    discarded: int
    """Ranges of them that QEMU asked the host to take."""
    poisoned: int
    """Ranges of them that it did not, because of poison_val."""
    inflated: int
    """Discards that no report asked for."""
    inhibitions: int
    """Times discards were forbidden."""
    hinted: int
    """Ranges that a migration need not send, which the guest holds meanwhile."""
    ram_blocks: int
    page_bytes: int
    """The smallest piece of guest RAM that the host can take back."""
    shares_memory: bool
    """Whether guest RAM is a file or shared, which swaps otherwise."""
    swaps: bool
    """Whether any page of any guest was ever in swap: what one keeps, others must do without."""
    saw_faults: bool
    """Whether what the guest touched is in the trace."""
    shows_limit: bool
    """Whether it is seen how much memory the RAM of all guests had: some of it went to swap."""

    @property
    def reports(self) -> bool:
        """Whether the guest reports, or may from the next free on."""
        return self.negotiated_reporting or self.ranges > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFacts:
    """All machines of a trace, and what limits every answer from it."""

    machines: tuple[MachineFacts, ...]
    notes: tuple[str, ...]
    lowered_after_ns: int | None = None
    """How long after its start the capture began to record less than everything."""

    @property
    def swaps(self) -> bool:
        """Whether any page of any guest was ever in swap."""
        return any(machine.swaps for machine in self.machines)


class FactsSoFar:
    """The facts of a trace whose events come in batches.

    However they are cut, the facts are the same.  Of a batch nothing is kept.

    Parameters
    ----------
    trace
        Only its manifest, its `state` and the names of its files are read.
    """

    def __init__(self, trace: Trace) -> None:
        self._manifest = trace.manifest
        self._missing_segments = trace.missing_segments
        page_state = trace.columns("state")["page_state"] & PAGE_STATE_MASK
        self._swaps = bool((page_state == PageState.SWAPPED).any())
        machines = self._manifest.virtual_machines
        self._features = [_FeaturesKept(machine.features or 0) for machine in machines]
        self._occurrences = np.zeros((len(machines), KINDS, OUTCOMES), np.int64)
        self._inhibitions = np.array([machine.discard_inhibited for machine in machines], np.int64)

    def add(self, columns: Columns, ledger: Ledger) -> None:
        """Take the next rows.

        Parameters
        ----------
        columns
            Of the events, in their order: `vm`, `kind` and `status`.
        ledger
            Of the same rows, of the replay as captured.
        """
        vm, kind = columns["vm"], columns["kind"]
        code = (vm * np.int64(KINDS) + kind) * OUTCOMES + ledger.outcome
        counts = np.bincount(code, minlength=self._occurrences.size)
        self._add(columns, counts.reshape(self._occurrences.shape))
        self._swaps = self._swaps or _swaps_in(kind, columns["status"])

    def add_tallied(self, tallied: Tallied) -> None:
        """Take the next rows, of the replay as captured, of which no ledger was kept."""
        self._add(tallied.columns, tallied.occurrences)
        self._swaps = self._swaps or bool(tallied.sums[SWAP_IN_FAULTS])

    def _add(self, columns: Columns, occurrences: npt.NDArray[np.int64]) -> None:
        self._occurrences += occurrences
        vm, kind, status = columns["vm"], columns["kind"], columns["status"]
        of_kind = occurrences.sum(axis=(0, 2))
        if of_kind[Kind.INHIBIT]:
            inhibits = np.flatnonzero((kind == Kind.INHIBIT) & (status != 0))
            self._inhibitions += np.bincount(vm[inhibits], minlength=self._inhibitions.size)
        if of_kind[Kind.FEATURES] or of_kind[Kind.RESET]:
            for row in np.flatnonzero((kind == Kind.FEATURES) | (kind == Kind.RESET)):
                self._features[vm[row]].follow(kind[row], int(status[row]))

    def facts(self) -> TraceFacts:
        """Give the facts of what was added, as if no event followed."""
        return TraceFacts(
            machines=tuple(self._machine_facts(vm) for vm in range(len(self._features))),
            notes=tuple(self._notes()),
            lowered_after_ns=_lowered_after_ns(self._manifest),
        )

    def _machine_facts(self, vm: int) -> MachineFacts:
        machine = self._manifest.virtual_machines[vm]
        features = self._features[vm].kept
        of_kind = self._occurrences.sum(axis=(0, 2))
        reports = self._occurrences[vm, Kind.REPORT]
        discards = self._occurrences[vm, Kind.DISCARD]
        keeps_reporting = bool(features >> Feature.REPORTING & 1)
        keeps_page_poison = bool(features >> Feature.PAGE_POISON & 1)
        return MachineFacts(
            name=machine.name,
            offers_reporting=_offered(machine.device.free_page_reporting, kept=keeps_reporting),
            offers_page_poison=_offered(machine.device.page_poison, kept=keeps_page_poison),
            offers_hint=machine.device.free_page_hint,
            negotiated_reporting=keeps_reporting,
            negotiated_page_poison=keeps_page_poison,
            init_on_free=_clears(
                machine.guest.init_on_free,
                keeps_reporting=keeps_reporting,
                keeps_page_poison=keeps_page_poison,
            ),
            began_at_boot=not self._manifest.mid_life,
            is_whole=machine.attached_time_ns is None and machine.ended_time_ns is None,
            reporting_order=machine.guest.reporting_order,
            reporting_delay_ns=machine.guest.reporting_delay_ns,
            reporting_capacity=machine.guest.reporting_capacity,
            ranges=int(reports.sum()),
            discarded=int(reports[_ASKED].sum()),
            poisoned=int(reports[Outcome.SKIPPED_POISONED]),
            inflated=int(discards[_ASKED].sum()),
            inhibitions=int(self._inhibitions[vm]),
            hinted=int(self._occurrences[vm, Kind.HINT_RANGE].sum()),
            ram_blocks=len(machine.ram_blocks),
            page_bytes=max((block.page_bytes for block in machine.ram_blocks), default=PAGE_BYTES),
            shares_memory=any(block.shared for block in machine.ram_blocks),
            swaps=self._swaps or bool(of_kind[Kind.SWAP_OUT]),
            saw_faults=self._manifest.saw_faults,
            shows_limit=bool(self._occurrences[:, :, Outcome.SWAPPED_OUT].any()),
        )

    def _notes(self) -> list[str]:
        manifest = self._manifest
        notes = []
        if not manifest.saw_faults:
            notes.append(NO_FAULTS)
        if self._occurrences[:, Kind.COLLAPSE].any():
            notes.append(
                "khugepaged collapsed pages, Linux does not say which: not exact to the page"
            )
        if manifest.lost_events:
            notes.append(f"{manifest.lost_events} events were lost: not exact to the page")
        notes += [_presence_note(machine, manifest) for machine in _partly_there(manifest)]
        missing = self._missing_segments
        if missing:
            words = "1 segment is" if missing == 1 else f"{missing} segments are"
            notes.append(f"{words} missing: not exact to the page")
        if not manifest.complete:
            notes.append("the capture was cut short: the trace ends before its run did")
        others = [name for name in manifest.host.swap if not is_zram(name)]
        if others and (self._swaps or self._occurrences[:, Kind.SWAP_OUT].any()):
            notes.append(
                f"swap was not only zram ({', '.join(others)}): clean pages are evicted there "
                "without an event, so swapped bytes can be low"
            )
        return notes


def _lowered_after_ns(manifest: Manifest) -> int | None:
    if manifest.lowered_time_ns is None:
        return None
    after_ns = manifest.lowered_time_ns - manifest.start_time_ns
    return max(after_ns, 0) if after_ns < manifest.duration_ns else None


def _partly_there(manifest: Manifest) -> list[VirtualMachine]:
    machines = manifest.virtual_machines
    return [m for m in machines if m.attached_time_ns is not None or m.ended_time_ns is not None]


def _presence_note(machine: VirtualMachine, manifest: Manifest) -> str:
    """Say when a machine that was not there all the time was."""
    words = []
    if machine.attached_time_ns is not None:
        after = format_ns(machine.attached_time_ns - manifest.start_time_ns)
        words.append(f"came {after} after the start: nothing is known of it before")
    if machine.ended_time_ns is not None:
        after = format_ns(machine.ended_time_ns - manifest.start_time_ns)
        words.append(f"ended {after} after the start: it holds nothing from then on")
    return f"{machine.name} {', and '.join(words)}"


_ASKED: Final = [Outcome.DISCARDED, Outcome.DISCARD_FAILED]
"""What comes of a range that QEMU asks the host to take."""


class _FeaturesKept:
    """Features that any negotiation ended with.

    Linux writes what it knows first and drops what it then decides against (Linux 6.1
    drivers/virtio/virtio.c, virtio_dev_probe): only the last write before a reset counts.
    """

    def __init__(self, initial: int) -> None:
        self._ended_with = 0
        self._current = initial

    def follow(self, kind: int, status: int) -> None:
        """Take the next FEATURES or RESET."""
        if kind == Kind.RESET:
            self._ended_with |= self._current
            self._current = 0
        else:
            self._current = status

    @property
    def kept(self) -> int:
        """The bits, as if the negotiation ended here."""
        return self._ended_with | self._current


def _offered(known: bool | None, *, kept: bool) -> bool | None:  # noqa: FBT001 - a fact, not a flag.
    """What a driver keeps was offered, also where the capture could not read the property."""
    return True if known is None and kept else known


def _clears(
    known: bool | None,  # noqa: FBT001 - a fact, not a flag.
    *,
    keeps_reporting: bool,
    keeps_page_poison: bool,
) -> bool | None:
    """A driver that reports without PAGE_POISON is of a guest that does not care what is in pages.

    Source: Linux drivers/virtio/virtio_balloon.c, virtballoon_validate().
    """
    return False if known is None and keeps_reporting and not keeps_page_poison else known


def _swaps_in(kind: npt.NDArray[np.integer], status: npt.NDArray[np.int64]) -> bool:
    is_fault = kind == Kind.FAULT
    return bool(is_fault.any() and (is_fault & (status & FaultFlag.SWAP_IN != 0)).any())


def swaps_to_zram(trace: Trace) -> bool:
    """Tell whether all that the host of a capture swapped to was compressed memory."""
    return all(is_zram(name) for name in trace.manifest.host.swap)


def is_zram(swap: str) -> bool:
    """Tell whether a swap device of the manifest is compressed memory."""
    return swap.rpartition("/")[2].startswith("zram")
