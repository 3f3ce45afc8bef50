"""The answer of a study in one sentence for each host."""

from __future__ import annotations

import dataclasses

import pytest

from tests.study.made_studies import SOON, answered, kind_of, series_needing, study_of
from workbench.cli.plan import _cells
from workbench.replay import Guest, Settings
from workbench.study.study import HostKind, Variant
from workbench.study.words import sentences
from workbench.units import GIB, HUGE_PAGE_BYTES, format_number

UP, DOWN = [4 * GIB] * 60 + [GIB] * 60, [GIB] * 60 + [4 * GIB] * 60
SIZE = 40 * GIB + 64 * HUGE_PAGE_BYTES


def said(*levels, hosts=(SIZE,), **others):
    """What is said of recorded kinds with these levels."""
    kinds = (kind_of(series_needing(*each), recorded=True) for each in levels)
    return sentences(answered(study_of(*kinds, hosts=hosts, **others)))


def test_more_guests_with_reporting_are_counted():
    assert said(UP, DOWN) == [
        (
            "Into host 0 fit 16 guests with reporting at order 9, 10 without: 6 more; memory is "
            "short no more than 1 % of the time."
        )
    ]


def test_what_is_compared_is_named_and_the_best_that_comes_first_is_taken():
    variants = tuple(
        Variant(settings=Settings(guest=Guest(reporting_order=order, reporting_delay_ns=delay)))
        for order in (9, 0)
        for delay in ("2s", "1ms")
    )
    (sentence,) = said(UP, DOWN, variants=variants, hosts=(SIZE + 4 * GIB,), share_of_time=1.0)

    assert sentence == (
        "Into host 0 fit 17 guests with reporting at order 9 (delay 2 s), 11 without: 6 more; "
        "memory is never short."
    )


def test_where_more_would_fit_than_are_counted_it_says_at_least():
    (sentence,) = said([HUGE_PAGE_BYTES] * 2, hosts=(1 << 50,))

    assert sentence.startswith("Into host 0 fit at least 10,000 guests, with reporting or without")
    assert "gains nothing" not in sentence


def test_how_many_are_inhibited_is_named_where_that_is_compared():
    half = dataclasses.replace(SOON, inhibited_share=0.5)

    assert "at order 9 (no guest inhibited), 10 without" in said(UP, DOWN, variants=(SOON, half))[0]
    some = dataclasses.replace(SOON, inhibited_share=0.25)
    assert (
        "at order 9 (25 % of guests inhibited), 10 without" in said(UP, DOWN, variants=(some,))[0]
    )


def test_where_peaks_coincide_it_says_why_nothing_is_gained():
    assert said(UP, UP) == [
        (
            "Into host 0 fit 10 guests, with reporting or without: reporting gains nothing, "
            "because guests need most at the same time (40.00 GiB together, of 40.00 GiB that "
            "their peaks sum to); memory is short no more than 1 % of the time."
        )
    ]


def test_guests_that_never_change_gain_nothing_either():
    (sentence,) = said([4 * GIB] * 9, share_of_time=0.5)

    assert "gains nothing, because guests need about the same all the time; memory" in sentence
    assert sentence.endswith("memory is short no more than 50 % of the time.")


def test_where_all_are_inhibited_no_guest_gives_anything_back():
    (sentence,) = said(UP, DOWN, variants=(dataclasses.replace(SOON, inhibited_share=1.0),))

    assert "reporting gains nothing, because no guest gives anything back" in sentence


def test_each_host_has_its_sentence_and_a_hostile_name_stays_on_its_line():
    kinds = [kind_of(series_needing(*each), recorded=True) for each in (UP, DOWN)]
    study = study_of(*kinds, hosts=(SIZE, 2 * SIZE))
    hosts = (dataclasses.replace(study.hosts[0], name="a\nb"), study.hosts[1])
    found = sentences(answered(dataclasses.replace(study, hosts=hosts)))

    assert isinstance(hosts[0], HostKind)
    assert len(found) == 2
    assert found[0].startswith("Into a\\nb fit 16 guests")


def test_without_anything_to_compare_with_it_is_one_number():
    (sentence,) = said(UP, DOWN, variants=())

    assert sentence.startswith("Into host 0 fit 10 guests without reporting; memory")


def test_a_limit_of_drain_is_told():
    slow = Variant(settings=Settings(guest=Guest(reporting_order=9, reporting_delay_ns="30s")))
    assert (
        "fits no guest: what one frees never drains"
        in said(UP, DOWN, variants=(slow,), drain_seconds=60)[0]
    )
    assert (
        "16 guests with reporting at order 9, and none without, where"
        in said(UP, DOWN, drain_seconds=60)[0]
    )


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 3, "0"),
        (0.0231, 3, "0.0231"),
        (0.00001234, 3, "0.0000123"),
        (7.756, 3, "7.76"),
        (8.0, 3, "8"),
        (999.7, 3, "1,000"),
        (1153.4, 3, "1,150"),
        (2_000_000.0, 3, "2,000,000"),
        (0.0000001, 12, "0.0000001"),
        (864_000.0, 6, "864,000"),
    ],
)
def test_numbers_are_written_as_people_read_them(value, digits, text):
    assert format_number(value, digits) == text


def test_a_limit_of_a_millionth_is_written_in_full():
    (sentence,) = said(UP, DOWN, share_of_time=0.9999999)

    assert sentence.endswith("memory is short no more than 0.00001 % of the time.")


def test_long_refaults_are_written_in_full_in_the_table():
    row = answered(study_of(kind_of(series_needing(*UP)))).to_dict("records")[1]
    row |= {"refault_cpu_seconds_per_guest_day": 1153.4, "drain_90_seconds": 8000.0}

    assert {"1,150 s", "8,000 s"} <= set(_cells(row, 0))
