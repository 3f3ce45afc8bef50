"""How many guests keep a limit of what is read back from swap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.study.traced_studies import (
    AS_CAPTURED,
    TWICE,
    at_once,
    kind_of,
    pages_touched,
    plain_trace,
    study_of,
)
from workbench.errors import UsageError
from workbench.study import Limit
from workbench.study.profiles import profile
from workbench.study.swap import SwapStudy
from workbench.study.swap_limit import guests_within_limit
from workbench.study.sweep import sweep
from workbench.study.timeline import timeline_of
from workbench.study.together import fill_hosts
from workbench.trace import read_trace
from workbench.units import MIB, PAGE_BYTES

TRACES = Path(__file__).parents[2] / "traces"


def limited(pages_per_second):
    """Guests of 500 pages each at once, on a host of 2,048: four fit, and with a fifth all swap."""
    limit = Limit(swap_in_pages_per_second=pages_per_second)
    guests = [
        plain_trace(*pages_touched(*range(500), *range(500), second=1 + n / 1e6)) for n in range(12)
    ]
    return study_of(at_once(*guests), memory=8 * MIB, limit=limit, seeds=(1, 2))


def test_the_most_guests_that_keep_the_limit_are_found():
    """And there is no more, as all that were looked at show."""
    study = limited(10)

    found = guests_within_limit(SwapStudy(study, AS_CAPTURED), study.hosts[0], 40)

    assert found.guests == 4
    counts = {row.guests for row in found.rows}
    assert {1, 2, 4, 5, 8} <= counts
    assert max(counts) == 8
    for row in found.rows:
        assert (row.swap_in_pages_per_second_p99 <= 10) == (row.guests <= 4)
    assert [row.seed for row in found.rows] == [1, 2] * len(counts)


def test_all_seeds_have_to_keep_the_limit():
    """Guests that come in other seconds keep out of each other's way, which others do not."""
    study = study_of(
        kind_of(TWICE),
        memory=8 * MIB,
        limit=Limit(swap_in_pages_per_second=10),
        seeds=(1, 2, 3, 4),
    )
    host = replace(study.hosts[0], memory_bytes=700 * PAGE_BYTES)

    found = guests_within_limit(SwapStudy(study, AS_CAPTURED), host, 12)

    kept = [row for row in found.rows if row.guests == found.guests]
    more = [row for row in found.rows if row.guests == found.guests + 1]
    assert len(kept) == len(more) == 4
    assert {row.swap_in_pages_per_second_p99 <= 10 for row in kept} == {True}
    assert {row.swap_in_pages_per_second_p99 <= 10 for row in more} == {True, False}


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4])
def test_no_more_are_looked_at_than_asked_for(most):
    study = limited(10)

    found = guests_within_limit(SwapStudy(study, AS_CAPTURED), study.hosts[0], most)

    assert found.guests == max((row.guests for row in found.rows), default=0) == most


def test_not_one_guest_may_keep_the_limit():
    study = study_of(
        at_once(plain_trace(*pages_touched(*range(900), *range(900)))),
        memory=8 * MIB,
        limit=Limit(swap_in_pages_per_second=5),
    )
    host = replace(study.hosts[0], memory_bytes=2 * MIB)

    assert guests_within_limit(SwapStudy(study, AS_CAPTURED), host, 8).guests == 0


def test_a_study_without_such_a_limit_has_nothing_to_keep():
    study = study_of(at_once(TWICE))

    with pytest.raises(UsageError, match="has no limit to keep"):
        guests_within_limit(SwapStudy(study, AS_CAPTURED), study.hosts[0], 1)


def together_of(study):
    """What its guests need together, as a study computes it."""
    timeline = timeline_of(study)
    parts = []
    for number, variant in enumerate(study.variants):
        profiles = [
            [profile(member, kind, variant, timeline) for member in kind.members]
            for kind in study.guests
        ]
        for seed in study.seeds:
            sums = fill_hosts(study, timeline, seed, 0.0, profiles)
            parts.append(pd.DataFrame(sums).assign(variant=number))
    return pd.concat(parts, ignore_index=True)


def pressed(pages_per_second, share_of_time=0.3):
    """Guests that a real one was captured of, under no reporting and as captured."""
    limit = Limit(share_of_time=share_of_time, swap_in_pages_per_second=pages_per_second)
    return study_of(kind_of(read_trace(TRACES / "pressure-order0.trace")), limit=limit)


@pytest.mark.parametrize(("share_of_time", "limited_by"), [(1.0, "memory"), (0.3, "swap_in")])
def test_no_more_are_looked_at_than_fit_by_memory(tmp_path, share_of_time, limited_by):
    """Where memory is always enough nothing comes back; where it is mostly short, too much does."""
    study = pressed(10, share_of_time)
    together = together_of(study)
    is_short = together["over_moments"] > (1 - share_of_time) * together["moments"]
    fit = together[is_short].groupby("variant")["guests"].min() - 1

    found = sweep(study, tmp_path / "result").swap_in_guests

    assert found is not None
    assert found[0, 0] == fit[0] == 2
    assert 2 < found[0, 1] <= fit[1]
    assert (found[0, 1] < fit[1]) == (limited_by == "swap_in")


def test_what_was_found_is_kept(tmp_path):
    """Until something else is asked: another limit, for one."""
    folder = tmp_path / "result"
    first = sweep(pressed(10), folder)
    again = sweep(pressed(10), folder)
    other = sweep(pressed(20), folder)

    # Under each variant one for the limit, and one for what is swapped by as many as keep it.
    assert first.done == {"profiles": 2, "sums": 2, "swaps": 2 + 2}
    assert (again.done["swaps"], again.kept["swaps"]) == (0, 2 + len(first.swap.rows))
    assert other.done == {"profiles": 0, "sums": 0, "swaps": 2}
    assert (other.kept["swaps"], other.answers["guests"].tolist()) == (6, [2, 3])
    assert again.swap_in_guests == first.swap_in_guests


def test_processes_find_the_same(tmp_path):
    found = sweep(pressed(10), tmp_path / "processes", workers=1).swap_in_guests

    assert found == sweep(pressed(10), tmp_path / "threads").swap_in_guests
