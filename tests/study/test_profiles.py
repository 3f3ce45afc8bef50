"""What one guest needs, where that is known beforehand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.made_studies import MINUTE_NS, SOON, kind_of, series_needing, study_of
from workbench.errors import InputError, UsageError
from workbench.replay import Device, Guest, Settings
from workbench.schema import UNKNOWN
from workbench.study.compared import with_page_cache
from workbench.study.profiles import effective_settings, gives_back, profile
from workbench.study.study import WITHOUT_REPORTING, Variant
from workbench.study.timeline import Timeline, span_of, timeline_of
from workbench.trace import read_trace
from workbench.units import GIB, HUGE_PAGE_BYTES, PAGE_BYTES

LEVELS = [2 * GIB] * 4 + [6 * GIB] * 2 + [GIB] * 6


def profiled(member, variant=SOON, *, inhibited=False, **options):
    """The profile of the only guest of a study."""
    kind = kind_of(member, **options)
    timeline = Timeline(MINUTE_NS, span_of(member).moments(MINUTE_NS))
    return profile(member, kind, variant, timeline, inhibited=inhibited)


def with_columns(series, **columns):
    """The same series with other columns."""
    return dataclasses.replace(series, columns=series.columns | columns)


def reporting(**guest):
    """A variant with these settings of the guest."""
    return Variant(settings=Settings(guest=Guest(**guest)))


def test_without_reporting_a_guest_holds_what_it_ever_held_at_once():
    found = profiled(series_needing(*LEVELS), WITHOUT_REPORTING)

    assert set((found.pages * np.int64(PAGE_BYTES)).tolist()) == {6 * GIB}
    assert found.pages.dtype == np.int32
    assert found.facts.mean_bytes == found.facts.peak_bytes == 6 * GIB
    assert found.facts.rises_bytes == 0
    assert found.facts.seconds == 720
    assert found.facts.byte_seconds == 720 * 6 * GIB
    assert found.facts.held_back_bytes == sum(8 * GIB - each for each in LEVELS) // 12


def test_with_reporting_it_needs_what_it_uses_and_for_a_moment_what_it_freed():
    """Of 5 GiB freed 1 ms before its report a 60,000th is met unreported, pass after pass."""
    found = profiled(series_needing(*LEVELS))
    needed = found.pages * np.int64(PAGE_BYTES)

    assert needed[[0, 3, 4, 5, 7, 11]].tolist() == [2 * GIB, 2 * GIB, *[6 * GIB] * 2, GIB, GIB]
    # 5 GiB are 7 GiB of free lists' worth: some passes, each of a 16th of them and more.
    assert 5 * GIB / 60_000 < needed[6] - GIB < 16 * 5 * GIB / 60_000
    assert found.facts.rises_bytes == 4 * GIB
    assert found.facts.peak_bytes == 6 * GIB
    assert found.facts.held_back_bytes == 0


@pytest.mark.parametrize(
    ("variant", "inhibited"),
    [
        (Variant(settings=Settings(device=Device(discard_inhibited=True))), False),
        (SOON, True),
        (reporting(poison_val=0xAAAAAAAA), False),
        (
            Variant(
                settings=Settings(device=Device(page_poison=False), guest=Guest(init_on_free=True))
            ),
            False,
        ),
    ],
)
def test_where_nothing_is_discarded_it_is_as_without_reporting(variant, inhibited):
    series = series_needing(*LEVELS)
    found, without = (
        profiled(series, variant, inhibited=inhibited),
        profiled(series, WITHOUT_REPORTING),
    )

    assert found.pages.tolist() == without.pages.tolist()
    assert found.facts == without.facts


def test_a_guest_that_clears_what_it_frees_gives_it_back_if_the_device_asks_for_its_content():
    assert gives_back(Settings(guest=Guest(init_on_free=True)), series_needing(1, 2))
    assert gives_back(Settings(guest=Guest(poison_val=0)), series_needing(1, 2))
    assert gives_back(Settings(device=Device(page_poison=False)), series_needing(1, 2))
    not_asked = Settings(device=Device(page_poison=False), guest=Guest(poison_val=0))
    assert not gives_back(not_asked, series_needing(1, 2))


def test_settings_of_a_kind_win_over_what_is_compared():
    kind = kind_of(
        series_needing(1, 2), device=Device(page_poison=False), guest=Guest(reporting_order=3)
    )
    variant = reporting(reporting_order=9, reporting_delay_ns="1s")
    settings = effective_settings(kind, variant, inhibited=False)

    assert settings.guest == Guest(reporting_order=3, reporting_delay_ns="1s")
    assert settings.device == Device(page_poison=False)
    assert effective_settings(kind, variant, inhibited=True).device.discard_inhibited


def test_a_step_needs_the_most_that_was_needed_within_it():
    series = series_needing(*LEVELS)
    kind = kind_of(series)
    found = profile(series, kind, SOON, Timeline(4 * MINUTE_NS, 3))

    assert (found.pages[:2] * np.int64(PAGE_BYTES)).tolist() == [2 * GIB, 6 * GIB]
    assert found.pages.size == 3


def test_a_step_in_which_nothing_begins_needs_what_came_before():
    """Half a minute: each sample is in force for two steps."""
    series = series_needing(*LEVELS)
    timeline = Timeline(MINUTE_NS // 2, 24)
    found = profile(series, kind_of(series), SOON, timeline)

    assert found.pages[::2].tolist() == found.pages[1::2].tolist()
    assert found.pages[::2].tolist() == profiled(series).pages.tolist()


def test_a_recorded_guest_is_cut_to_the_window_and_shifted():
    series = series_needing(*LEVELS, start_ns=5 * MINUTE_NS)
    kind = kind_of(series, recorded=True, shift_ns=MINUTE_NS)
    timeline = Timeline(MINUTE_NS, 4, 8 * MINUTE_NS)
    found = profile(series, kind, SOON, timeline)

    seen = profiled(series).pages[3:7].tolist()
    assert found.pages.tolist() == [seen[-1], *seen[:-1]]
    assert found.facts == profiled(series).facts
    with pytest.raises(UsageError, match="has no start_ns"):
        profile(series, kind, SOON, Timeline(MINUTE_NS, 4))


def test_what_lies_in_small_blocks_is_held_back_by_order_9_and_not_by_order_0():
    series = series_needing(*[2 * GIB] * 4)
    huge = np.full(4, 2 * GIB // HUGE_PAGE_BYTES)
    series = with_columns(series, free_huge_pages=huge)

    at_9, at_0 = (profiled(series, reporting(reporting_order=order)) for order in (9, 0))
    # Never more than without reporting: what was never in use at once is not needed at once.
    assert at_9.facts.held_back_bytes == 4 * GIB
    assert at_0.facts.held_back_bytes == 0
    assert at_9.facts.mean_bytes == at_0.facts.mean_bytes == 2 * GIB


def test_fragmented_memory_is_needed_as_far_as_it_was_ever_in_use():
    """6 GiB used, then 2: of what is free then a half is in blocks that are large enough."""
    series = series_needing(*[6 * GIB] * 2, *[2 * GIB] * 10)
    huge = series.columns["free_huge_pages"] // 2
    found = profiled(with_columns(series, free_huge_pages=huge))

    assert int(found.pages[-1]) * PAGE_BYTES == 5 * GIB


def test_a_series_that_does_not_tell_huge_pages_needs_a_word_for_them():
    series = series_needing(*LEVELS)
    unknown = with_columns(series, free_huge_pages=np.full(12, UNKNOWN))

    assert profiled(unknown, huge_share=1.0).pages.tolist() == profiled(series).pages.tolist()
    half = profiled(unknown, huge_share=0.5)
    assert half.facts.held_back_bytes == sum(8 * GIB - each for each in LEVELS) // 24
    with pytest.raises(InputError, match=r"guest: made does not tell .* huge_share"):
        profiled(unknown)
    assert profiled(unknown, reporting(reporting_order=0)).facts.held_back_bytes == 0
    assert profiled(unknown, WITHOUT_REPORTING).pages.tolist() == [6 * GIB // PAGE_BYTES] * 12


@pytest.mark.parametrize("share", [0.5, 0.66, 2 / 3, 1 / 3, 0.1 + 0.2, 0.123456789012345])
def test_a_huge_share_of_any_digits_is_taken_of_what_is_free(share):
    """What is in small blocks is held back: never more in huge ones than is free."""
    series = series_needing(*LEVELS)
    unknown = with_columns(series, free_huge_pages=np.full(12, UNKNOWN))
    found = profiled(unknown, huge_share=share).facts.held_back_bytes
    free = profiled(unknown, WITHOUT_REPORTING).facts.held_back_bytes

    assert found == pytest.approx((1 - share) * free, abs=HUGE_PAGE_BYTES)


def test_page_cache_that_is_given_back_is_not_needed():
    series = series_needing(*[4 * GIB] * 4, cached_bytes=GIB)
    plain = profiled(series)
    variant = dataclasses.replace(SOON, page_cache_given_back=True)

    assert plain.facts.cached_bytes == GIB
    assert plain.facts.mean_bytes == 4 * GIB
    assert profiled(series, variant).facts.mean_bytes == 3 * GIB
    assert profiled(series, variant, inhibited=True).facts.mean_bytes == 4 * GIB
    unknown = profiled(series_needing(*[4 * GIB] * 4), variant)
    assert unknown.facts.mean_bytes == 4 * GIB
    assert unknown.facts.cached_bytes == UNKNOWN


def test_a_page_cache_that_is_known_at_times_is_not_known():
    """Such a guest gives none back, so there is nothing to compare."""
    series = series_needing(*LEVELS, cached_bytes=GIB)
    cached = series.columns["cached_bytes"].copy()
    cached[3] = UNKNOWN
    at_times = with_columns(series, cached_bytes=cached)

    assert profiled(at_times).facts.cached_bytes == UNKNOWN
    assert with_page_cache((SOON,), (kind_of(at_times),)) == (SOON,)
    assert len(with_page_cache((SOON,), (kind_of(at_times, series),))) == 2


def test_the_place_of_a_guest_among_others_does_not_matter():
    members = [series_needing(*LEVELS, name=name) for name in "ab"]
    kind, slow = kind_of(*members), reporting(reporting_order=9, reporting_delay_ns="40s")
    timeline = timeline_of(study_of(kind))
    one, other = (profile(each, kind, slow, timeline) for each in members)

    assert one.pages.tolist() == other.pages.tolist()
    assert one.facts == other.facts


def test_a_trace_needs_what_its_replay_says():
    trace = read_trace("traces/churn-on.trace")
    kind = kind_of(trace)
    timeline = Timeline(10_000_000, span_of(trace).moments(10_000_000))
    as_captured = profile(trace, kind, Variant(settings=Settings()), timeline)
    without = profile(trace, kind, WITHOUT_REPORTING, timeline)

    assert as_captured.pages.size == timeline.moments == without.pages.size
    assert len(set(as_captured.pages.tolist())) > 10
    assert len(set(without.pages.tolist())) == 1
    assert as_captured.facts.mean_bytes < without.facts.mean_bytes
    assert as_captured.facts.held_back_bytes == UNKNOWN
    assert not gives_back(Settings(guest=Guest(poison_val=7)), trace)
    poisoned = read_trace("traces/churn-poisoned.trace")
    assert not gives_back(Settings(), poisoned)
    assert not gives_back(Settings(), read_trace("traces/churn-off.trace"))


@given(
    levels=st.lists(st.integers(0, 7 * 512), min_size=2, max_size=40),
    small_tenths=st.integers(0, 10),
    order=st.integers(0, 10),
    delay_ns=st.sampled_from(["1ms", "2s", "20s", "100s", "1000s"]),
    capacity=st.sampled_from([1, 32, 1000]),
)
def test_a_guest_needs_what_it_uses_and_never_more_than_it_ever_used(
    levels, small_tenths, order, delay_ns, capacity
):
    """Whatever is reported, whenever."""
    series = series_needing(*[level * HUGE_PAGE_BYTES for level in levels])
    huge = series.columns["free_huge_pages"] * (10 - small_tenths) // 10
    series = with_columns(series, free_huge_pages=huge)
    variant = reporting(
        reporting_order=order, reporting_delay_ns=delay_ns, reporting_capacity=capacity
    )
    found = profiled(series, variant)
    used = series.columns["total_bytes"] // PAGE_BYTES - series.columns["free_pages"]

    assert (found.pages >= used).all()
    assert (found.pages <= used.max()).all()
    assert found.facts.peak_bytes == used.max() * PAGE_BYTES
    assert found.facts.held_back_bytes >= 0
    assert found.facts.rises_bytes >= int(found.pages[-1] - found.pages[0]) * PAGE_BYTES
