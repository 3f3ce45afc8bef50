"""Which number a Linux driver takes each queue of the balloon for, and which QEMU gave it.

QEMU numbers the queues of the features that it offers, Linux those of the features that were
negotiated.  virtio 1.2, 5.5.2 gives every queue a fixed number, which neither keeps to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.balloon.offer import Queue
from workbench.model.negotiation import has
from workbench.schema import Feature

if TYPE_CHECKING:
    from workbench.model.balloon.offer import Offer

FEATURE_OF_QUEUE: Final[dict[Queue, Feature | None]] = {
    Queue.INFLATE: None,
    Queue.DEFLATE: None,
    Queue.STATS: Feature.STATS_VQ,
    Queue.HINT: Feature.FREE_PAGE_HINT,
    Queue.REPORT: Feature.REPORTING,
}
"""The queues in the driver's order, each with the feature that it needs.

Source: Linux drivers/virtio/virtio_balloon.c, enum virtio_balloon_vq and init_vqs().
"""


def driver_queues(features: int) -> tuple[Queue, ...]:
    """List the queues that a Linux driver sets up, in the order of the numbers it gives them.

    A queue whose feature was not negotiated has no name, and the transport passes over it without
    using up a number.

    Parameters
    ----------
    features
        Those in force.

    Source: Linux drivers/virtio/virtio_balloon.c, init_vqs(); drivers/virtio/virtio_pci_common.c,
    vp_find_vqs_msix() and vp_find_vqs_intx().
    """
    return tuple(
        queue for queue, bit in FEATURE_OF_QUEUE.items() if bit is None or has(features, bit)
    )


def mistaken_queues(features: int, offer: Offer) -> dict[int, tuple[Queue, Queue]]:
    """Find the numbers that mean one queue to the driver and another to the device.

    None with a Linux guest on QEMU 7.2: REPORTING is all that Linux ever drops, and its queue is
    the last.  A driver that kept REPORTING and not FREE_PAGE_HINT would kick number 3 for its
    reports, where QEMU takes them for hints and discards nothing.  The series as posted has the
    two the other way round, so that they are mistaken for each other where both are negotiated.

    Returns
    -------
    dict
        By number: what the driver takes the queue for, and what it is.
    """
    pairs = zip(driver_queues(features), offer.queues, strict=False)
    return {number: pair for number, pair in enumerate(pairs) if pair[0] is not pair[1]}
