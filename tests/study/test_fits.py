"""How many guests fit, from rows that are written by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from tests.study.made_studies import kind_of, series_needing, study_of
from workbench.errors import InputError
from workbench.study.fits import Fit, Sums, fit_of, sums_of
from workbench.units import GIB


def rows_of(seed, over, *, peaks=None, moments=10):
    """Rows of a seed on one host: at how many moments memory is short, by number of guests."""
    return pd.DataFrame(
        {
            "seed": seed,
            "host": 0,
            "variant": 0,
            "guests": range(1, len(over) + 1),
            "over_moments": over,
            "moments": moments,
            "peaks_bytes": peaks or [GIB] * len(over),
            "swap_out_at_least_bytes": [100] * len(over),
        }
    )


def fitted(*seeds, share_of_time=0.5, peaks=None, moments=10, **options):
    """Fit guests on a host of 64 GiB."""
    study = study_of(
        kind_of(series_needing(GIB, GIB)),
        variants=(),
        seeds=tuple(range(len(seeds))),
        share_of_time=share_of_time,
    )
    together = pd.concat(
        [rows_of(seed, over, peaks=peaks, moments=moments) for seed, over in enumerate(seeds)]
    )
    sums = sums_of(study, together.sample(frac=1, random_state=1))[0, 0]
    chosen = {"drain_seconds": 0.0, "swap_in_guests": None} | options
    return fit_of(sums, study.hosts[0], study.limit, **chosen)


def test_behind_the_last_number_of_a_seed_memory_is_short_all_the_time():
    """At 4 guests 10 and 2 of 20 moments, though the first seed ends at 3."""
    assert fitted([0, 0, 10], [0, 0, 0, 2, 10])[:3] == (3, 2, 4)


def test_every_smaller_number_has_to_fit_too():
    assert fitted([0, 6, 0, 0, 10]).guests == 1


@pytest.mark.parametrize(("share", "guests"), [(0.9, 2), (0.8, 3), (1.0, 1), (0.1, 4)])
def test_the_limit_is_kept_to_the_moment(share, guests):
    """0.9 as a decimal number, not as the nearest binary one."""
    assert fitted([0, 1, 2, 9, 10], share_of_time=share).guests == guests


@pytest.mark.parametrize("share", [2 / 3, 0.1 + 0.2, 1 - 1e-15, 0.9999999999999, 1 / 3])
def test_a_limit_of_many_digits_is_kept_to_the_moment(share):
    """Of a week a minute, in a study of four seeds: against whole numbers without an end."""
    moments, allowed = 10_080, 1 - Fraction(str(share))
    most = math.floor(moments * allowed)
    over = [0, 0, most, most + 1, moments]

    found = fitted(*[over] * 4, share_of_time=share, moments=moments)
    assert found[:3] == (3, 3, 3)


def test_the_mean_of_very_large_sums_is_exact():
    columns = {"mean_bytes": np.full((4, 1), 2**62 - 1)}

    assert Sums(columns, np.ones(4, np.int64), 1).mean("mean_bytes", 1) == float(2**62 - 1)


def test_peaks_are_counted_by_themselves():
    peaks = [30 * GIB, 64 * GIB, 65 * GIB]

    assert fitted([0, 0, 0], peaks=peaks).guests_at_peaks == 2


def test_what_is_reached_first_limits():
    assert fitted([0, 0, 10], share_of_time=1.0) == Fit(2, 2, 2, 3, "memory")
    assert fitted([0, 0, 10], share_of_time=1.0, swap_in_guests=1) == Fit(1, 1, 1, 1, "swap_in")
    assert fitted([0, 0, 10], share_of_time=1.0, swap_in_guests=2).limited_by == "memory"


def test_where_even_as_many_as_are_counted_fit_nothing_limits():
    assert fitted([0] * 10_000) == Fit(10_000, 10_000, 10_000, 10_000, "nothing")


def test_missing_seeds_are_named():
    study = study_of(kind_of(series_needing(GIB, GIB)), variants=(), seeds=(0, 7))

    with pytest.raises(InputError, match=r"made: sums for host 0 under .* expected .* seeds 0, 7"):
        sums_of(study, rows_of(0, [0, 10]))
