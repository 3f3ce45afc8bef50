"""What guests swap on one host, page by page: only traces can tell.

A study's guests of series need a sum of memory; what of it would go to swap and come back depends
on which pages they touch, and those no sample shows.
"""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from workbench.errors import UnidentifiableError, UsageError
from workbench.measure.batch import batch_of
from workbench.measure.swap import DEAD, swap_counts, swap_metrics
from workbench.replay import (
    Begun,
    Host,
    Outcome,
    SharedHost,
    guest_requests,
    pages_moved,
    swap_costs,
)
from workbench.spelling import on_one_line
from workbench.study.draws import drawn_guests
from workbench.study.profiles import effective_settings
from workbench.study.rules import MOST_GUESTS
from workbench.study.study import WITHOUT_REPORTING
from workbench.study.timeline import span_of, timeline_of
from workbench.study.together import is_inhibited_guest
from workbench.trace import Trace
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt
    import pandas as pd

    from workbench.replay import GuestRequests, HostEvents, Settings
    from workbench.study.draws import Drawn
    from workbench.study.study import GuestKind, HostKind, Study, Variant
    from workbench.trace import GuestSeries

_PERCENT: Final = 99
"""Of the seconds: the limit is about their 99th percentile."""


class HostSwap(NamedTuple):
    """What some guests make a host swap.

    Attributes
    ----------
    host, variant
        The host's name, and the variant's label.
    guests, inhibited_guests
        How many there are, and of how many the discards are inhibited.
    seconds
        From when the first could begin until the last has ended.
    swap_in_pages, swap_out_pages, swap_read_pages, swap_written_pages
        As the metrics of these names (docs/metrics.md), like what follows.
    swap_in_dead_pages, swap_out_dead_pages
        None where nothing tells what was free in the guests.
    swap_in_pages_per_second_p99
        Pages that came back in a second, in all but the worst 1 % of them: a number that was there.
    unmet_bytes
        Given to guests beyond the memory and swap there is: Linux would kill a process.
    """

    host: str
    variant: str
    seed: int
    guests: int
    inhibited_guests: int
    seconds: float
    swap_in_pages: int
    swap_out_pages: int
    swap_in_dead_pages: int | None
    swap_out_dead_pages: int | None
    swap_read_pages: int
    swap_written_pages: int
    swap_in_pages_per_second_p99: int
    swap_wait_seconds: float
    swap_write_seconds: float
    refaults: int
    unmet_bytes: int


class SwapStudy:
    """What the guests of a study swap under one of its variants, on any host.

    Parameters
    ----------
    study
        All of its guests are traces.

    Attributes
    ----------
    study, variant
        What it was made of.
    notes
        What the answers so far leave open: a sentence each.

    Raises
    ------
    UnidentifiableError
        A guest is a series, or the variant is about page cache: no trace tells what that is.

    Notes
    -----
    Each member is placed once under each of its settings, which takes seconds, and kept: some 60
    bytes for each page that it touches or frees.  A guest more on a host then takes a tenth of a
    second for each 200,000 of them, and 24 bytes for each page of its RAM.
    """

    def __init__(self, study: Study, variant: Variant) -> None:
        self.study = study
        self.variant = variant
        self._timeline = timeline_of(study)
        self._share = Fraction(str(variant.inhibited_share))
        self._requests: dict[tuple[Trace, Settings], GuestRequests] = {}
        self._members = [[_trace(kind, member) for member in kind.members] for kind in study.guests]
        if variant.page_cache_given_back:
            raise UnidentifiableError(
                f"{study.name}: no trace tells what is page cache, so none can say what a host "
                "would swap if that were given back; leave that variant out"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """See the class."""
        found = (note for requests in self._requests.values() for note in requests.notes)
        return tuple(dict.fromkeys(found))

    def on_host(self, host: HostKind, counts: Iterable[int], seed: int) -> list[HostSwap]:
        """Let guests perform on a host, for several numbers of them.

        Parameters
        ----------
        counts
            Numbers of guests: of one seed, fewer are the first of more.
        seed
            As in the study: the same guests at the same moments, whatever the variant.

        Raises
        ------
        UsageError
            A number is below 1 or beyond 10,000.
        UnanswerableError
            A trace does not hold what the answer needs; the message says what.
        InputError
            A trace is damaged, or the guests have more RAM than the model of the host takes.
        HostError
            Or than it can take in this machine's memory.
        """
        asked = list(counts)
        for count in asked:
            if not 1 <= count <= MOST_GUESTS:
                raise UsageError(f"{count} guests are asked for, expected 1 to {MOST_GUESTS:,}")
        guests = self._drawn(max(asked, default=0), seed)
        return [self._row(host, guests[:count], seed) for count in asked]

    def notes_of(self, count: int, seed: int) -> tuple[str, ...]:
        """Say what an answer for so many guests leaves open, whatever else was asked."""
        found = (note for begun in self._begun(self._drawn(count, seed)) for note in begun[0].notes)
        return tuple(dict.fromkeys(found))

    def _drawn(self, count: int, seed: int) -> list[Drawn]:
        return list(itertools.islice(drawn_guests(self.study, self._timeline, seed), count))

    def _row(self, host: HostKind, guests: Sequence[Drawn], seed: int) -> HostSwap:
        shared = SharedHost(
            self._begun(guests),
            Host(memory_bytes=host.for_guests_bytes, swap=host.swap, swap_bytes=host.swap_bytes),
        )
        duration_ns = shared.trace.manifest.duration_ns
        counts: Counter[str] = Counter()
        came_back = np.zeros(max(-(-duration_ns // NANOSECONDS), 1), np.int64)
        for part in shared.serve():
            counts.update(_counts(part))
            came_back += _per_second(part, came_back.size)
        return HostSwap(
            host=host.name,
            variant=self.variant.label,
            seed=seed,
            guests=len(guests),
            inhibited_guests=sum(map(self._is_inhibited, guests)),
            seconds=duration_ns / NANOSECONDS,
            **swap_metrics(counts, swap_costs(shared.trace, shared.settings)),
            swap_in_pages_per_second_p99=int(
                np.percentile(came_back, _PERCENT, method="inverted_cdf")
            ),
            refaults=counts["refaults"],
            unmet_bytes=shared.unmet_bytes,
        )

    def _begun(self, guests: Sequence[Drawn]) -> list[Begun]:
        begins_ns = self._begins_ns(guests)
        return [
            Begun(self._requests_of(guest), begin_ns)
            for guest, begin_ns in zip(guests, begins_ns, strict=True)
        ]

    def _is_inhibited(self, guest: Drawn) -> bool:
        return is_inhibited_guest(guest.number, self._share)

    def _requests_of(self, guest: Drawn) -> GuestRequests:
        kind = self.study.guests[guest.kind]
        member = self._members[guest.kind][guest.member]
        settings = effective_settings(kind, self.variant, self._is_inhibited(guest))
        key = member, settings
        if key not in self._requests:
            self._requests[key] = guest_requests(member, settings)
        return self._requests[key]

    def _begins_ns(self, guests: Sequence[Drawn]) -> list[int]:
        """Say when guests begin, so that they are then at the moments that were drawn for them.

        One that is drawn to be some way into what it does begins when that is over; time counts
        from when the first guest can begin that the study has.
        """
        start_ns, step_ns = self._timeline.start_ns, self._timeline.step_ns
        recorded = [
            span_of(member).start_ns + kind.shift_ns
            for kind in self.study.guests
            if kind.is_recorded
            for member in kind.members
        ]
        first_ns = min([*recorded, *([] if start_ns is None else [start_ns])], default=0)
        begins_ns = []
        for guest in guests:
            kind = self.study.guests[guest.kind]
            span = span_of(kind.members[guest.member])
            if kind.is_recorded:
                begins_ns.append(span.start_ns + kind.shift_ns - first_ns)
            else:
                moments = -guest.shift_moments % span.moments(step_ns)
                begins_ns.append((start_ns or first_ns) - first_ns + moments * step_ns)
        return begins_ns


def swap_on_host(
    study: Study, host: HostKind, variant: Variant, counts: Iterable[int], seed: int
) -> list[HostSwap]:
    """Say what guests of a study make a host swap, page by page, for several numbers of them.

    Parameters
    ----------
    study
        All of its guests are traces.
    counts, seed
        As for `SwapStudy.on_host`.

    Raises
    ------
    UnidentifiableError
        A guest is a series, or a trace cannot answer for the variant.
    UsageError, InputError, HostError
        As for `SwapStudy.on_host`.

    Notes
    -----
    `SwapStudy` does the same for several hosts and seeds and places each member once.
    """
    return SwapStudy(study, variant).on_host(host, counts, seed)


def swap_frame(rows: Iterable[HostSwap]) -> pd.DataFrame:
    """Put rows into a frame, and beside each what reporting avoids.

    Returns
    -------
    One row per row, in their order: the fields of `HostSwap`, those about dead pages with <NA>
    where they are not known, and swap_in_avoided_pages and swap_out_avoided_pages: what the same
    guests at the same moments swap on the same host without reporting, minus this; <NA> where that
    is not among the rows.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    kept = list(rows)
    without = {
        (row.host, row.seed, row.guests): row
        for row in kept
        if row.variant == WITHOUT_REPORTING.label
    }
    frame = pd.DataFrame(kept, columns=list(HostSwap._fields))
    avoided: dict[str, list[int | None]] = {"swap_in": [], "swap_out": []}
    for row in kept:
        base = without.get((row.host, row.seed, row.guests))
        for name, values in avoided.items():
            values.append(None if base is None else _pages(base, name) - _pages(row, name))
    for name, values in avoided.items():
        frame[f"{name}_avoided_pages"] = pd.array(values, dtype="Int64")
    return frame.astype(dict.fromkeys(DEAD, "Int64"))


def _pages(row: HostSwap, name: str) -> int:
    pages: int = getattr(row, f"{name}_pages")
    return pages


def _trace(kind: GuestKind, member: GuestSeries | Trace) -> Trace:
    if isinstance(member, Trace):
        return member
    raise UnidentifiableError(
        f"{on_one_line(kind.name)}: is known by samples, which do not tell which pages it touches: "
        "how much it would swap is only known to be at least so much; give it a trace"
    )


def _counts(part: HostEvents) -> dict[str, Any]:
    batch = batch_of(part.columns, part.ledger)
    counts = swap_counts(batch)
    counts["free_events"] = part.free_events
    counts["refaults"] = batch.count(outcome=Outcome.REFAULT)
    return counts


def _per_second(part: HostEvents, seconds: int) -> npt.NDArray[np.int64]:
    """Count the pages that came back from swap in each second."""
    rows = np.flatnonzero(part.ledger.outcome == Outcome.SWAPPED_IN)
    second = np.minimum(part.ledger.time_ns[rows] // NANOSECONDS, seconds - 1)
    counted = np.bincount(second, pages_moved(part.ledger)[rows], minlength=seconds)
    return counted.astype(np.int64)
