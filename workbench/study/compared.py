"""What is compared: every combination of the settings that a study names."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

from workbench.replay import Device, Guest, Settings
from workbench.study.checks import MOST_VARIANTS
from workbench.study.rules import WrongStudyError
from workbench.study.study import WITHOUT_REPORTING, Variant
from workbench.trace import GuestSeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from workbench.study.study import GuestKind

_OF_REPORTS: Final = ("reporting_order", "reporting_delay_ns", "reporting_capacity", "poison_val")
"""Settings of a guest that make no difference where it does not report."""


def variants(
    *,
    device: Mapping[str, Sequence[object]],
    guest: Mapping[str, Sequence[object]],
    inhibited_share: Sequence[float] = (0.0,),
) -> tuple[Variant, ...]:
    """Combine settings: without reporting first, then every combination, the last varied fastest.

    Parameters
    ----------
    device, guest
        The values to compare of each setting.

    Raises
    ------
    WrongStudyError
        There are too many.
    """
    count = math.prod(map(len, (*device.values(), *guest.values(), inhibited_share)))
    if count > MOST_VARIANTS:
        raise WrongStudyError(
            f"{count:,} combinations are compared, expected {MOST_VARIANTS:,} at most; "
            "compare fewer values",
            ("compare",),
        )
    devices = [Device(**chosen) for chosen in _combinations(device)]
    guests = [Guest(**chosen) for chosen in _combinations(guest)]
    combined = (_variant(*each) for each in itertools.product(inhibited_share, devices, guests))
    return tuple(dict.fromkeys((WITHOUT_REPORTING, *combined)))


def _combinations(lists: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def _variant(share: float, device: Device, guest: Guest) -> Variant:
    """Make a variant; without reporting, leave out what makes no difference then."""
    if device.free_page_reporting is False:
        guest = guest.model_copy(update=dict.fromkeys(_OF_REPORTS))
        share = 0.0
    return Variant(settings=Settings(device=device, guest=guest), inhibited_share=float(share))


def with_page_cache(variants: Iterable[Variant], kinds: Iterable[GuestKind]) -> tuple[Variant, ...]:
    """Add, where any series knows its page cache, what it would be to have it given back."""
    found = tuple(variants)
    reporting = next((each for each in found if each.reports), None)
    members = (member for kind in kinds for member in kind.members)
    if reporting is None or not any(_knows_page_cache(member) for member in members):
        return found
    more = Variant(
        settings=reporting.settings,
        inhibited_share=reporting.inhibited_share,
        page_cache_given_back=True,
    )
    return (*found, more)


def _knows_page_cache(member: object) -> bool:
    return isinstance(member, GuestSeries) and member.knows_page_cache
