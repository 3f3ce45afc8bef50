"""What the guests of a study swap on one host, page by page."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.study.made_studies import series_needing
from tests.study.traced_studies import (
    AS_CAPTURED,
    TWICE,
    at_once,
    kind_of,
    pages_touched,
    plain_trace,
    study_of,
)
from tests.synthetic import given_back, report, touch
from workbench.errors import UnidentifiableError, UsageError
from workbench.measure import metrics
from workbench.replay import Device, Guest, Host, Outcome, Settings, replay, together
from workbench.study import (
    WITHOUT_REPORTING,
    Variant,
)
from workbench.study.draws import drawn_guests
from workbench.study.swap import (
    HostSwap,
    SwapStudy,
    swap_frame,
    swap_on_host,
)
from workbench.study.timeline import timeline_of
from workbench.trace import Trace, read_trace
from workbench.units import GIB, MIB, NANOSECONDS, PAGE_BYTES

TRACES = Path(__file__).parents[2] / "traces"
HALF_INHIBITED = Variant(settings=Settings(), inhibited_share=0.5)


def bundled(name):
    return read_trace(TRACES / f"{name}.trace")


def swapped(study, variant, *counts, seed=1):
    return swap_on_host(study, study.hosts[0], variant, counts, seed)


def begun_at(one, start_ns):
    """The same trace, as if captured later."""
    later_ns = start_ns - one.manifest.start_time_ns
    events = one.columns("events")
    tables = {**one._tables, "events": {**events, "time_ns": events["time_ns"] + later_ns}}
    return Trace(one.path, one.manifest.model_copy(update={"start_time_ns": start_ns}), tables)


@pytest.mark.parametrize("variant", [WITHOUT_REPORTING, AS_CAPTURED])
@pytest.mark.parametrize("swap", ["zram", "disk"])
def test_one_guest_swaps_what_a_replay_says(variant, swap):
    one = bundled("pressure-order0")
    study = study_of(kind_of(one), memory=512 * MIB, swap=swap)
    host = replace(study.hosts[0], reserved_bytes=300 * MIB)

    (row,) = swap_on_host(study, host, variant, [1], 1)

    settings = variant.settings.model_copy(update={"host": Host(memory_bytes=212 * MIB, swap=swap)})
    expected = metrics(replay(one, settings=settings))
    names = HostSwap._fields & expected.keys()
    assert {"swap_in_pages", "swap_out_dead_pages", "swap_wait_seconds", "refaults"} <= set(names)
    assert row.swap_in_pages > 0
    for name in names:
        assert getattr(row, name) == pytest.approx(expected[name]["value"]), name


def test_several_guests_begin_at_the_moments_that_were_drawn_for_them():
    """One that is at moment m of its recording when the host begins ends it before it begins."""
    one = bundled("churn-on")
    study = study_of(kind_of(one), memory=600 * MIB)
    drawn = itertools.islice(drawn_guests(study, timeline_of(study), 5), 3)
    shifts = [guest.shift_moments for guest in drawn]
    span_s = one.manifest.duration_ns // NANOSECONDS

    (row,) = swapped(study, AS_CAPTURED, 3, seed=5)

    begins_ns = [(span_s - shift) % span_s * NANOSECONDS for shift in shifts]
    run = replay(together([one] * 3, begins_ns), host=Host(memory_bytes=600 * MIB, swap="zram"))
    expected = metrics(run)
    assert row.swap_out_pages == expected["swap_out_pages"]["value"] > 0
    assert row.refaults == expected["refaults"]["value"]
    assert row.seconds == run.trace.manifest.duration_ns / NANOSECONDS


def test_fewer_guests_are_the_first_of_more_and_asking_for_all_at_once_changes_nothing():
    study = study_of(kind_of(bundled("churn-on")), memory=600 * MIB)

    together_ = swapped(study, AS_CAPTURED, 1, 2, 3)

    assert together_ == [row for count in (1, 2, 3) for row in swapped(study, AS_CAPTURED, count)]
    assert together_ == swapped(study, AS_CAPTURED, 1, 2, 3)
    assert [row.swap_out_pages for row in together_] == sorted(
        row.swap_out_pages for row in together_
    )


def test_recorded_guests_begin_when_they_were_seen_to():
    """Two that follow each other by ten seconds; a shift moves all of a kind."""
    first, second = begun_at(TWICE, 5 * NANOSECONDS), begun_at(TWICE, 8 * NANOSECONDS)
    study = study_of(at_once(first, second))
    moved = study_of(at_once(first, name="a"), at_once(second, name="b", shift_ns=4 * NANOSECONDS))

    (row,) = swapped(study, AS_CAPTURED, 2)
    (later,) = swapped(moved, AS_CAPTURED, 2)

    assert row.seconds == 13
    assert later.seconds == 17


def test_pages_that_come_back_are_counted_by_the_second():
    """1,000 pages of two guests do not fit into 600, so all of the second time come from swap."""
    other = plain_trace(*pages_touched(*range(500), *range(500), second=1.0005))
    study = study_of(at_once(TWICE, other), memory=600 * PAGE_BYTES * 4)
    host = replace(study.hosts[0], memory_bytes=600 * PAGE_BYTES)

    one, two = (swap_on_host(study, host, AS_CAPTURED, [count], 1)[0] for count in (1, 2))

    assert one.swap_in_pages == one.swap_in_pages_per_second_p99 == 0
    # Of ten seconds the worst is the 99th percentile.
    assert 0 < two.swap_in_pages == two.swap_in_pages_per_second_p99 <= 1_000
    assert two.swap_wait_seconds == pytest.approx(two.swap_read_pages * 2_235 / 1e9)


def test_the_second_in_which_most_came_back_is_the_99th_percentile_of_few():
    """As the events of a replay say."""
    again = [touch(5.0005 + n / 200, n * PAGE_BYTES, PAGE_BYTES) for n in range(600)]
    one = plain_trace(*pages_touched(*range(600)), *again)
    study = study_of(at_once(one), memory=8 * MIB)
    host = replace(study.hosts[0], memory_bytes=2 * MIB)

    (row,) = swap_on_host(study, host, AS_CAPTURED, [1], 1)

    ledger = replay(one, host=Host(memory_bytes=2 * MIB, swap="zram")).ledger
    came_back_ns = ledger.time_ns[ledger.outcome == Outcome.SWAPPED_IN] - one.manifest.start_time_ns
    by_second = Counter((came_back_ns // NANOSECONDS).tolist())
    assert len(by_second) > 1
    assert row.swap_in_pages == by_second.total()
    assert row.swap_in_pages_per_second_p99 == max(by_second.values())


def test_inhibited_guests_are_every_second_and_give_nothing_back():
    study = study_of(kind_of(bundled("churn-on")))

    alone, two = swapped(study, HALF_INHIBITED, 1, 2)
    without = swapped(study, AS_CAPTURED, 1, 2)

    assert [row.inhibited_guests for row in (alone, two)] == [0, 1]
    assert alone.refaults == without[0].refaults
    assert 2 * two.refaults == without[1].refaults


def test_a_kind_keeps_its_own_settings_whatever_is_compared():
    one = bundled("churn-on")
    study = study_of(
        kind_of(one, name="a"), kind_of(one, name="b", device=Device(discard_inhibited=True))
    )

    (row,) = swapped(study, AS_CAPTURED, 2)

    assert row.refaults == metrics(replay(one))["refaults"]["value"]
    assert row.inhibited_guests == 0


def test_what_reporting_avoids_is_what_the_same_guests_swap_without_it():
    study = study_of(kind_of(bundled("churn-on")), memory=int(1.5 * GIB))
    small, ample = (
        replace(study.hosts[0], name=name, memory_bytes=size)
        for name, size in (("small", 700 * MIB), ("ample", 64 * GIB))
    )
    rows = [
        row
        for variant in study.variants
        for host in (small, ample)
        for row in swap_on_host(study, host, variant, [3], 1)
    ]

    frame = swap_frame(rows)

    with_reporting = frame[frame["variant"] == AS_CAPTURED.label].set_index("host")
    assert with_reporting.loc["small", "swap_in_avoided_pages"] > 0
    assert with_reporting.loc["small", "swap_out_avoided_pages"] > 0
    assert with_reporting.loc[
        "ample", ["swap_in_avoided_pages", "swap_out_avoided_pages"]
    ].tolist() == [0, 0]
    without = frame[frame["variant"] == WITHOUT_REPORTING.label]
    assert (without["swap_in_avoided_pages"] == 0).all()
    expected = rows[0].swap_in_pages - rows[2].swap_in_pages
    assert with_reporting.loc["small", "swap_in_avoided_pages"] == expected


def test_what_is_not_known_is_not_zero():
    """What was free in guests, and what is avoided where nothing is beside it."""
    (row,) = swapped(study_of(at_once(TWICE)), AS_CAPTURED, 1)

    frame = swap_frame([row, row._replace(swap_in_dead_pages=None, swap_out_dead_pages=None)])

    assert frame["swap_in_dead_pages"].tolist() == frame["swap_out_dead_pages"].tolist()
    assert frame["swap_in_dead_pages"].isna().tolist() == [False, True]
    assert frame["swap_in_avoided_pages"].isna().all()
    assert swap_frame([]).columns.tolist() == frame.columns.tolist()


def test_what_swap_has_no_room_for_is_counted():
    once = plain_trace(*pages_touched(*range(500)))
    study = study_of(at_once(once, once), memory=9 * MIB)
    host = replace(study.hosts[0], memory_bytes=2 * MIB, swap_bytes=MIB)

    (row,) = swap_on_host(study, host, AS_CAPTURED, [2], 1)

    assert row.unmet_bytes == (1_000 - 512 - 256) * PAGE_BYTES


def test_notes_say_what_is_left_open():
    study = study_of(kind_of(bundled("churn-on")))
    asked = SwapStudy(study, WITHOUT_REPORTING)
    assert asked.notes == ()

    asked.on_host(study.hosts[0], [1], 1)

    assert "accesses were not recorded" in " ".join(asked.notes)
    assert "a guest that reports otherwise uses other addresses" in " ".join(asked.notes)


def test_guests_known_by_samples_are_refused():
    study = study_of(kind_of(series_needing(MIB, GIB, total_bytes=GIB), huge_share=None))

    with pytest.raises(UnidentifiableError, match="do not tell which pages it touches"):
        SwapStudy(study, AS_CAPTURED)


def test_what_traces_cannot_answer_is_refused():
    one = bundled("churn-on")
    study = study_of(kind_of(one))
    finer = Variant(settings=Settings(guest=Guest(reporting_order=0)))

    with pytest.raises(UnidentifiableError, match="page cache"):
        SwapStudy(study, Variant(settings=Settings(), page_cache_given_back=True))
    with pytest.raises(UnidentifiableError, match="finer"):
        swapped(study, finer, 1)


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_numbers_of_guests_that_cannot_be_are_refused(count):
    study = study_of(at_once(TWICE))

    with pytest.raises(UsageError, match="expected 1 to 10,000"):
        swapped(study, AS_CAPTURED, 1, count)


def test_what_is_given_back_need_not_be_read_again():
    """It faults instead, whether it was in memory or in swap; what follows is not touched again."""
    rows, again = pages_touched(*range(600)), pages_touched(*range(512), second=5)
    reported = given_back(report(3, 0, element=1))
    kept, freed = (
        study_of(at_once(plain_trace(*rows, *between, *again)), memory=8 * MIB)
        for between in ((), reported)
    )
    host = replace(kept.hosts[0], memory_bytes=2 * MIB)

    (reads,), (faults,) = (swap_on_host(each, host, AS_CAPTURED, [1], 1) for each in (kept, freed))

    assert (faults.swap_in_pages, faults.refaults) == (0, 512)
    assert reads.swap_in_pages >= 88
    assert reads.refaults == 0
