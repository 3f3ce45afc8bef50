"""The moments of a study."""

from __future__ import annotations

import pytest

from tests.study.made_studies import MINUTE_NS, kind_of, series_needing, study_of
from workbench.errors import UsageError
from workbench.study.timeline import Span, Timeline, span_of, timeline_of


def seen(minutes, start=0, name="made"):
    """A guest that was seen for some minutes."""
    return series_needing(*[0] * minutes, start_ns=start * MINUTE_NS, name=name)


def test_the_last_sample_holds_as_long_as_most_do():
    assert span_of(seen(10, start=3)) == Span(3 * MINUTE_NS, 13 * MINUTE_NS)


def test_without_recorded_guests_the_moments_are_those_of_the_longest():
    study = study_of(kind_of(seen(10), seen(1440)), kind_of(seen(7)))

    assert timeline_of(study) == Timeline(MINUTE_NS, 1440, None)


def test_recorded_guests_are_compared_while_all_were_seen():
    recorded = kind_of(seen(100, start=10), seen(100, start=40), recorded=True)
    study = study_of(recorded, kind_of(seen(1000)))

    assert timeline_of(study) == Timeline(MINUTE_NS, 70, 40 * MINUTE_NS)


def test_recorded_guests_that_never_meet_are_refused_by_name():
    early, late = seen(10, name="early"), seen(10, start=9, name="late")
    with pytest.raises(UsageError, match=r"early of guest 'guest' ends at 600 s and late"):
        study_of(kind_of(early, late, recorded=True))
