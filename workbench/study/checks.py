"""What of a study contradicts itself or cannot be answered: refused before it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.quantity import shown
from workbench.replay import NO_FAULTS
from workbench.schema import UNKNOWN
from workbench.study.answerable import check_series, check_traces
from workbench.study.clocks import check_clocks
from workbench.study.rules import DEVICE_SETTINGS, GUEST_SETTINGS, WrongStudyError
from workbench.trace import GuestSeries, Trace
from workbench.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.study.study import GuestKind, HostKind, Study, Variant

MOST_VARIANTS: Final = 100_000
"""A thousand guests under each are more profiles than a week of a large machine computes."""

_BESIDES: Final = 2
"""What is compared besides combinations: without reporting, and with the page cache given back."""

_KNOWN: Final = frozenset(
    {f"device.{name}" for name in DEVICE_SETTINGS} | {f"guest.{name}" for name in GUEST_SETTINGS}
)


def check_kind(kind: GuestKind) -> None:
    """Refuse what makes no sense for guests of one kind.

    Raises
    ------
    WrongStudyError
        Its settings contradict each other, or its recordings are none of such guests.
    """
    who = f"guest {kind.name!r}"
    if not kind.members:
        raise WrongStudyError(
            f"{who} has no recordings, expected at least one; give series or trace", ("series",)
        )
    if kind.is_recorded and kind.guests_per_phase > 1:
        raise WrongStudyError(
            f"{who} has guests_per_phase {kind.guests_per_phase}, expected 1 where the phase is "
            "recorded: no moment is drawn; leave it out, or take phase random",
            ("guests_per_phase",),
        )
    if not kind.is_recorded and kind.shift_ns:
        raise WrongStudyError(
            f"{who} has a shift, expected none where the phase is random: every moment is as "
            "likely with it; leave it out, or take phase recorded",
            ("shift",),
        )
    if kind.device.free_page_reporting:
        raise WrongStudyError(
            f"{who} has free_page_reporting on whatever is compared, expected off or nothing: "
            "without reporting is what all is compared with; leave it out",
            ("device", "free_page_reporting"),
        )
    series = [member for member in kind.members if isinstance(member, GuestSeries)]
    traces = [member for member in kind.members if isinstance(member, Trace)]
    if series and traces:
        raise WrongStudyError(
            f"{who} has both series and traces, expected one of them; make two kinds of it",
            ("trace",),
        )
    _check_huge_share(kind, series)
    if traces and kind.clock_offset_ns:
        raise WrongStudyError(
            f"{who} has a clock_offset, expected none for traces, which have a clock of their own; "
            "leave it out",
            ("clock_offset",),
        )
    for trace in traces:
        _check_trace(who, trace)


def _check_huge_share(kind: GuestKind, series: Sequence[GuestSeries]) -> None:
    if kind.huge_share is None:
        return
    if not series:
        raise WrongStudyError(
            f"guest {kind.name!r} has a huge_share, expected none for traces: they have every "
            "block; leave it out",
            ("huge_share",),
        )
    if all((each.columns["free_huge_pages"] != UNKNOWN).any() for each in series):
        raise WrongStudyError(
            f"guest {kind.name!r} has a huge_share, expected none: its series tell how much is "
            "free in huge pages; leave it out",
            ("huge_share",),
        )


def _check_trace(who: str, trace: Trace) -> None:
    machines = trace.manifest.virtual_machines
    if len(machines) > 1:
        raise WrongStudyError(
            f"{who}: trace {trace.name} is of {len(machines)} guests, expected one; "
            "`workbench slice --vm` keeps one of them",
            ("trace",),
        )
    if not trace.manifest.saw_faults:
        raise WrongStudyError(
            f"{who}: of trace {trace.name}, {NO_FAULTS}, expected faults; capture it with them",
            ("trace",),
        )


def check_host(host: HostKind) -> None:
    """Refuse a host that has nothing for guests, or room in no device.

    Raises
    ------
    WrongStudyError
        It is such.
    """
    if host.for_guests_bytes <= 0:
        raise WrongStudyError(
            f"host {host.name!r} reserves {format_bytes(host.reserved_bytes)} of "
            f"{format_bytes(host.memory_bytes)}, expected less than all of it; correct it",
            ("reserved",),
            ("memory",),
        )
    if host.swap is None and host.swap_bytes is not None:
        raise WrongStudyError(
            f"host {host.name!r} has room in swap, expected the device too; add swap",
            ("swap_room",),
        )


def check_study(study: Study) -> None:
    """Refuse what cannot be answered.

    Raises
    ------
    WrongStudyError
        Parts of the study contradict each other.
    UnanswerableError
        A trace does not hold what something that is compared needs.
    """
    for what, things in (("guest", study.guests), ("host", study.hosts)):
        if not things:
            raise WrongStudyError(
                f"the study has no {what}, expected at least one; add one", (what,)
            )
        _check_names(what, [thing.name for thing in things])
    _check_variants(study.variants)
    _check_sizes(study)
    _check_swap_limit(study)
    check_clocks(study)
    check_series(study)
    check_traces(study)


def _check_names(what: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        before = names.index(name)
        if before < index:
            raise WrongStudyError(
                f"two {what}s are called {name!r}, expected a name of its own for each; rename one",
                (what, index, "name"),
                (what, before, "name"),
            )


def _check_variants(variants: Sequence[Variant]) -> None:
    first = variants[0] if variants else None
    if first is None or first.reports or first.inhibited_share or first.page_cache_given_back:
        raise WrongStudyError(
            "the first variant is not without reporting, expected WITHOUT_REPORTING; put it first",
            ("compare",),
        )
    if len(variants) > MOST_VARIANTS + _BESIDES:
        raise WrongStudyError(
            f"{len(variants):,} combinations are compared, expected {MOST_VARIANTS:,} at most; "
            "compare fewer values",
            ("compare",),
        )
    if len(set(variants)) < len(variants):
        raise WrongStudyError(
            "a variant is there twice, expected every one once; remove it", ("compare",)
        )
    unknown = [
        name for variant in variants for name in variant.settings.changed if name not in _KNOWN
    ]
    if unknown:
        raise WrongStudyError(
            f"{shown(unknown[0])} is compared, expected some of {', '.join(sorted(_KNOWN))}; leave "
            "it out: hosts and costs are those of the study",
            ("compare",),
        )


def _check_sizes(study: Study) -> None:
    """Refuse a guest that has more memory than a host."""
    smallest = min(study.hosts, key=lambda host: host.for_guests_bytes)
    for index, kind in enumerate(study.guests):
        largest = max(kind.members, key=_memory_bytes)
        if _memory_bytes(largest) > smallest.for_guests_bytes:
            raise WrongStudyError(
                f"guest {kind.name!r} has {format_bytes(_memory_bytes(largest))} of memory "
                f"({largest.name}), expected no more than the "
                f"{format_bytes(smallest.for_guests_bytes)} that host {smallest.name!r} has for "
                "guests; leave out the guest or the host",
                ("guest", index, "trace" if isinstance(largest, Trace) else "series"),
                ("host", study.hosts.index(smallest), "memory"),
            )


def _memory_bytes(member: GuestSeries | Trace) -> int:
    if isinstance(member, GuestSeries):
        return int(member.columns["total_bytes"].max())
    return sum(machine.memory_bytes for machine in member.manifest.virtual_machines)


def _check_swap_limit(study: Study) -> None:
    if study.limit.swap_in_pages_per_second is None:
        return
    for index, host in enumerate(study.hosts):
        if host.swap is None:
            raise WrongStudyError(
                f"host {host.name!r} has no swap, expected a device where "
                "swap_in_pages_per_second is limited: what is read back depends on it; add swap",
                ("host", index),
                ("limit", "swap_in_pages_per_second"),
            )
    for index, kind in enumerate(study.guests):
        if any(isinstance(member, GuestSeries) for member in kind.members):
            raise WrongStudyError(
                f"the limit has swap_in_pages_per_second, and guest {kind.name!r} has series, "
                "expected traces only: series do not tell which pages are used again; leave the "
                "limit out, or capture traces of these guests",
                ("limit", "swap_in_pages_per_second"),
                ("guest", index, "series"),
            )
