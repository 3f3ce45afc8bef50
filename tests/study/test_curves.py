"""The curves of a study say the same as its answers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.study.made_studies import computed, kind_of, series_needing, study_of
from workbench import plot
from workbench.errors import UsageError
from workbench.study import curves
from workbench.study.answers import answers
from workbench.study.sensitivity import sensitivity
from workbench.units import GIB

UP, DOWN = [4 * GIB] * 5 + [GIB] * 15, [2 * GIB] * 10 + [3 * GIB] * 10


@pytest.fixture(scope="module")
def found():
    """Compute a study: its answers, and both curves."""
    study = study_of(
        kind_of(series_needing(*UP), name="a"),
        kind_of(series_needing(*DOWN), name="b", weight=2),
        hosts=(40 * GIB, 17 * GIB),
        seeds=(1, 2, 3),
    )
    together, facts = computed(study)
    answered = answers(study, together, facts)
    made = (curve(study, together, answered) for curve in (curves.risk, curves.memory))
    return study, answered, *made


def test_as_many_fit_as_the_answers_say(found):
    _, answered, risk, _ = found
    counted = risk.groupby(["host", "label"])["fits"].sum()
    said = answered.set_index(["host", "label"])["guests"]

    assert counted.to_dict() == said.to_dict()


def test_memory_is_short_more_often_the_more_guests_there_are(found):
    _, _, risk, _ = found
    for _, rows in risk.groupby(["host", "label"]):
        assert rows["over_share"].is_monotonic_increasing
        assert rows["guests"].tolist() == list(range(1, len(rows) + 1))
        assert rows["over_share"].iloc[-1] == 1


def test_at_the_number_that_fits_memory_is_short_as_often_as_the_answers_say(found):
    _, answered, risk, _ = found
    shares = risk.set_index(["host", "label", "guests"])["over_share"]
    for row in answered.to_dict("records"):
        assert shares[row["host"], row["label"], row["guests"]] == row["over_share"]


def test_of_so_many_guests_the_memory_is_what_the_answers_say(found):
    _, answered, _, memory = found
    sizes = memory.set_index(["label", "guests"])
    for row in answered.to_dict("records"):
        of_these = sizes.loc[row["label"], row["guests"]]
        for name in ("mean_bytes", "p95_bytes", "p99_bytes", "peak_bytes", "peaks_bytes"):
            assert of_these[name] == pytest.approx(row[name])


def test_sizes_are_in_order(found):
    _, _, _, memory = found
    sizes = memory[["mean_bytes", "p95_bytes", "p99_bytes", "peak_bytes", "peaks_bytes"]]

    assert (np.diff(sizes.to_numpy(), axis=1)[:, 1:] >= 0).all()
    assert (memory["mean_bytes"] <= memory["peak_bytes"]).all()


def test_charts_take_them(found):
    _, answered, risk, memory = found

    assert len(plot.guests_against_risk(risk).axes) == 2
    assert len(plot.memory_of_many(memory).axes) == 1
    assert len(plot.drain_times(answered).axes) == 1

    with pytest.raises(UsageError, match="no setting has two values"):
        plot.sensitivity(sensitivity(answered))
