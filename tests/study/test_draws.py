"""Who the guests are: by weight, in turn, at moments of their own, whatever is asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.naive import naive_study
from tests.study.made_studies import first, kind_of, series_of_moments, study_of
from workbench.study.draws import drawn_guests
from workbench.study.timeline import timeline_of


def drawn(study, count, seed=1):
    """The first guests of a study."""
    return first(drawn_guests(study, timeline_of(study), seed), count)


def kinds_of(*members, **others):
    """A kind with a member for each of these lengths, in minutes."""
    made = [series_of_moments(moments, f"m{number}") for number, moments in enumerate(members)]
    return kind_of(*made, **others)


@given(weights=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_kinds_take_turns_by_their_weights(weights):
    """Whenever all weights have had their turn, each kind has had exactly its part."""
    study = study_of(*(kinds_of(3, weight=weight) for weight in weights))
    kinds = [guest.kind for guest in drawn(study, 3 * sum(weights))]

    for turn in range(3):
        part = kinds[turn * sum(weights) : (turn + 1) * sum(weights)]
        assert [part.count(kind) for kind in range(len(weights))] == weights
    assert kinds == naive_study.turns(weights, len(kinds))


def test_kinds_of_weights_3_and_1_do_not_follow_in_blocks():
    study = study_of(kinds_of(3, weight=3), kinds_of(3, weight=1))

    assert [guest.kind for guest in drawn(study, 8)] == [0, 0, 1, 0, 0, 0, 1, 0]


def test_every_member_has_its_turn_before_any_has_its_second():
    study = study_of(kinds_of(*[4] * 7))
    members = [guest.member for guest in drawn(study, 70)]

    rounds = [members[turn : turn + 7] for turn in range(0, 70, 7)]
    assert all(sorted(each) == list(range(7)) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


@given(count=st.integers(1, 30), seed=st.integers(0, 9))
def test_a_guest_does_not_depend_on_how_many_are_asked_for(count, seed):
    study = study_of(kinds_of(5, 9, weight=2), kinds_of(4, guests_per_phase=3))

    assert drawn(study, count, seed) == drawn(study, 40, seed)[:count]


def test_moments_are_uniform_over_the_members_own_time():
    study = study_of(kinds_of(10, 1000))
    shifts = {0: [], 1: []}
    for guest in drawn(study, 8000):
        shifts[guest.member].append(guest.shift_moments)

    counts = Counter(shifts[0])
    assert set(counts) == set(range(10))
    # Of 4,000 throws a tenth each: six standard deviations are 114.
    assert all(abs(number - 400) < 114 for number in counts.values())
    assert max(shifts[1]) >= 990
    assert abs(np.mean(shifts[1]) - 499.5) < 30


def test_guests_that_follow_each_other_share_a_moment():
    study = study_of(kinds_of(600, 600, guests_per_phase=3))
    shifts = [guest.shift_moments for guest in drawn(study, 30)]

    groups = [set(shifts[group : group + 3]) for group in range(0, 30, 3)]
    assert all(len(group) == 1 for group in groups)
    assert len(set().union(*groups)) > 5


def test_recorded_guests_are_not_shifted():
    study = study_of(kinds_of(9, 9, recorded=True))

    assert {guest.shift_moments for guest in drawn(study, 20)} == {0}


def test_seeds_draw_differently_and_equal_seeds_alike():
    study = study_of(kinds_of(*[500] * 5))

    assert drawn(study, 20, seed=1) == drawn(study, 20, seed=1)
    assert drawn(study, 20, seed=1) != drawn(study, 20, seed=2)
