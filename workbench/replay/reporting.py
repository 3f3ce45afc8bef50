"""How a guest reports: in the capture, and under other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.model import GuestPoison, negotiate
from workbench.model.guest import NO_REPORTING
from workbench.units import HUGE_PAGE_ORDER

if TYPE_CHECKING:
    from workbench.replay.facts import MachineFacts
    from workbench.replay.settings import Settings

LINUX_DELAY_NS: Final = 2_000_000_000
"""Linux 6.1 mm/page_reporting.c, PAGE_REPORTING_DELAY: of a guest that does not say."""

LINUX_CAPACITY: Final = 32
"""Linux 6.1 include/linux/page_reporting.h, PAGE_REPORTING_CAPACITY."""


class Reporting(NamedTuple):
    """How a guest reports; its order is NO_REPORTING if it does not."""

    order: int
    delay_ns: int
    capacity: int


def reporting_under(machine: MachineFacts, settings: Settings) -> Reporting:
    """Say how the guest of a machine reports under these settings.

    One that does not report has no delay of its own: no two such differ.
    """
    if not reports_under(machine, settings):
        return Reporting(NO_REPORTING, LINUX_DELAY_NS, LINUX_CAPACITY)
    guest = settings.guest
    order = _first(guest.reporting_order, machine.reporting_order, HUGE_PAGE_ORDER)
    return Reporting(
        order=order,
        delay_ns=_first(guest.reporting_delay_ns, machine.reporting_delay_ns, LINUX_DELAY_NS),
        capacity=_first(guest.reporting_capacity, machine.reporting_capacity, LINUX_CAPACITY),
    )


def reports_under(machine: MachineFacts, settings: Settings) -> bool:
    """Tell whether a guest that reports in the capture still does under these settings.

    A device that nobody knows is taken to offer PAGE_POISON, as QEMU does if it is not told.
    """
    if not machine.reports or settings.device.free_page_reporting is False:
        return False
    offers_page_poison = settings.device.page_poison
    if offers_page_poison is None:
        offers_page_poison = machine.offers_page_poison
    if offers_page_poison == machine.offers_page_poison and not clears_anew(machine, settings):
        return True
    kept = negotiate(
        guest_poison(machine, settings),
        offers_page_poison=offers_page_poison is not False,
        offers_reporting=True,
    )
    return kept.reporting


def clears_anew(machine: MachineFacts, settings: Settings) -> bool:
    """Tell whether a guest clears its memory under these settings, as it did not in the capture."""
    return bool(settings.guest.init_on_free) and not machine.init_on_free


def guest_poison(machine: MachineFacts, settings: Settings) -> GuestPoison:
    """Tell what the guest does with free pages: from what is asked, or what the driver kept.

    One that keeps PAGE_POISON fills them, one that reports without it does not; and one that does
    not report may have dropped REPORTING because it fills them.  Not with what, which is no matter
    to what the driver keeps.
    """
    fills_free_pages = machine.negotiated_page_poison or not machine.reports
    return GuestPoison(
        init_on_free=fills_free_pages or clears_anew(machine, settings), page_poisoning=False
    )


def _first(*choices: int | None) -> int:
    """Give the first that was chosen; the last is."""
    return next(choice for choice in choices if choice is not None)
