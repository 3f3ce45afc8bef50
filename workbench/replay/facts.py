"""What a trace says about the run it was captured from, as far as questions depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.model import Outcome
from workbench.schema import FaultFlag, Feature, Kind, PageState
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.ledger import Ledger
    from workbench.trace import Trace


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

    @property
    def swaps(self) -> bool:
        """Whether any page of any guest was ever in swap."""
        return any(machine.swaps for machine in self.machines)


def trace_facts(trace: Trace, ledger: Ledger) -> TraceFacts:
    """Collect the facts.

    Parameters
    ----------
    ledger
        Of the replay as captured.
    """
    machines = range(len(trace.manifest.virtual_machines))
    return TraceFacts(
        machines=tuple(_machine_facts(trace, ledger, vm) for vm in machines),
        notes=tuple(_notes(trace)),
    )


def _machine_facts(trace: Trace, ledger: Ledger, vm: int) -> MachineFacts:
    machine = trace.manifest.virtual_machines[vm]
    events = trace.columns("events")
    is_own = events["vm"] == vm
    kind = np.where(is_own, events["kind"], 0)
    is_report = kind == Kind.REPORT
    features = _features_kept(machine.features or 0, kind, events["status"])

    keeps_reporting = bool(features >> Feature.REPORTING & 1)
    keeps_page_poison = bool(features >> Feature.PAGE_POISON & 1)

    def count(rows: npt.NDArray[np.bool_], *outcomes: Outcome) -> int:
        return int(np.isin(ledger.outcome[rows], outcomes).sum())

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
        began_at_boot=not trace.manifest.mid_life,
        reporting_order=machine.guest.reporting_order,
        reporting_delay_ns=machine.guest.reporting_delay_ns,
        reporting_capacity=machine.guest.reporting_capacity,
        ranges=int(is_report.sum()),
        discarded=count(is_report, Outcome.DISCARDED, Outcome.DISCARD_FAILED),
        poisoned=count(is_report, Outcome.SKIPPED_POISONED),
        inflated=count(kind == Kind.DISCARD, Outcome.DISCARDED, Outcome.DISCARD_FAILED),
        inhibitions=int(((kind == Kind.INHIBIT) & (events["status"] != 0)).sum()),
        hinted=int((kind == Kind.HINT_RANGE).sum()),
        ram_blocks=len(machine.ram_blocks),
        page_bytes=max((block.page_bytes for block in machine.ram_blocks), default=PAGE_BYTES),
        shares_memory=any(block.shared for block in machine.ram_blocks),
        swaps=_swaps(trace),
        shows_limit=bool((ledger.outcome == Outcome.SWAPPED_OUT).any()),
    )


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


def _features_kept(
    initial: int, kind: npt.NDArray[np.integer], status: npt.NDArray[np.int64]
) -> int:
    """Features that any negotiation ended with.

    Linux writes what it knows first and drops what it then decides against (Linux 6.1
    drivers/virtio/virtio.c, virtio_dev_probe): only the last write before a reset counts.
    """
    kept, current = 0, initial
    for row in np.flatnonzero((kind == Kind.FEATURES) | (kind == Kind.RESET)):
        if kind[row] == Kind.RESET:
            kept |= current
            current = 0
        else:
            current = int(status[row])
    return kept | current


def _swaps(trace: Trace) -> bool:
    events, state = trace.columns("events"), trace.columns("state")
    kind = events["kind"]
    came_back = (kind == Kind.FAULT) & (events["status"] & FaultFlag.SWAP_IN != 0)
    began_swapped = state["page_state"] == PageState.SWAPPED
    return bool((kind == Kind.SWAP_OUT).any() or came_back.any() or began_swapped.any())


def _notes(trace: Trace) -> list[str]:
    manifest = trace.manifest
    notes = []
    if (trace.columns("events")["kind"] == Kind.COLLAPSE).any():
        notes.append("khugepaged collapsed pages, Linux does not say which: not exact to the page")
    if manifest.lost_events:
        notes.append(f"{manifest.lost_events} events were lost: not exact to the page")
    missing = trace.missing_segments
    if missing:
        words = "1 segment is" if missing == 1 else f"{missing} segments are"
        notes.append(f"{words} missing: not exact to the page")
    if not manifest.complete:
        notes.append("the capture was cut short: the trace ends before its run did")
    others = [name for name in manifest.host.swap if not is_zram(name)]
    if others and _swaps(trace):
        notes.append(
            f"swap was not only zram ({', '.join(others)}): clean pages are evicted there without "
            "an event, so swapped bytes can be low"
        )
    return notes


def swaps_to_zram(trace: Trace) -> bool:
    """Tell whether all that the host of a capture swapped to was compressed memory."""
    return all(is_zram(name) for name in trace.manifest.host.swap)


def is_zram(swap: str) -> bool:
    """Tell whether a swap device of the manifest is compressed memory."""
    return swap.rpartition("/")[2].startswith("zram")
