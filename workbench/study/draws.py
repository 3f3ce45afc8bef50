"""Who the guests of a host are, and when each of them does what it does: drawn for one seed.

Guest number n is drawn after guest number n - 1, so it does not depend on how many are asked for;
nor on what is compared, so that all of it is compared for the same guests at the same moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.study.timeline import span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.study.study import GuestKind, Study
    from workbench.study.timeline import Timeline


class Drawn(NamedTuple):
    """One guest of a host.

    Attributes
    ----------
    number
        From 1.
    kind, member
        Indexes into `Study.guests` and `GuestKind.members`.
    shift_moments
        At moment m it does what it was seen to do at moment m + shift of its recording, which
        begins anew after its end.
    """

    number: int
    kind: int
    member: int
    shift_moments: int


def drawn_guests(study: Study, timeline: Timeline, seed: int) -> Iterator[Drawn]:
    """Draw guest after guest, without end.

    Kinds take turns by their weights, without chance.  The members of a kind follow in a random
    order, and when all had their turn in another one.  A kind with random phases draws a moment for
    every `guests_per_phase` of its guests that follow each other.
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed,))))
    kinds = [_KindInTurn(kind, timeline, random) for kind in study.guests]
    turns = [0] * len(kinds)
    number = 0
    while True:
        number += 1
        turns = [turn + kind.weight for turn, kind in zip(turns, study.guests, strict=True)]
        chosen = turns.index(max(turns))
        turns[chosen] -= sum(kind.weight for kind in study.guests)
        yield Drawn(number, chosen, *kinds[chosen].next_guest())


class _KindInTurn:
    """A kind of guests, as far as they were drawn."""

    def __init__(self, kind: GuestKind, timeline: Timeline, random: np.random.Generator) -> None:
        self._is_random = not kind.is_recorded
        self._guests_per_phase = kind.guests_per_phase
        self._moments = [span_of(member).moments(timeline.step_ns) for member in kind.members]
        self._random = random
        self._order: list[int] = []
        self._moment = 0
        self._guests = 0

    def next_guest(self) -> tuple[int, int]:
        """Give its member, and by how many moments it is shifted."""
        if not self._order:
            self._order = [int(member) for member in self._random.permutation(len(self._moments))]
        member = self._order.pop(0)
        moments = self._moments[member]
        if self._is_random and self._guests % self._guests_per_phase == 0:
            self._moment = int(self._random.integers(moments))
        self._guests += 1
        return member, self._moment % moments
