"""Numbers of queues: Linux counts what was negotiated, QEMU what it offers."""

import itertools

import pytest

from workbench.model import GuestPoison
from workbench.model.balloon.level import Level
from workbench.model.balloon.offer import Offer, Properties, Queue, make_offer
from workbench.model.linux_driver import (
    LINUX_5_7,
    LINUX_5_17,
    LINUX_6_0,
    LINUX_6_1_188,
    LINUX_MM_2026,
)
from workbench.model.negotiation import features_written
from workbench.model.queue_numbers import driver_queues, mistaken_queues

IN_ORDER = [Queue.INFLATE, Queue.DEFLATE, Queue.STATS, Queue.HINT, Queue.REPORT]
BITS = {Queue.STATS: 1 << 1, Queue.HINT: 1 << 3, Queue.REPORT: 1 << 5}

SUBSETS = [set(subset) for size in range(4) for subset in itertools.combinations(BITS, size)]
# Every offer, with everything a driver may keep of it: 27 pairs.
PAIRS = [(offered, kept) for offered in SUBSETS for kept in SUBSETS if kept <= offered]

HINT_AND_REPORTING = Properties(free_page_hint=True, free_page_reporting=True)


def features_of(queues):
    """Give the feature bits of optional queues, among others that have none."""
    return sum(BITS[queue] for queue in queues) | 1 << 4 | 1 << 32


def offer_of(queues):
    """Offer these queues, numbered as QEMU does."""
    numbered = tuple(queue for queue in IN_ORDER if queue not in BITS or queue in queues)
    return Offer(features=features_of(queues), config_bytes=16, queues=numbered)


@pytest.mark.parametrize("kept", SUBSETS)
def test_the_driver_numbers_what_was_negotiated_in_its_order(kept):
    """No number is left out, and no queue is passed over but those that were not negotiated."""
    assert list(driver_queues(features_of(kept))) == [
        queue for queue in IN_ORDER if queue not in BITS or queue in kept
    ]


@pytest.mark.parametrize(("offered", "kept"), PAIRS)
def test_both_sides_agree_unless_an_earlier_queue_is_offered_and_not_negotiated(offered, kept):
    dropped = [IN_ORDER.index(queue) for queue in offered - kept]
    shifted = {queue for queue in kept if any(number < IN_ORDER.index(queue) for number in dropped)}
    mistaken = mistaken_queues(features_of(kept), offer_of(offered))

    assert {driver for driver, _ in mistaken.values()} == shifted


def test_reports_end_in_the_hint_queue_of_a_driver_that_declines_hints():
    mistaken = mistaken_queues(
        features_of({Queue.STATS, Queue.REPORT}), make_offer(HINT_AND_REPORTING)
    )

    assert mistaken == {3: (Queue.REPORT, Queue.HINT)}


GUESTS = [
    GuestPoison(init_on_free=zeroes, page_poisoning=pattern, checks_pattern=checks)
    for zeroes, pattern, checks in itertools.product([False, True], repeat=3)
]
OFFERS = [
    Properties(page_poison=poison, free_page_reporting=reporting, free_page_hint=hint)
    for poison, reporting, hint in itertools.product([False, True], repeat=3)
]
DRIVERS = [LINUX_5_7, LINUX_5_17, LINUX_6_0, LINUX_6_1_188, LINUX_MM_2026]


@pytest.mark.parametrize("properties", OFFERS)
def test_no_linux_guest_mistakes_a_queue_of_this_qemu(properties):
    """It drops nothing with a queue but REPORTING, whose queue is the last."""
    offer = make_offer(properties)
    for guest, driver in itertools.product(GUESTS, DRIVERS):
        features = features_written(guest, offer.features, driver)[-1]
        assert mistaken_queues(features, offer) == {}


def test_linux_mistakes_two_queues_of_the_series_as_posted():
    offer = make_offer(HINT_AND_REPORTING, level=Level.V22)
    plain = GuestPoison(init_on_free=False, page_poisoning=False)
    features = features_written(plain, offer.features, LINUX_5_7)[-1]

    assert mistaken_queues(features, offer) == {
        3: (Queue.HINT, Queue.REPORT),
        4: (Queue.REPORT, Queue.HINT),
    }


def test_linux_hints_to_the_reporting_queue_of_the_series_as_posted():
    """A guest that had to drop REPORTING sets up four queues, and takes the last for hints."""
    properties = Properties(page_poison=False, free_page_hint=True, free_page_reporting=True)
    offer = make_offer(properties, level=Level.V22)
    zeroing = GuestPoison(init_on_free=True, page_poisoning=False)
    features = features_written(zeroing, offer.features, LINUX_5_7)[-1]

    assert mistaken_queues(features, offer) == {3: (Queue.HINT, Queue.REPORT)}
