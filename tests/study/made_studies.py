"""Small studies whose answers are known: guests made of levels of memory, a value a minute."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from workbench.replay import Guest, Settings
from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.study.answers import answers
from workbench.study.profiles import Facts, Profile, profile
from workbench.study.study import (
    WITHOUT_REPORTING,
    GuestKind,
    HostKind,
    Limit,
    Phase,
    Study,
    Variant,
)
from workbench.study.timeline import timeline_of
from workbench.study.together import fill_hosts
from workbench.trace import GuestSeries
from workbench.units import GIB, HUGE_PAGE_BYTES, NANOSECONDS, PAGE_BYTES

MINUTE_NS = 60 * NANOSECONDS

SOON = Variant(
    settings=Settings(
        guest=Guest(reporting_order=9, reporting_delay_ns="1ms", reporting_capacity=32)
    )
)
"""So soon that of what is freed within a minute a 60,000th is met unreported at its end."""


def series_needing(*used_bytes, name="made", total_bytes=8 * GIB, start_ns=0, cached_bytes=None):
    """A guest that uses each of these for a minute; what it does not is free in huge pages."""
    used = np.array(used_bytes, np.int64)
    free = (total_bytes - used) // PAGE_BYTES
    values = (
        start_ns + np.arange(used.size) * MINUTE_NS,
        free,
        (total_bytes - used) // HUGE_PAGE_BYTES,
        np.full(used.size, total_bytes),
        np.full(used.size, UNKNOWN),
        np.full(used.size, UNKNOWN if cached_bytes is None else cached_bytes),
    )
    names = GUEST_SERIES.column_names
    columns = {key: value.astype(np.int64) for key, value in zip(names, values, strict=True)}
    return GuestSeries(name, columns)


def kind_of(*members, name="guest", recorded=False, **others):
    """A kind of these members."""
    phase = Phase.RECORDED if recorded else Phase.RANDOM
    return GuestKind(name=name, members=members, phase=phase, **others)


def study_of(
    *kinds,
    hosts=(64 * GIB,),
    variants=(SOON,),
    seeds=(1,),
    share_of_time=0.99,
    step_ns=MINUTE_NS,
    **others,
):
    """A study of these kinds on hosts of these sizes; `variants` come after the first."""
    names = Counter(kind.name for kind in kinds)
    return Study(
        name="made",
        guests=tuple(
            kind if names[kind.name] == 1 else replace(kind, name=f"{kind.name} {number}")
            for number, kind in enumerate(kinds)
        ),
        hosts=tuple(
            HostKind(name=f"host {number}", memory_bytes=size, swap="zram")
            for number, size in enumerate(hosts)
        ),
        variants=(WITHOUT_REPORTING, *variants),
        limit=Limit(share_of_time=share_of_time, **others),
        seeds=seeds,
        step_ns=step_ns,
    )


def profile_of(pages):
    """A profile of which only the pages matter."""
    return Profile(np.array(pages, np.int32), Facts(60.0 * len(pages), 0, 0, 0, UNKNOWN, 0, 0))


def units(*levels):
    """A profile in units of 2 MiB, the smallest host that there can be."""
    return profile_of([level * HUGE_PAGE_BYTES // PAGE_BYTES for level in levels])


def series_of_moments(moments, name):
    """A guest that was seen for so many minutes, as small as can be."""
    return series_needing(*[0] * moments, name=name, total_bytes=HUGE_PAGE_BYTES)


def first(iterator, count):
    """The first items."""
    return list(itertools.islice(iterator, count))


def profiles_under(study, variant, *, inhibited=False):
    """Of each member of each kind."""
    timeline = timeline_of(study)
    return [
        [profile(each, kind, variant, timeline, inhibited=inhibited) for each in kind.members]
        for kind in study.guests
    ]


def computed(study):
    """What guests need together, and the facts of each, under every variant: as a run has them."""
    timeline = timeline_of(study)
    together, facts = [], []
    for number, variant in enumerate(study.variants):
        share = variant.inhibited_share
        by_state = {
            inhibited: profiles_under(study, variant, inhibited=inhibited)
            for inhibited in (False, True)[: 1 + (share > 0)]
        }
        facts += [
            {
                "variant": number,
                "kind": place,
                "member": member,
                "inhibited": inhibited,
                **found.facts._asdict(),
            }
            for inhibited, kinds in by_state.items()
            for place, profiles in enumerate(kinds)
            for member, found in enumerate(profiles)
        ]
        for seed in study.seeds:
            columns = fill_hosts(
                study, timeline, seed, share, by_state[False], profiles_inhibited=by_state.get(True)
            )
            together.append(pd.DataFrame(columns).assign(variant=number))
    return pd.concat(together, ignore_index=True), pd.DataFrame(facts)


def answered(study):
    """The answers of a study."""
    return answers(study, *computed(study))
