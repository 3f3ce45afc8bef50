"""Free page reporting: what becomes of the ranges that the driver reports.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_handle_report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.discard import discard_range
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.balloon import Balloon
    from workbench.model.balloon.element import Element
    from workbench.model.balloon.queue import VirtQueue

_MANY: Final = 32
"""More ranges than the reporting queue has places; only an indirect table holds so many."""


def handle_report(balloon: Balloon, queue: VirtQueue) -> None:
    """Serve the reporting queue: each element on its own, and one interrupt decision for each."""
    device = balloon.device
    served = 0
    while (element := device.pop(queue)) is not None:
        if balloon.is_inhibited():
            balloon.tally[rule.REPORT_INHIBITED] += 1
        elif balloon.poison_val:
            balloon.tally[rule.REPORT_POISONED] += 1
        else:
            _discard_pieces(balloon, element)
        device.push(queue, element, 0)
        device.notify(queue)
        served += 1
    if served > 1:
        balloon.tally[rule.REPORT_ELEMENTS] += 1


def _discard_pieces(balloon: Balloon, element: Element) -> None:
    tally = balloon.tally
    if element.out_pieces:
        tally[rule.REPORT_READABLE] += 1
    if len(element.in_pieces) > _MANY:
        tally[rule.REPORT_MANY] += 1
    for piece in element.in_pieces:
        block = piece.block
        if block is None:
            tally[rule.REPORT_BAD_ADDRESS] += 1
            balloon.device.trace.append(("bad_addr", piece.address))
        elif (piece.offset_bytes | piece.length_bytes) % block.page_bytes:
            huge = block.page_bytes > PAGE_BYTES
            tally[rule.REPORT_UNALIGNED_HUGE if huge else rule.REPORT_UNALIGNED] += 1
        else:
            tally[rule.REPORT_DISCARDS] += 1
            if balloon.has_page_poison():
                tally[rule.REPORT_POISON_ZERO] += 1
            discard_range(balloon.device, block, piece.offset_bytes, piece.length_bytes)
