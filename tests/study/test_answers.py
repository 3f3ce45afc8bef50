"""How many guests fit, where the number is known beforehand, and by laws."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.naive import naive_study
from tests.study.made_studies import (
    SOON,
    answered,
    computed,
    first,
    kind_of,
    profiles_under,
    series_needing,
    study_of,
)
from workbench.errors import InputError, UsageError
from workbench.replay import Device, Guest, Settings
from workbench.study.answers import answers
from workbench.study.draws import drawn_guests
from workbench.study.study import Variant
from workbench.study.timeline import timeline_of
from workbench.trace import Reporting, read_trace
from workbench.units import GIB, HUGE_PAGE_BYTES, NANOSECONDS, PAGE_BYTES

UP, DOWN = [4 * GIB] * 60 + [GIB] * 60, [GIB] * 60 + [4 * GIB] * 60


def fitting(study, column="guests"):
    """A column of the answers by host, without reporting and with each variant."""
    found = answered(study)
    return [rows[column].tolist() for _, rows in found.groupby("host", sort=False)]


def with_share(share):
    """Soon, but for this part of all guests."""
    return dataclasses.replace(SOON, inhibited_share=share)


def test_kinds_in_antiphase_fit_by_what_they_need_on_average():
    """Recorded: 5 GiB a pair with reporting, 8 without.

    Of 3 GiB that were freed a 60,000th is met unreported: the host has a little room for that.
    """
    recorded = (
        kind_of(series_needing(*levels), recorded=True, name=name)
        for levels, name in ((UP, "up"), (DOWN, "down"))
    )
    study = study_of(*recorded, hosts=(40 * GIB + 64 * HUGE_PAGE_BYTES, 17 * GIB, 64 * GIB))

    # 40: eight pairs at 5, or ten guests at 4.  17: three pairs, and the seventh would need 4.
    assert fitting(study) == [[10, 16], [4, 6], [16, 25]]
    assert fitting(study, "guests_at_peaks") == [[10, 10], [4, 4], [16, 16]]


def test_a_shift_makes_one_kind_two_in_antiphase():
    kinds = (
        kind_of(series_needing(*UP), recorded=True, name=name, shift_ns=shift * 60 * 10**9)
        for name, shift in (("a", 0), ("b", 60))
    )
    study = study_of(*kinds, hosts=(40 * GIB + 64 * HUGE_PAGE_BYTES,))

    assert fitting(study) == [[10, 16]]


def test_where_peaks_coincide_reporting_gains_exactly_nothing():
    study = study_of(
        *(kind_of(series_needing(*UP), recorded=True, name=name) for name in "ab"),
        hosts=(40 * GIB, 17 * GIB),
    )
    assert fitting(study) == [[10, 10], [4, 4]]
    assert fitting(study, "guests_at_peaks") == [[10, 10], [4, 4]]

    # All of one kind that share one random moment coincide as well.
    shared = study_of(kind_of(series_needing(*UP), guests_per_phase=1000), hosts=(40 * GIB,))
    assert fitting(shared) == [[10, 10]]


@pytest.mark.parametrize("share_of_time", [0.5, 0.99, 1.0])
@pytest.mark.parametrize(("memory", "need"), [(1000, 300), (900, 300), (899, 300), (64, 64)])
def test_constant_guests_fit_as_many_as_divide_the_host(memory, need, share_of_time):
    size = [need * HUGE_PAGE_BYTES] * 20
    kind = kind_of(series_needing(*size, total_bytes=size[0]))
    study = study_of(kind, hosts=(memory * HUGE_PAGE_BYTES,), share_of_time=share_of_time)

    assert fitting(study) == [[memory // need] * 2]


def test_the_limit_counts_every_moment():
    """4 GiB for one of a hundred minutes, together: short then, and allowed to be, or not."""
    levels = [4 * GIB] + [GIB] * 99
    kind = kind_of(series_needing(*levels), recorded=True)
    by_limit = {
        limit: fitting(study_of(kind, hosts=(16 * GIB,), share_of_time=limit))[0]
        for limit in (1.0, 0.995, 0.99, 0.98)
    }

    assert by_limit[1.0] == by_limit[0.995] == [4, 4]
    # After 0.01 of the time comes the minute in which a freed 3 GiB waits for its report.
    assert by_limit[0.99] == [4, 15]
    assert by_limit[0.98] == [4, 16]


def test_one_giant_among_dwarfs_fits_where_there_is_room_for_it():
    """Seven dwarfs of 1 GiB for each giant of 8, every eighth guest and the fifth of all."""
    dwarf = kind_of(series_needing(*[GIB] * 20, total_bytes=GIB), name="dwarf", weight=7)
    giant = kind_of(series_needing(*[8 * GIB] * 20), name="giant")
    sizes = [4, 11, 12, 23, 30, 31]
    hosts = tuple(max(size, 8) * GIB for size in sizes)
    study = study_of(dwarf, giant, hosts=(hosts[0], *[size * GIB for size in sizes[1:]]))

    # 1, 2, 3, 4, 12, 13 ... 19, 27: the fifth guest and the thirteenth are giants.
    assert [rows[0] for rows in fitting(study)] == [4, 4, 5, 12, 16, 17]


def test_a_period_that_divides_the_window_is_the_same_as_one():
    short, long = kind_of(series_needing(*UP)), kind_of(series_needing(*UP * 6))
    seeds = tuple(range(1, 40))
    one, six = (
        answered(study_of(kind, hosts=(40 * GIB,), seeds=seeds))["guests"].tolist()
        for kind in (short, long)
    )

    assert one[0] == six[0] == 10
    assert abs(one[1] - six[1]) <= 1


def test_guests_at_random_moments_fit_as_the_binomial_says():
    """Each needs 4 GiB or 1 at each moment: 41 GiB are enough for 14 guests in 99 % of 2**14."""
    levels = [4 * GIB, GIB] * 60
    sixty = [0] * 60
    for index in range(60):
        sixty[index] = levels[(index * 7) % 120]
    random = np.random.default_rng(1)
    levels = random.permutation(levels).tolist()
    study = study_of(kind_of(series_needing(*levels)), hosts=(41 * GIB,), seeds=tuple(range(200)))
    found = fitting(study)[0]

    def enough(guests):
        most = (41 - guests) // 3
        return sum(math.comb(guests, high) for high in range(most + 1)) / 2**guests >= 0.99

    assert found == [10, max(guests for guests in range(1, 30) if enough(guests))]


def test_inhibited_guests_hold_what_they_ever_held():
    kind = kind_of(series_needing(*UP), guests_per_phase=1, recorded=True)
    other = kind_of(series_needing(*DOWN), recorded=True, name="other")
    variants = (SOON, *(with_share(share) for share in (0.5, 1.0)))
    study = study_of(kind, other, variants=variants, hosts=(40 * GIB + 64 * HUGE_PAGE_BYTES,))

    without, none, half, all_ = fitting(study)[0]
    assert (without, none, all_) == (10, 16, 10)
    # Every second guest is of the other kind, and inhibited: 4 and 4 in one half, 1 and 4 later.
    assert half == 10


def test_poison_takes_away_what_reporting_gained():
    poisoned = Variant(settings=Settings(guest=Guest(poison_val=0xAAAAAAAA, reporting_order=9)))
    cleared = Variant(
        settings=Settings(device=Device(page_poison=False), guest=Guest(init_on_free=True))
    )
    study = study_of(
        *(kind_of(series_needing(*each), recorded=True) for each in (UP, DOWN)),
        variants=(SOON, poisoned, cleared),
        hosts=(40 * GIB + 64 * HUGE_PAGE_BYTES,),
    )
    found = answered(study)

    assert found["guests"].tolist() == [10, 16, 10, 10]
    assert found["drain_90_seconds"].tolist() == [math.inf, 0.004, math.inf, math.inf]
    assert found["guest.poison_val"].tolist()[2] == 0xAAAAAAAA


def test_a_drain_that_takes_too_long_lets_no_guest_fit():
    slow = Variant(settings=Settings(guest=Guest(reporting_order=9, reporting_delay_ns="30s")))
    study = study_of(
        kind_of(series_needing(*UP)), variants=(SOON, slow), hosts=(40 * GIB,), drain_seconds=60
    )
    found = answered(study)

    assert found["drain_90_seconds"].tolist() == [math.inf, 0.004, 120]
    assert found["limited_by"].tolist() == ["drain", "memory", "drain"]
    assert found["guests"].tolist()[0] == found["guests"].tolist()[2] == 0
    assert found["guests"].tolist()[1] > 10


def test_each_guest_takes_memory_again_in_faults_as_large_as_it_was_recorded_to_report():
    """One reports huge pages and the other all: neither stands for both, whichever is first."""
    series = series_needing(*DOWN)
    huge, small = (
        dataclasses.replace(series, name=name, reporting=Reporting(order, 2 * NANOSECONDS, 32))
        for name, order in (("huge", 9), ("small", 0))
    )
    as_recorded = Variant(settings=Settings())
    alone, other, both, turned = (
        answered(study_of(kind_of(*members), variants=(as_recorded,))).iloc[1]
        for members in ((huge,), (small,), (huge, small), (small, huge))
    )

    seconds = "refault_cpu_seconds_per_guest_day"
    assert other[seconds] > 4 * alone[seconds] > 0
    for of_both in (both, turned):
        assert of_both[seconds] == pytest.approx((alone[seconds] + other[seconds]) / 2)
        assert of_both["drain_90_seconds"] == max(
            each["drain_90_seconds"] for each in (alone, other)
        )


def test_page_cache_is_that_of_the_guests_that_know_theirs():
    series = series_needing(*UP, name="unknown"), series_needing(*UP, cached_bytes=GIB)

    assert answered(study_of(kind_of(*series)))["cached_bytes"].tolist() == [GIB, GIB]
    assert np.isnan(answered(study_of(kind_of(series[0])))["cached_bytes"]).all()


def test_what_fits_is_described_at_that_number():
    kinds = (kind_of(series_needing(*each), recorded=True) for each in (UP, DOWN))
    study = study_of(*kinds, hosts=(17 * GIB,), seeds=(1, 2))
    without, soon = answered(study).to_dict("records")

    assert without["mean_bytes"] == without["peak_bytes"] == without["p95_bytes"] == 16 * GIB
    assert soon["peaks_bytes"] == 24 * GIB
    # Six guests are three pairs of 5 GiB: at the two moments after a change some of it waits.
    assert 15 * GIB <= soon["mean_bytes"] < 15 * GIB + 10 * HUGE_PAGE_BYTES
    assert soon["p99_bytes"] >= soon["p95_bytes"] == 15 * GIB
    assert soon["over_share"] == soon["excess_bytes_mean"] == 0
    assert soon["excess_bytes_mean_without_reporting"] == 7 * GIB
    assert soon["swap_out_at_least_bytes_per_day"] == 0
    assert soon["byte_seconds_per_guest_day"] == pytest.approx(2.5 * GIB * 86_400, rel=1e-4)
    # 3 GiB come back once in the two hours that were seen, as huge pages.
    assert soon["refault_bytes_per_guest_day"] == pytest.approx(6 / 4 * 3 * GIB * 12 / 3, rel=0.01)
    faults = soon["refault_bytes_per_guest_day"] / HUGE_PAGE_BYTES
    assert soon["refault_cpu_seconds_per_guest_day"] == pytest.approx(faults * 339_900 / 1e9)
    assert without["refault_bytes_per_guest_day"] == 0
    assert math.isnan(soon["cached_bytes"])


def test_what_goes_to_swap_at_least_is_told_for_a_day():
    """Two moments of 120 a day are beyond: once round the excess rises by its size."""
    levels = [3 * GIB, *[GIB] * 719, 3 * GIB, *[GIB] * 719]
    study = study_of(
        kind_of(series_needing(*levels), recorded=True), hosts=(10 * GIB,), share_of_time=0.99
    )
    soon = answered(study).iloc[1]

    # Ten fill the host to the byte: at the minute after, what waits for its report is beyond too.
    assert soon["guests"] == 10
    excess = 10 * 3 * GIB - 10 * GIB
    assert soon["swap_out_at_least_bytes_per_day"] == pytest.approx(2 * excess, rel=1e-3)
    assert soon["over_share"] == 4 / 1440
    assert soon["swap_out_at_least_bytes_per_day_at_guests_without_reporting"] == 0


def test_a_limit_of_swap_is_kept_by_as_many_as_are_said_to_and_never_left_out():
    """Only traces can have one, and only their pages tell how many keep it."""
    trace = read_trace("traces/churn-on.trace")
    study = study_of(
        kind_of(trace),
        hosts=(4 * GIB,),
        variants=(),
        step_ns=100_000_000,
        swap_in_pages_per_second=9.0,
    )
    frames = computed(study)

    fitting = answers(study, *frames, swap_in_guests={(0, 0): 1000})["guests"][0]
    less = answers(study, *frames, swap_in_guests={(0, 0): fitting - 1})
    assert less["guests"].tolist() == less["guests_most"].tolist() == [fitting - 1]
    assert less["limited_by"].tolist() == ["swap_in"]
    with pytest.raises(UsageError, match="swap_in_guests is None"):
        answers(study, *frames)


@pytest.mark.parametrize("name", ["together", "facts"])
def test_frames_of_another_study_are_refused(name):
    study = study_of(kind_of(series_needing(*UP)), seeds=(1, 2))
    frames = dict(zip(("together", "facts"), computed(study), strict=True))
    of_first = frames[name]
    frames[name] = of_first[of_first["variant"] == 0]

    with pytest.raises(InputError, match="run the study again"):
        answers(study, **frames)


levels = st.lists(st.integers(1, 6), min_size=3, max_size=8)


@st.composite
def small_studies(draw):
    """A study that can be added up by hand, moment by moment."""
    kinds = []
    for number in range(draw(st.integers(1, 2))):
        members = [
            series_needing(
                *[level * 100 * HUGE_PAGE_BYTES for level in draw(levels)],
                name=f"m{index}",
                total_bytes=700 * HUGE_PAGE_BYTES,
            )
            for index in range(draw(st.integers(1, 3)))
        ]
        kinds.append(kind_of(*members, name=f"k{number}", weight=draw(st.integers(1, 3))))
    share = draw(st.sampled_from([0.0, 0.25, 1.0]))
    sizes = sorted(draw(st.lists(st.integers(700, 3000), min_size=1, max_size=3)))
    return study_of(
        *kinds,
        variants=(dataclasses.replace(SOON, inhibited_share=share),),
        hosts=tuple(size * HUGE_PAGE_BYTES for size in sizes),
        share_of_time=draw(st.sampled_from([0.5, 0.7, 0.9, 1.0])),
        seeds=(1, 2, 3)[: draw(st.integers(1, 3))],
    )


def naive_rows(study, variant):
    """What the twin adds up under a variant: rows of each seed."""
    kinds = (profiles_under(study, variant, inhibited=inhibited) for inhibited in (False, True))
    pages = [[[each.pages.tolist() for each in kind] for kind in found] for found in kinds]
    timeline = timeline_of(study)
    return [
        naive_study.fill(
            [guest[1:] for guest in first(drawn_guests(study, timeline, seed), 60)],
            *pages,
            str(variant.inhibited_share),
            moments=timeline.moments,
            hosts_pages=[host.for_guests_bytes // PAGE_BYTES for host in study.hosts],
        )
        for seed in study.seeds
    ]


@settings(max_examples=40)
@given(study=small_studies())
def test_the_naive_twin_finds_the_same_guests(study):
    """Guests need 100 blocks of 2 MiB at least, and hosts have 3,000 at most."""
    found = answered(study)
    rows = {variant.label: naive_rows(study, variant) for variant in study.variants}
    share = str(study.limit.share_of_time)
    days = Fraction(timeline_of(study).moments, 24 * 60)

    for row in found.to_dict("records"):
        place = next(n for n, host in enumerate(study.hosts) if host.name == row["host"])
        seeds = [
            [each for each in of_seed if each["host"] == place] for of_seed in rows[row["label"]]
        ]
        guests = naive_study.fitting(seeds, share)
        assert row["guests"] == guests
        each = [naive_study.fitting([seed], share) for seed in seeds]
        assert (row["guests_least"], row["guests_most"]) == (min(each), max(each))
        size = study.hosts[place].for_guests_bytes
        assert row["guests_at_peaks"] == naive_study.fitting_at_peaks(seeds, size)
        if all(len(seed) >= guests for seed in seeds):
            expected = naive_study.described(seeds, guests, days)
            rate = expected.pop(naive_study.SWAP_OUT)
            assert row[naive_study.SWAP_OUT] == pytest.approx(float(rate))
            assert {name: row[name] for name in expected} == {
                name: float(value) for name, value in expected.items()
            }


@settings(max_examples=40)
@given(study=small_studies())
def test_laws_of_answers(study):
    found = answered(study)
    by_host = [rows["guests"].tolist() for _, rows in found.groupby("host", sort=False)]

    # More memory never fits fewer.
    for smaller, larger in itertools.pairwise(by_host):
        assert all(few <= many for few, many in zip(smaller, larger, strict=True))
    # With reporting never fewer than without; and no more where all are inhibited.
    assert all(with_ >= without for without, with_ in by_host)
    if study.variants[1].inhibited_share == 1:
        assert all(with_ == without for without, with_ in by_host)
    assert found["over_share"].between(0, 1 - study.limit.share_of_time + 1e-12).all()
    assert (found["guests_least"] <= found["guests"]).all() or len(study.seeds) > 1
    assert (found["guests_at_peaks"] <= found["guests"]).all()
    assert (found["peak_bytes"] <= found["peaks_bytes"]).all()
