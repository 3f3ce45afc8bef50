"""Which settings matter for guests of a known kind, and which do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.study.made_studies import answered, kind_of, series_needing, study_of
from workbench.replay import Guest, Settings
from workbench.study.sensitivity import sensitivity, sensitivity_sentences
from workbench.study.study import Variant
from workbench.units import GIB

LONG_JOB = [6 * GIB] * 180 + [GIB] * 180


def variants(*, orders=(9,), delays=("250ms", "2s"), capacities=(32,), shares=(0.0,)):
    """All combinations of these."""
    return tuple(
        Variant(
            settings=Settings(
                guest=Guest(
                    reporting_order=order, reporting_delay_ns=delay, reporting_capacity=capacity
                )
            ),
            inhibited_share=share,
        )
        for share in shares
        for order in orders
        for delay in delays
        for capacity in capacities
    )


def judged(series, *, hosts=(64 * GIB,), **compared):
    """The sensitivity of guests of one kind."""
    study = study_of(kind_of(series), variants=variants(**compared), hosts=hosts, seeds=(1, 2))
    return sensitivity(answered(study))


def fragmented(series):
    """The same with half of what is free in small blocks."""
    huge = series.columns["free_huge_pages"] // 2
    return dataclasses.replace(series, columns=series.columns | {"free_huge_pages": huge})


def test_at_order_9_the_delay_sets_the_drain_time_and_hardly_the_byte_seconds():
    found = judged(series_needing(*LONG_JOB))
    (row,) = found.to_dict("records")

    assert row["axis"] == "reporting_delay_ns"
    assert row["values"] == "250 ms, 2 s"
    # Four passes: 1 s and 8 s.
    assert row["drain_seconds_change_largest"] == row["drain_seconds_change_mean"] == 7
    assert 0 < row["byte_seconds_change_largest"] < 0.001
    assert row["guests_change_largest"] == 0
    assert not row["matters"]
    assert sensitivity_sentences(found) == [
        (
            "The delay (250 ms, 2 s) hardly matters: no guest and less than 0.1 % of byte-seconds; "
            "it changes by 7 s when a freed GiB can be used again."
        )
    ]


def test_where_memory_is_fragmented_the_order_matters_most():
    found = judged(fragmented(series_needing(*LONG_JOB)), orders=(0, 9), shares=(0.0, 0.1))

    assert found["axis"].tolist()[0] == "reporting_order"
    assert set(found["axis"]) == {"reporting_order", "reporting_delay_ns", "inhibited_share"}
    assert found["matters"].tolist()[0]
    assert found["guests_change_largest"].is_monotonic_decreasing
    assert sensitivity_sentences(found)[0].startswith("The order (0, 9) matters: up to ")


def test_each_setting_is_changed_alone():
    """Means over what is held fixed: two delays for each order, one host."""
    found = judged(fragmented(series_needing(*LONG_JOB)), orders=(0, 9)).set_index("axis")
    answers = answered(
        study_of(
            kind_of(fragmented(series_needing(*LONG_JOB))),
            variants=variants(orders=(0, 9)),
            hosts=(64 * GIB,),
            seeds=(1, 2),
        )
    )
    guests = answers["guests"].to_numpy()[1:].reshape(2, 2)

    by_order = np.abs(guests[0] - guests[1])
    assert found.loc["reporting_order", "guests_change_largest"] == by_order.max()
    assert found.loc["reporting_order", "guests_change_mean"] == pytest.approx(by_order.mean())


def test_a_capacity_that_keeps_a_gib_from_draining_is_left_out_of_drain_times():
    found = judged(series_needing(*LONG_JOB), delays=("2s",), capacities=(1, 32, 4096))
    (row,) = found.to_dict("records")

    assert row["values"] == "1, 32, 4096"
    assert row["drain_seconds_change_largest"] > 0
    assert np.isfinite(row["drain_seconds_change_largest"])


def test_page_cache_that_is_given_back_is_one_more_thing_to_change():
    series = series_needing(*LONG_JOB, cached_bytes=GIB // 2)
    first = variants(delays=("2s",))
    more = dataclasses.replace(first[0], page_cache_given_back=True)
    study = study_of(kind_of(series), variants=(*first, more), hosts=(64 * GIB,))
    found = sensitivity(answered(study))

    assert found["axis"].tolist() == ["page_cache_given_back"]
    assert found["values"].tolist() == ["kept, given back"]
    assert found["byte_seconds_change_largest"].tolist()[0] > 0.1


def test_a_setting_that_decides_whether_the_limit_of_drains_is_kept_matters():
    """Four passes of 20 s miss it, and hardly change what a guest needs."""
    series = series_needing(*[GIB // 8] * 500, *[GIB // 2] * 20, *[GIB // 8] * 500, total_bytes=GIB)
    study = study_of(
        kind_of(series),
        hosts=(8 * GIB,),
        variants=variants(delays=("250ms", "20s")),
        share_of_time=0.9,
        drain_seconds=60.0,
    )
    found = sensitivity(answered(study))
    (row,) = found.to_dict("records")

    assert row["guests_change_largest"] > 1
    assert row["byte_seconds_change_largest"] < 0.01
    assert row["matters"]
    assert sensitivity_sentences(found)[0].startswith(
        f"The delay (250 ms, 20 s) matters: up to {row['guests_change_largest']:.0f} guests and 0."
    )


def test_a_setting_that_does_not_change_who_keeps_a_limit_does_not_matter_for_it():
    """Both miss the limit of drains: no guest fits under either."""
    study = study_of(
        kind_of(series_needing(*LONG_JOB)),
        variants=variants(delays=("20s", "40s")),
        drain_seconds=60.0,
    )

    assert not sensitivity(answered(study))["matters"].any()


def test_no_sentence_says_that_guests_hardly_matter():
    """As where a thousandth of what guests need decides on one of them."""
    found = judged(series_needing(*LONG_JOB))
    found["guests_change_largest"] = 1.0

    assert sensitivity_sentences(found) == [
        (
            "The delay (250 ms, 2 s) hardly matters for what guests need: less than 0.1 % of "
            "byte-seconds, which decide on up to 1 guest; it changes by 7 s when a freed GiB can "
            "be used again."
        )
    ]


def test_long_times_are_written_in_full():
    found = judged(series_needing(*LONG_JOB), delays=("250ms", "2000s"))

    assert "it changes by 8,000 s when a freed GiB" in sensitivity_sentences(found)[0]


def test_where_one_thing_is_compared_nothing_is_said():
    found = judged(series_needing(*LONG_JOB), delays=("2s",))

    assert found.empty
    assert sensitivity_sentences(found) == []
