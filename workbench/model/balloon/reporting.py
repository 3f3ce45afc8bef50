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
            if not all(balloon.poison_val.to_bytes(4)):
                balloon.tally[rule.REPORT_POISONED_IN_PART] += 1
        else:
            _discard_pieces(balloon, queue, element)
        device.push(queue, element, 0)
        device.notify(queue)
        served += 1
    if served and not device.vm_running:
        balloon.tally[rule.REPORT_STOPPED] += 1
    if served and balloon.hinting.migrating:
        balloon.tally[rule.REPORT_MIGRATING] += 1
    if served > 1:
        balloon.tally[rule.REPORT_ELEMENTS] += 1


def _discard_pieces(balloon: Balloon, queue: VirtQueue, element: Element) -> None:
    tally = balloon.tally
    if element.out_pieces:
        tally[rule.REPORT_READABLE if element.in_pieces else rule.REPORT_NOTHING] += 1
    if len(element.in_pieces) > _MANY:
        tally[rule.REPORT_MANY] += 1
    skipped = False
    discarded: set[int] = set()
    for piece in element.in_pieces:
        block = piece.block
        if block is None:
            tally[rule.REPORT_BAD_ADDRESS] += 1
            balloon.device.trace.append(("bad_addr", piece.address))
            skipped = True
            continue
        if (piece.address ^ piece.offset_bytes) % block.page_bytes:
            tally[rule.REPORT_OFFSET] += 1
        if (piece.offset_bytes | piece.length_bytes) % block.page_bytes:
            huge = block.page_bytes > PAGE_BYTES
            tally[rule.REPORT_UNALIGNED_HUGE if huge else rule.REPORT_UNALIGNED] += 1
            skipped = True
            continue
        tally[rule.REPORT_DISCARDS] += 1
        if skipped:
            tally[rule.REPORT_GOES_ON] += 1
        if balloon.has_page_poison():
            tally[rule.REPORT_POISON_ZERO] += 1
        if piece.address in discarded:
            tally[rule.REPORT_AGAIN] += 1
        if piece.address <= queue.used_at < piece.address + piece.length_bytes:
            tally[rule.REPORT_OWN_RING] += 1
        discarded.add(piece.address)
        discard_range(balloon.device, block, piece.offset_bytes, piece.length_bytes)
    if discarded:
        tally[rule.REPORT_LENGTH] += 1
