"""What there is to do for a study, in pieces that can be done anywhere and in any order.

A *profile job* follows some guests of one kind under one of the settings; a *sum job* adds up the
profiles of all guests under one of the variants, for some seeds.  What variants have in common is
done once: guests whose discards are inhibited, for one, need the same whatever is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.study.lineage import key_of, member_content, profile_content, sums_content
from workbench.study.profiles import effective_settings
from workbench.study.study import Variant
from workbench.study.timeline import span_of
from workbench.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.replay import Settings
    from workbench.study.study import GuestKind, Study
    from workbench.study.timeline import Timeline
    from workbench.trace import GuestSeries

VALUES_AT_ONCE: Final = 1 << 20
"""Samples in one profile job, or moments that come of them, whichever are more: some tenths of a
second of work, for which a job's own cost, some milliseconds, does not count; and some 50 MB."""

_OF_REPORTING: Final = ("reporting_order", "reporting_delay_ns", "reporting_capacity")

Keys = tuple[tuple[str, ...], ...]
"""Of profiles: of each member of each kind, in the study's order."""


class Batch(NamedTuple):
    """Members of one kind that are followed together.

    Attributes
    ----------
    kind
        Index into `Study.guests`.
    first, stop
        Its members [first, stop).
    """

    kind: int
    first: int
    stop: int

    def members(self, study: Study) -> tuple[GuestSeries | Trace, ...]:
        """Give them."""
        return study.guests[self.kind].members[self.first : self.stop]


class ProfileJob(NamedTuple):
    """Follow the guests of a batch.

    Attributes
    ----------
    variant
        With all settings that these guests have then.
    rows
        Which of the batch, from 0, and the keys of their profiles.
    """

    batch: Batch
    variant: Variant
    rows: tuple[tuple[int, str], ...]


class SumJob(NamedTuple):
    """Add up what guests need together.

    Attributes
    ----------
    seeds
        Each with the key of its sums.
    keys, keys_inhibited
        Of the profiles; None where no guest is inhibited.
    """

    variant: Variant
    seeds: tuple[tuple[int, str], ...]
    keys: Keys
    keys_inhibited: Keys | None

    @property
    def all_keys(self) -> Iterator[str]:
        """Go through the keys of all profiles that it needs."""
        for members in (*self.keys, *(self.keys_inhibited or ())):
            yield from members


class Jobs:
    """All jobs of a study, done or not, in the order in which they should be done.

    Attributes
    ----------
    profile_jobs
        By the study's variants, kinds and members; none twice.
    sum_jobs
        One for each variant, with all seeds.
    """

    def __init__(self, study: Study, timeline: Timeline) -> None:
        self._study = study
        self._timeline = timeline
        self._batches = list(_batches(study, timeline))
        self._members = [
            [member_content(member) for member in kind.members] for kind in study.guests
        ]
        self._keys: dict[str, tuple[str, ...]] = {}
        self.profile_jobs: list[ProfileJob] = []
        self.sum_jobs = [self._sum_job(variant) for variant in study.variants]

    def _sum_job(self, variant: Variant) -> SumJob:
        keys = self._profile_keys(variant, is_inhibited=False)
        inhibited = None
        if variant.inhibited_share:
            inhibited = self._profile_keys(variant, is_inhibited=True)
        made_of = {"profiles": keys, "inhibited": inhibited, "share": variant.inhibited_share}
        seeds = (
            (seed, key_of({**made_of, **sums_content(self._study, self._timeline, seed)}))
            for seed in self._study.seeds
        )
        return SumJob(variant, tuple(seeds), keys, inhibited)

    def _profile_keys(self, variant: Variant, *, is_inhibited: bool) -> Keys:
        kinds = range(len(self._study.guests))
        return tuple(self._keys_of_kind(kind, variant, is_inhibited=is_inhibited) for kind in kinds)

    def _keys_of_kind(self, index: int, variant: Variant, *, is_inhibited: bool) -> tuple[str, ...]:
        settings = effective_settings(self._study.guests[index], variant, is_inhibited)
        keys: list[str] = []
        for batch in self._batches:
            if batch.kind == index:
                of_trace = isinstance(batch.members(self._study)[0], Trace)
                keys += self._keys_of_batch(
                    batch, what_matters(variant, settings, of_trace=of_trace)
                )
        return tuple(keys)

    def _keys_of_batch(self, batch: Batch, asked: Variant) -> tuple[str, ...]:
        content = profile_content(self._study.guests[batch.kind], asked, self._timeline)
        alike = key_of([*batch, content])
        if alike not in self._keys:
            members = self._members[batch.kind][batch.first : batch.stop]
            keys = tuple(key_of([member, content]) for member in members)
            self._keys[alike] = keys
            self.profile_jobs.append(ProfileJob(batch, asked, tuple(enumerate(keys))))
        return self._keys[alike]


def what_matters(variant: Variant, settings: Settings, *, of_trace: bool) -> Variant:
    """Leave out of a variant what makes no difference to guests with these settings.

    Series whose discards never happen are all alike: how such a guest reports and what it frees
    besides does not matter.  A trace whose discards are inhibited still reports, which moves what
    is free in it, and so what it touches next: only a guest that reports nothing is followed alike
    whatever it would report.

    Parameters
    ----------
    of_trace
        Whether they are replayed, or known from series.
    """
    device, guest = settings.device, settings.guest
    cache_given_back = variant.page_cache_given_back and not of_trace
    if device.discard_inhibited and not of_trace:
        device = device.model_copy(update={"free_page_reporting": False, "discard_inhibited": None})
    if device.free_page_reporting is False:
        guest = guest.model_copy(update=dict.fromkeys(_OF_REPORTING))
        cache_given_back = False
    return Variant(
        settings=settings.model_copy(update={"device": device, "guest": guest}),
        page_cache_given_back=cache_given_back,
    )


def _batches(study: Study, timeline: Timeline) -> Iterator[Batch]:
    """Cut each kind into batches; a trace, whose replay takes seconds, is one by itself."""
    for index, kind in enumerate(study.guests):
        first, values = 0, 0
        for number, member in enumerate(kind.members):
            more = _value_count(member, kind, timeline)
            if number > first and values + more > VALUES_AT_ONCE:
                yield Batch(index, first, number)
                first, values = number, 0
            values += more
        yield Batch(index, first, len(kind.members))


def _value_count(member: GuestSeries | Trace, kind: GuestKind, timeline: Timeline) -> int:
    if isinstance(member, Trace):
        return VALUES_AT_ONCE
    span = span_of(member)
    moments = timeline.moments if kind.is_recorded else span.moments(timeline.step_ns)
    return max(member.columns["time_ns"].size, moments)
