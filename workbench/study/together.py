"""What the first guest of a host, the first two, the first three ... need together.

All sums are of whole pages in int64, so no result depends on an order of additions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import InputError, UsageError
from workbench.study.draws import drawn_guests
from workbench.study.rules import MOST_GUESTS
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from workbench.study.profiles import Profile
    from workbench.study.study import Study
    from workbench.study.timeline import Timeline

    Profiles = Sequence[Sequence[Profile]]

COLUMNS: Final = (
    "seed",
    "host",
    "guests",
    "mean_bytes",
    "p95_bytes",
    "p99_bytes",
    "peak_bytes",
    "peaks_bytes",
    "over_moments",
    "moments",
    "excess_bytes_mean",
    "swap_out_at_least_bytes",
)

_PERCENTS: Final = (95, 99)


def fill_hosts(
    study: Study,
    timeline: Timeline,
    seed: int,
    share: float,
    profiles: Profiles,
    *,
    profiles_inhibited: Profiles | None = None,
) -> dict[str, npt.NDArray[np.int64]]:
    """Add guest after guest, until the largest host is too small at every moment.

    Parameters
    ----------
    share
        Of all guests: those whose discards are inhibited, spread evenly among the others.
    profiles, profiles_inhibited
        Of each member of each kind, in the study's order: under the settings, and with discards
        inhibited besides; the latter are not needed if `share` is 0.

    Returns
    -------
    For each number of guests from 1 on, `MOST_GUESTS` at most, and each host a row of `COLUMNS`:
    seed, host (index into `Study.hosts`), guests; mean_bytes (rounded down), p95_bytes, p99_bytes
    and peak_bytes of what the guests need together, over all moments; peaks_bytes, what they would
    need if all needed most at once; over_moments, at how many of the `moments` that is more than
    the host has for guests; excess_bytes_mean, by how much on the average of all moments (rounded
    down); swap_out_at_least_bytes, what the excess rises by from moment to moment, summed, and from
    the last to the first.

    Raises
    ------
    UsageError
        Profiles are missing, or do not fit the timeline.
    InputError
        No guest needs memory, so any number of them fits.
    """
    _check(study, timeline, share, profiles)
    fraction = Fraction(str(share))
    if fraction and profiles_inhibited is None:
        raise UsageError(
            f"share is {share} and there are no profiles of inhibited guests; profile them"
        )
    _check(study, timeline, share, profiles_inhibited or profiles)
    host_pages = [host.for_guests_bytes // PAGE_BYTES for host in study.hosts]
    together = _Together(timeline.moments)
    rows: list[tuple[int, ...]] = []
    for guest in drawn_guests(study, timeline, seed):
        is_inhibited = is_inhibited_guest(guest.number, fraction)
        chosen = profiles_inhibited if is_inhibited and profiles_inhibited else profiles
        together.add(chosen[guest.kind][guest.member].pages, guest.shift_moments)
        sizes = together.sizes_bytes()
        for host, pages in enumerate(host_pages):
            rows.append((seed, host, guest.number, *sizes, *together.beyond(pages)))
        if guest.number == MOST_GUESTS or together.lowest_pages > max(host_pages):
            break
    table = np.array(rows, np.int64)
    return {name: table[:, column].copy() for column, name in enumerate(COLUMNS)}


def is_inhibited_guest(number: int, share: Fraction) -> bool:
    """Tell whether guest `number` (from 1) is one of those whose discards are inhibited."""
    return number * share // 1 > (number - 1) * share // 1


class _Beyond(NamedTuple):
    """What does not fit into a host: the last columns."""

    over_moments: int
    moments: int
    excess_bytes_mean: int
    swap_out_at_least_bytes: int


class _Together:
    """The sum of what guests need, at each moment, in pages."""

    def __init__(self, moments: int) -> None:
        self._pages = np.zeros(moments, np.int64)
        self._sorted = np.zeros(moments, np.int64)
        self._ranks = [-(-moments * percent // 100) - 1 for percent in _PERCENTS]
        self._peaks = 0
        self._total = 0
        self._highest = 0
        self.lowest_pages = 0

    def add(self, need: npt.NDArray[np.int32], shift: int) -> None:
        """Add a guest that begins `shift` moments after the beginning of what it does in a loop."""
        looped = np.concatenate((need[shift:], need[:shift])) if shift else need
        whole = self._pages.size // need.size * need.size
        self._pages[:whole].reshape(-1, need.size)[:] += looped
        rest = self._pages[whole:]
        rest += looped[: rest.size]
        self._peaks += int(need.max())

    def sizes_bytes(self) -> tuple[int, ...]:
        """Give the mean, the percentiles and the peak of the sum, and the sum of the peaks."""
        # Values that were there: the percentiles of the "inverted_cdf".
        self._sorted[:] = self._pages
        self._sorted.partition(self._ranks)
        self.lowest_pages = int(self._sorted[: self._ranks[0] + 1].min())
        self._highest = int(self._sorted[self._ranks[-1] :].max())
        self._total = int(self._pages.sum())
        percentiles = [int(self._sorted[rank]) * PAGE_BYTES for rank in self._ranks]
        mean = self._total * PAGE_BYTES // self._pages.size
        return mean, *percentiles, self._highest * PAGE_BYTES, self._peaks * PAGE_BYTES

    def beyond(self, host_pages: int) -> _Beyond:
        """Say how much of the sum is beyond what a host has."""
        moments = self._pages.size
        if self._highest <= host_pages:
            return _Beyond(0, moments, 0, 0)
        excess = np.maximum(self._pages - host_pages, 0)
        rises = np.diff(excess, append=excess[:1])
        return _Beyond(
            over_moments=int(np.count_nonzero(excess)),
            moments=moments,
            excess_bytes_mean=int(excess.sum()) * PAGE_BYTES // moments,
            swap_out_at_least_bytes=int(np.maximum(rises, 0).sum()) * PAGE_BYTES,
        )


def _check(study: Study, timeline: Timeline, share: float, profiles: Profiles) -> None:
    """Refuse what the sums below would take for something else."""
    if not 0 <= share <= 1:
        raise UsageError(f"share is {share}, expected 0 to 1")
    sizes = [len(members) for members in profiles]
    if sizes != [len(kind.members) for kind in study.guests]:
        raise UsageError(
            f"there are profiles of {sizes} guests, expected one of each member of each kind: "
            f"{[len(kind.members) for kind in study.guests]}"
        )
    for kind, members in zip(study.guests, profiles, strict=True):
        for member, each in zip(kind.members, members, strict=True):
            expected = timeline.moments if kind.is_recorded else each.pages.size
            if not each.pages.size:
                raise UsageError(f"{kind.name}: the profile of {member.name} is empty; profile it")
            if each.pages.size != expected:
                raise UsageError(
                    f"{kind.name}: the profile of {member.name} has {each.pages.size} values, "
                    f"expected {expected}, one for each moment of the timeline; profile it again"
                )
    if not any(each.pages.any() for members in profiles for each in members):
        raise InputError(
            f"{study.name}: no guest needs any memory, so any number of them fits; check total "
            "and free memory of their series"
        )
