"""What guests need together: by constructions, by a naive twin, and by laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.naive import naive_study
from tests.study.made_studies import first, kind_of, profile_of, series_of_moments, study_of, units
from workbench.errors import InputError, UsageError
from workbench.study.draws import drawn_guests
from workbench.study.profiles import Profile
from workbench.study.rules import MOST_GUESTS
from workbench.study.timeline import timeline_of
from workbench.study.together import COLUMNS, fill_hosts
from workbench.units import GIB, HUGE_PAGE_BYTES, PAGE_BYTES


def filled(study, profiles, *, share=0.0, inhibited=None, seed=1):
    """Fill the hosts of a study, and give columns by name."""
    timeline = timeline_of(study)
    return fill_hosts(study, timeline, seed, share, profiles, profiles_inhibited=inhibited)


def recorded(*profiles, hosts):
    """Kinds of one recorded guest each, that need these pages; and their profiles."""
    kinds = [
        kind_of(series_of_moments(len(pages), f"k{number}"), recorded=True)
        for number, pages in enumerate(profiles)
    ]
    return study_of(*kinds, hosts=hosts), [[units(*pages)] for pages in profiles]


def rows_of(columns, **wanted):
    """The rows in which these columns have these values."""
    keep = np.ones(columns["guests"].size, bool)
    for name, value in wanted.items():
        keep &= columns[name] == value
    return {name: values[keep] for name, values in columns.items()}


def test_two_kinds_in_antiphase_need_the_same_at_every_moment():
    """Two of them are a constant: what one gives the other takes."""
    up = [1000] * 6 + [200] * 6
    study, profiles = recorded(up, up[::-1], hosts=(4 * 1200 * HUGE_PAGE_BYTES,))
    columns = filled(study, profiles)
    pairs = rows_of(columns, guests=8)

    assert (
        pairs["peak_bytes"].tolist() == pairs["mean_bytes"].tolist() == [4 * 1200 * HUGE_PAGE_BYTES]
    )
    assert pairs["peaks_bytes"].tolist() == [8 * 1000 * HUGE_PAGE_BYTES]
    assert pairs["over_moments"].tolist() == [0]
    assert rows_of(columns, guests=9)["over_moments"].tolist() == [12]


def test_what_is_beyond_a_host_is_counted_moment_by_moment():
    """One guest on a host of 5 pages: above it by 0, 2, 4, 1 and 0."""
    study, profiles = recorded(
        [5, 7, 9, 6, 1], hosts=(5 * HUGE_PAGE_BYTES, 5 * HUGE_PAGE_BYTES + 4095)
    )
    columns = filled(study, profiles)
    one = rows_of(columns, guests=1)

    assert one["host"].tolist() == [0, 1]
    assert one["over_moments"].tolist() == [3, 3]
    assert one["moments"].tolist() == [5, 5]
    assert one["excess_bytes_mean"].tolist() == [7 * HUGE_PAGE_BYTES // 5] * 2
    assert one["swap_out_at_least_bytes"].tolist() == [4 * HUGE_PAGE_BYTES] * 2
    assert one["p95_bytes"].tolist() == [9 * HUGE_PAGE_BYTES] * 2


def test_what_rises_from_the_last_moment_to_the_first_goes_to_swap_too():
    study, profiles = recorded([9, 1, 1, 1], hosts=(5 * HUGE_PAGE_BYTES,))

    assert (
        rows_of(filled(study, profiles), guests=1)["swap_out_at_least_bytes"] == 4 * HUGE_PAGE_BYTES
    )


def test_percentiles_are_values_that_were_there():
    """Of 1 to 200 the 190th and the 198th."""
    study, profiles = recorded(list(range(200, 0, -1)), hosts=(GIB,))
    one = rows_of(filled(study, profiles), guests=1)

    assert one["p95_bytes"] == 190 * HUGE_PAGE_BYTES
    assert one["p99_bytes"] == 198 * HUGE_PAGE_BYTES


def test_constant_guests_fill_a_host_exactly():
    study, profiles = recorded([300] * 8, hosts=(1000 * HUGE_PAGE_BYTES, 900 * HUGE_PAGE_BYTES))
    columns = filled(study, profiles)

    over = [rows_of(columns, host=host)["over_moments"].tolist() for host in (0, 1)]
    assert over == [[0, 0, 0, 8]] * 2


def test_a_guest_whose_period_divides_the_window_is_looped():
    """A pattern of 3 in a window of 12, and one of 5, which is cut."""
    kinds = [kind_of(series_of_moments(size, f"m{size}")) for size in (12, 3, 5)]
    study = study_of(*kinds, hosts=(HUGE_PAGE_BYTES * 100,))
    profiles = [[units(*[0] * 12)], [units(3, 1, 2)], [units(4, 0, 0, 0, 0)]]
    drawn = first(drawn_guests(study, timeline_of(study), 1), 3)
    columns = filled(study, profiles)

    assert rows_of(columns, guests=2)["mean_bytes"] == 2 * HUGE_PAGE_BYTES
    times = sum((moment + drawn[2].shift_moments) % 5 == 0 for moment in range(12))
    assert rows_of(columns, guests=3)["mean_bytes"] == (24 + 4 * times) * HUGE_PAGE_BYTES // 12


def test_one_giant_among_dwarfs_decides_when_it_comes():
    """Weights 7 and 1: the giant is each eighth guest; dwarfs alone would fill the host later."""
    dwarf, giant = kind_of(series_of_moments(4, "d"), weight=7), kind_of(series_of_moments(4, "g"))
    study = study_of(dwarf, giant, hosts=(20 * GIB,))
    gib = GIB // HUGE_PAGE_BYTES
    columns = filled(study, [[units(*[gib] * 4)], [units(*[10 * gib] * 4)]])

    sums = columns["peak_bytes"] // GIB
    assert sums.tolist() == [1, 2, 3, 4, 14, 15, 16, 17, 18, 19, 20, 21]
    assert columns["over_moments"].tolist() == [0] * 11 + [4]


def test_counting_ends_when_the_largest_host_is_full_at_every_moment():
    study, profiles = recorded([1, 3], hosts=(4 * HUGE_PAGE_BYTES, 10 * HUGE_PAGE_BYTES))

    assert filled(study, profiles)["guests"].max() == 11


def test_counting_ends_however_little_a_guest_needs():
    study, profiles = recorded([0, 1], hosts=(GIB,))

    assert filled(study, profiles)["guests"].max() == MOST_GUESTS


def test_inhibited_guests_are_spread_among_the_others():
    study, profiles = recorded([1, 1], hosts=(500 * HUGE_PAGE_BYTES,))
    columns = filled(study, profiles, share=0.3, inhibited=[[units(100, 100)]])

    steps = np.diff(columns["peak_bytes"] // HUGE_PAGE_BYTES, prepend=0)[:10]
    assert steps.tolist() == [1, 1, 1, 100, 1, 1, 100, 1, 1, 100]


levels = st.lists(st.integers(0, 700), min_size=2, max_size=9)


@st.composite
def small_studies(draw):
    """A study of a few kinds, the profiles of its guests, and those of inhibited ones."""
    is_recorded = draw(st.booleans())
    window = draw(st.integers(2, 9))
    kinds, profiles, inhibited = [], [], []
    for number in range(draw(st.integers(1, 3))):
        is_now = is_recorded and (number == 0 or draw(st.booleans()))
        pages = (
            st.lists(st.integers(0, 700), min_size=window, max_size=window) if is_now else levels
        )
        members = draw(st.lists(pages, min_size=1, max_size=3))
        members[0] = [*members[0][:-1], 99]  # Some guest needs memory.
        made = [series_of_moments(len(each), f"m{index}") for index, each in enumerate(members)]
        options = {"weight": draw(st.integers(1, 3))}
        if not is_now:
            options["guests_per_phase"] = draw(st.integers(1, 3))
        kinds.append(kind_of(*made, recorded=is_now, **options))
        profiles.append([profile_of(each) for each in members])
        inhibited.append([profile_of([max(each)] * len(each)) for each in members])
    hosts = draw(st.lists(st.integers(512, 4000), min_size=1, max_size=3))
    return study_of(*kinds, hosts=[pages * PAGE_BYTES for pages in hosts]), profiles, inhibited


def as_lists(profiles):
    """The pages of profiles, as Python has them."""
    return [[each.pages.tolist() for each in members] for members in profiles]


@given(made=small_studies(), share=st.sampled_from(["0.0", "0.1", "0.35", "1.0"]))
def test_the_naive_twin_gives_the_same_to_the_byte(made, share):
    study, profiles, inhibited = made
    timeline = timeline_of(study)
    columns = filled(study, profiles, share=float(share), inhibited=inhibited)
    # The twin stops by itself; the kernel of a study that never ends is stopped at as many.
    count = min(int(columns["guests"].max()) + 1, 30)
    drawn = first(drawn_guests(study, timeline, 1), count)
    expected = naive_study.fill(
        [guest[1:] for guest in drawn],
        as_lists(profiles),
        as_lists(inhibited),
        share,
        moments=timeline.moments,
        hosts_pages=[host.memory_bytes // PAGE_BYTES for host in study.hosts],
    )

    given_rows = columns["guests"] <= 30
    for name in set(COLUMNS) - {"seed"}:
        assert columns[name][given_rows].tolist() == [row[name] for row in expected]
    assert set(columns["seed"].tolist()) == {1}


@given(made=small_studies())
def test_when_all_are_inhibited_what_reporting_does_is_no_matter(made):
    study, profiles, inhibited = made
    all_inhibited = filled(study, profiles, share=1.0, inhibited=inhibited)
    without = filled(study, inhibited)

    assert all((all_inhibited[name] == without[name]).all() for name in COLUMNS)


@given(made=small_studies())
def test_guests_need_no_more_than_their_peaks_and_one_more_never_needs_less(made):
    columns = filled(*made[:2])

    assert (columns["peak_bytes"] <= columns["peaks_bytes"]).all()
    assert (columns["p95_bytes"] <= columns["p99_bytes"]).all()
    assert (columns["p99_bytes"] <= columns["peak_bytes"]).all()
    assert (columns["over_moments"] <= columns["moments"]).all()
    for host in range(len(made[0].hosts)):
        of_host = rows_of(columns, host=host)
        for name in ("mean_bytes", "p99_bytes", "peak_bytes", "over_moments", "excess_bytes_mean"):
            assert (np.diff(of_host[name]) >= 0).all()


def test_identical_peaks_need_exactly_what_the_peaks_sum_to():
    study, profiles = recorded([1, 1, 7, 1], [2, 2, 8, 2], hosts=(99 * HUGE_PAGE_BYTES,))
    columns = filled(study, profiles)

    assert (columns["peak_bytes"] == columns["peaks_bytes"]).all()


def test_what_has_no_answer_is_refused_with_a_sentence():
    study, profiles = recorded([1, 2], hosts=(GIB,))
    empty = Profile(np.zeros(0, np.int32), profiles[0][0].facts)

    with pytest.raises(UsageError, match="no profiles of inhibited guests"):
        filled(study, profiles, share=0.1)
    with pytest.raises(UsageError, match=r"share is 1\.5, expected 0 to 1"):
        filled(study, profiles, share=1.5, inhibited=profiles)
    with pytest.raises(UsageError, match=r"profiles of \[\] guests.*\[1\]"):
        filled(study, [])
    with pytest.raises(UsageError, match="profile of k0 is empty"):
        filled(study, [[empty]])
    with pytest.raises(UsageError, match="k0 has 1 values, expected 2"):
        filled(study, [[profile_of([1])]])
    with pytest.raises(InputError, match="made: no guest needs any memory"):
        filled(study, [[profile_of([0, 0])]])
