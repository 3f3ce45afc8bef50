"""The short way to what guests need, beside the model that follows every pass sixteen times."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.synthetic_series import series_of, used_bytes
from workbench.model.guest.reporting import full_reports, has_room_to_report
from workbench.replay import Guest, Sampling, predict_series
from workbench.replay import guest_need as guest_need_module
from workbench.replay.guest_need import series_need
from workbench.trace import Reporting
from workbench.units import NANOSECONDS, PAGE_BYTES

SAMPLES = 1000
ALONE = Sampling(own_bytes=0, lag_ns=0)


def days(random):
    """A day's rise and fall, and noise."""
    day = np.sin(np.arange(SAMPLES) / 1440 * 2 * np.pi)
    return 1000 + 700 * day + random.normal(0, 15, SAMPLES)


def jobs(random):
    """A job of four hours, and then nothing for as long."""
    return np.where(np.arange(SAMPLES) // 240 % 2, 1900, 300) + random.integers(0, 3, SAMPLES)


def walk(random):
    """Steps of any direction."""
    return np.abs(np.cumsum(random.normal(0, 12, SAMPLES)) + 300)


def low(random):
    """Hardly anything is ever free: most of the time too little to report."""
    return np.abs(np.cumsum(random.normal(0, 3, SAMPLES))) + 5


def spikes(random):
    """Now and then most of it is free."""
    return np.where(random.random(SAMPLES) < 0.1, 1900, 300)


def constant(_random):
    """Nothing moves."""
    return np.full(SAMPLES, 1000)


SHAPES = (days, jobs, walk, low, spikes, constant)

REPORTINGS = (
    Reporting(9, 2 * NANOSECONDS, 32),
    Reporting(9, NANOSECONDS // 4, 32),
    Reporting(0, 2 * NANOSECONDS, 32),
    Reporting(9, 2 * NANOSECONDS, 1),
    Reporting(9, 10 * NANOSECONDS, 32),
    Reporting(9, 60 * NANOSECONDS, 32),
    Reporting(4, NANOSECONDS, 512),
)


def made(shape, *, small_share=0.25):
    """A series of one of the shapes, a sample a minute; part of what is free is in small blocks."""
    huge = np.clip(shape(np.random.default_rng(5)), 4, 2000).astype(np.int64)
    series = series_of(huge, step_s=60)
    small = (series.columns["free_pages"] * small_share).astype(np.int64)
    small = np.minimum(small, series.columns["total_bytes"] // PAGE_BYTES - huge * 512)
    return dataclasses.replace(series, columns=series.columns | {"free_pages": huge * 512 + small})


def both(series, reporting):
    """What the full model says, in bytes at each sample, and the short way."""
    guest = Guest(**{f"reporting_{name}": value for name, value in reporting._asdict().items()})
    full = predict_series(series, guest, sampling=ALONE).resident_bytes
    return full, series_need(series, reporting).pages * PAGE_BYTES


@pytest.mark.parametrize("reporting", REPORTINGS, ids=lambda reporting: reporting.label)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_short_way_is_within_two_thousandths_of_the_model_that_follows_every_pass(
    shape, reporting
):
    """Of byte-seconds, and at each sample on average."""
    full, short = both(made(shape), reporting)

    assert abs(short.mean() - full.mean()) < 0.002 * full.mean()
    assert np.abs(short - full).mean() < 0.002 * full.mean()


@pytest.mark.parametrize("shape", [days, walk, spikes])
def test_a_delay_far_below_the_interval_is_not_followed_pass_by_pass(shape, monkeypatch):
    monkeypatch.setattr(guest_need_module, "reported_pages", None)
    full, short = both(made(shape), REPORTINGS[1])

    assert abs(short.mean() - full.mean()) < 0.001 * full.mean()


def test_what_is_free_throughout_is_not_needed():
    series = series_of([900, 900, 700, 700], step_s=60)
    need = series_need(series, REPORTINGS[1])

    assert (need.pages * PAGE_BYTES).tolist() == used_bytes([900, 900, 700, 700]).tolist()
    assert need.reportable_pages.tolist() == series.columns["free_pages"].tolist()


def test_of_what_is_freed_between_two_samples_the_part_that_the_delay_is_of_the_interval_waits():
    """50 huge pages, one pass, a delay of 2 s in 60 s."""
    series = series_of([1000] * 9 + [1050] * 9, step_s=60)
    need = series_need(series, REPORTINGS[0])

    waiting = need.pages * PAGE_BYTES - used_bytes([1000] * 9 + [1050] * 9)
    assert waiting[[8, 10]].tolist() == [0, 0]
    # Of orders 9 and 10, each of whose last block may be part of one.
    assert 50 * 512 // 30 <= waiting[9] // PAGE_BYTES <= 54 * 512 // 30


def test_without_room_to_report_nothing_is_reported_and_what_was_taken_is_lost():
    """A report of 64 blocks of 2 MiB needs more than as many to be free."""
    large = Reporting(9, NANOSECONDS, 64)
    free = [200, 200, 40, 20, 60, 30, 200, 200]
    need = series_need(series_of(free, step_s=60), large)

    reported = series_of(free).columns["total_bytes"] // PAGE_BYTES - need.pages
    # What swings, 20 huge pages by the median of the changes, is met unreported once in 60 times.
    assert reported[0] == 200 * 512
    assert 199 * 512 < reported[1] < 200 * 512
    assert (np.diff(reported[1:6]) <= 0).all()
    assert reported[5] <= 20 * 512
    assert reported[7] > 190 * 512


@pytest.mark.parametrize("capacity", [1, 7, 32, 1024])
def test_the_budget_of_a_pass_is_the_kernels(capacity):
    """The short way has it for many lists at once."""
    blocks = np.arange(0, 100_000, 37)
    at_once = guest_need_module.blocks_at_once(blocks, capacity)

    expected = [full_reports(int(each), capacity) * capacity for each in blocks]
    assert at_once.tolist() == expected


def test_room_to_report_is_the_kernels():
    pages = np.arange(16_000, 17_000)
    has_room = guest_need_module.have_room(pages, 150, Reporting(9, 1, 32))

    expected = [has_room_to_report(int(each), 150, 9, 32) for each in pages]
    assert has_room.tolist() == expected


def test_a_series_that_is_followed_is_followed_the_less_often_the_longer_it_is():
    slow = Reporting(9, 60 * NANOSECONDS, 32)
    runs = guest_need_module.few_runs
    short, long = (series_of([1, 2] * size, step_s=60) for size in (500, 10_000))

    assert len(runs(short)) == 16
    assert len(runs(long)) == 1
    assert len(runs(series_of([1, 2] * 2000))) == 4
    assert {run % 4 for run in runs(series_of([1, 2] * 2000))} == {
        runs(series_of([1, 2] * 2000))[0] % 4
    }
    assert series_need(long, slow).pages.tolist() == series_need(long, slow).pages.tolist()
