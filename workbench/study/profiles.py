"""What one guest needs of host memory, moment by moment, under one thing that is compared."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import InputError, UsageError
from workbench.measure import add
from workbench.measure.residency import resident_series, swapped_series
from workbench.measure.sums import weighted_total
from workbench.model import GuestPoison, negotiate
from workbench.replay import captured_facts, replay, reporting_of
from workbench.replay.guest_need import series_need
from workbench.replay.reporting import reporting_under, reports_under
from workbench.schema import UNKNOWN
from workbench.spelling import on_one_line
from workbench.study.timeline import Span, span_of
from workbench.trace import GuestSeries, Reporting
from workbench.units import HUGE_PAGE_ORDER, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay import Settings
    from workbench.study.study import GuestKind, Variant
    from workbench.study.timeline import Timeline
    from workbench.trace import Trace

    Pages = npt.NDArray[np.int64]


_SHARE_PARTS: Final = 1 << 20
"""A huge share in parts no finer than these is exact to six decimals; times the pages of the
largest guest, 2**40, it has room in an int64."""


class Facts(NamedTuple):
    """What can be said of a guest alone, over the time in which it was seen.

    Attributes
    ----------
    seconds
        For how long that was.
    mean_bytes, peak_bytes
        What it needs; the mean is over time, rounded down.
    held_back_bytes
        The mean of what is free and never given back: without reporting all that is free, with it
        what lies in blocks too small to be reported.  `UNKNOWN` of a trace, which shows no free
        memory.
    cached_bytes
        The mean of its page cache; `UNKNOWN` where nobody asked.
    rises_bytes
        How much its need grew, all rises summed: at least so much it has faulted in again.
    byte_seconds
        What it needs, summed over time, rounded down.
    """

    seconds: float
    mean_bytes: int
    peak_bytes: int
    held_back_bytes: int
    cached_bytes: int
    rises_bytes: int
    byte_seconds: int


class Profile(NamedTuple):
    """A guest under one thing that is compared.

    Attributes
    ----------
    pages
        What it needs of host memory, in memory or in swap: the most within each step.  Of a kind
        with random phases over its own time, to be looped; of a recorded one at each moment of the
        timeline.  Shape (step,), int32.
    facts
        Of the guest alone.
    """

    pages: npt.NDArray[np.int32]
    facts: Facts


def profile(
    member: GuestSeries | Trace,
    kind: GuestKind,
    variant: Variant,
    timeline: Timeline,
    *,
    inhibited: bool = False,
) -> Profile:
    """Say what a guest needs under one thing that is compared.

    A guest that gives nothing back is taken to have been running for long: it holds all that it
    ever held at once.  One that does never holds more than that.

    Parameters
    ----------
    member
        One of the kind's.
    inhibited
        Whether something besides the settings inhibits its discards.

    Raises
    ------
    InputError
        A series does not tell its free huge pages and the kind has no huge_share.
    UnanswerableError
        A trace does not hold what the answer needs.
    """
    settings = effective_settings(kind, variant, inhibited)
    if isinstance(member, GuestSeries):
        need = _need_of_series(member, kind, variant, settings)
    else:
        need = _need_of_trace(member, settings)
    return Profile(_per_step(need, kind, timeline), _facts(need))


def effective_settings(kind: GuestKind, variant: Variant, inhibited: bool) -> Settings:  # noqa: FBT001 - said of a guest.
    """Give the settings of a guest: the variant's, and before them those of its kind.

    Parameters
    ----------
    inhibited
        Whether something besides the settings inhibits its discards.
    """
    settings = kind.settings_under(variant)
    if not inhibited:
        return settings
    device = settings.device.model_copy(update={"discard_inhibited": True})
    return settings.model_copy(update={"device": device})


def gives_back(settings: Settings, member: GuestSeries | Trace) -> bool:
    """Tell whether anything that this guest frees leaves the host's memory under these settings.

    What a series does not tell is taken to be as QEMU and Linux have it: a device that offers
    PAGE_POISON, and a guest that neither poisons nor clears what it frees.
    """
    device, guest = settings.device, settings.guest
    if isinstance(member, GuestSeries):
        # The driver tells poison_val only if the content of free pages matters to it; 0: cleared.
        poison = GuestPoison(
            init_on_free=bool(guest.init_on_free) or guest.poison_val == 0,
            page_poisoning=bool(guest.poison_val),
        )
        kept = negotiate(
            poison,
            offers_page_poison=device.page_poison is not False,
            offers_reporting=device.free_page_reporting is not False,
        )
        return kept.discards and not device.discard_inhibited
    if device.discard_inhibited or guest.poison_val:
        return False
    (facts,) = captured_facts(member).machines
    was_poisoned = guest.poison_val is None and facts.poisoned > 0 and facts.discarded == 0
    return reports_under(facts, settings) and not was_poisoned


def member_reportings(kind: GuestKind, variant: Variant) -> list[Reporting | None]:
    """Say how each guest of a kind reports under a variant; None if nothing comes of it.

    What the settings leave open is as it was recorded, or as Linux has it.

    Returns
    -------
    One for each member, in their order.
    """
    settings = effective_settings(kind, variant, inhibited=False)
    # Of a series nothing else decides, and there may be very many.
    of_series: dict[Reporting | None, Reporting | None] = {}
    found = []
    for member in kind.members:
        if not isinstance(member, GuestSeries):
            found.append(_trace_reporting(settings, member))
            continue
        if member.reporting not in of_series:
            is_any = gives_back(settings, member)
            of_series[member.reporting] = _reporting(settings, member) if is_any else None
        found.append(of_series[member.reporting])
    return found


def _trace_reporting(settings: Settings, trace: Trace) -> Reporting | None:
    if not gives_back(settings, trace):
        return None
    (facts,) = captured_facts(trace).machines
    return Reporting(*reporting_under(facts, settings))


def _reporting(settings: Settings, series: GuestSeries) -> Reporting:
    guest = settings.guest.model_copy(update={"poison_val": None})
    return reporting_of(guest, series.reporting)


class _Need(NamedTuple):
    """What a guest needs, as a step function of time, and what else is known of it."""

    time_ns: Pages
    """When each value begins.  Shape (value,)."""
    pages: Pages
    """Shape (value,)."""
    stop_ns: int
    """When the last value ends."""
    held_back_bytes: int
    cached_bytes: int


def _need_of_series(
    series: GuestSeries, kind: GuestKind, variant: Variant, settings: Settings
) -> _Need:
    columns = series.columns
    time_ns = columns["time_ns"]
    stop_ns = span_of(series).stop_ns
    duration_ns = np.diff(time_ns, append=stop_ns)
    span_ns = stop_ns - int(time_ns[0])
    used = columns["total_bytes"] // PAGE_BYTES - columns["free_pages"]
    most = int(used.max())
    if gives_back(settings, series):
        reporting = _reporting(settings, series)
        known = _with_huge_pages(series, kind, reporting.order)
        if variant.page_cache_given_back:
            known = _with_page_cache_free(known)
        need = series_need(known, reporting)
        pages = np.minimum(need.pages, most)
        held_back = known.columns["free_pages"] - need.reportable_pages
    else:
        pages = np.full(time_ns.size, most)
        held_back = columns["free_pages"]
    cached = columns["cached_bytes"]
    return _Need(
        time_ns,
        pages,
        stop_ns,
        weighted_total(held_back, duration_ns) * PAGE_BYTES // span_ns,
        weighted_total(cached, duration_ns) // span_ns if series.knows_page_cache else UNKNOWN,
    )


def _with_huge_pages(series: GuestSeries, kind: GuestKind, order: int) -> GuestSeries:
    """Take the kind's word for how much is free in huge pages, where the series does not tell."""
    columns = series.columns
    if not (columns["free_huge_pages"] == UNKNOWN).any():
        return series
    if kind.huge_share is None and order > 0:
        raise InputError(
            f"{on_one_line(kind.name)}: {on_one_line(series.name)} does not tell how much is free "
            f"in huge pages, which reporting at order {order} depends on; sample "
            "/proc/buddyinfo too, or give these guests a huge_share (the part of free memory in "
            "blocks of 2 MiB and more)"
        )
    share = Fraction(str(kind.huge_share or 0)).limit_denominator(_SHARE_PARTS)
    huge = columns["free_pages"] * share.numerator // (share.denominator << HUGE_PAGE_ORDER)
    return replace(series, columns=columns | {"free_huge_pages": huge})


def _with_page_cache_free(series: GuestSeries) -> GuestSeries:
    """Let the page cache be free memory, as much of it in huge pages as of what is free."""
    columns = series.columns
    if not series.knows_page_cache:
        return series
    free, huge = columns["free_pages"], columns["free_huge_pages"]
    more = np.minimum(
        columns["cached_bytes"] // PAGE_BYTES, columns["total_bytes"] // PAGE_BYTES - free
    )
    more_huge = more * huge // np.maximum(free, 1)
    return replace(
        series, columns=columns | {"free_pages": free + more, "free_huge_pages": huge + more_huge}
    )


def _need_of_trace(trace: Trace, settings: Settings) -> _Need:
    run = replay(trace, settings=settings, progress=False)
    need = add([resident_series(run), swapped_series(run)])
    span = span_of(trace)
    pages = need.value // PAGE_BYTES
    if not gives_back(settings, trace):
        pages = np.full(pages.size, pages.max())
    return _Need(need.time_ns, pages, span.stop_ns, UNKNOWN, UNKNOWN)


def _per_step(need: _Need, kind: GuestKind, timeline: Timeline) -> npt.NDArray[np.int32]:
    """Give the most that is needed within each step."""
    step_ns = timeline.step_ns
    if not kind.is_recorded:
        start_ns = int(need.time_ns[0])
        moments = Span(start_ns, need.stop_ns).moments(step_ns)
    elif timeline.start_ns is None:
        raise UsageError(
            f"{kind.name}: is recorded, but the timeline has no start_ns; expected one"
        )
    else:
        start_ns, moments = timeline.start_ns, timeline.moments
    most = int(need.pages.max())
    if most > np.iinfo(np.int32).max:
        raise InputError(f"{kind.name}: a guest needs {most:,} pages, expected less than 8 TiB")
    edges_ns = start_ns + np.arange(moments + 1) * step_ns
    # From the value in force as the step begins to the last that begins within it.
    first = np.maximum(np.searchsorted(need.time_ns, edges_ns[:-1], side="right") - 1, 0)
    stop = np.searchsorted(need.time_ns, edges_ns[1:], side="left")
    bounds = np.stack((first, np.maximum(stop, first + 1)), axis=1).ravel()
    values = np.append(need.pages, 0).astype(np.int32)
    pages = np.maximum.reduceat(values, bounds)[::2]
    shift = kind.shift_ns // step_ns if kind.is_recorded else 0
    return np.roll(pages, shift) if shift else pages


def _facts(need: _Need) -> Facts:
    span_ns = need.stop_ns - int(need.time_ns[0])
    page_ns = weighted_total(need.pages, np.diff(need.time_ns, append=need.stop_ns))
    return Facts(
        seconds=span_ns / NANOSECONDS,
        mean_bytes=page_ns * PAGE_BYTES // span_ns,
        peak_bytes=int(need.pages.max()) * PAGE_BYTES,
        held_back_bytes=need.held_back_bytes,
        cached_bytes=need.cached_bytes,
        rises_bytes=int(np.maximum(np.diff(need.pages), 0).sum()) * PAGE_BYTES,
        byte_seconds=page_ns * PAGE_BYTES // NANOSECONDS,
    )
