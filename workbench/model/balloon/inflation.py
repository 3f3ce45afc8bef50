"""Inflate and deflate: the classic balloon, page by page.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_handle_output, balloon_inflate_page,
balloon_deflate_page).
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.discard import discard_range
from workbench.model.balloon.offer import Queue
from workbench.schema import Feature
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.balloon import Balloon
    from workbench.model.balloon.element import Element
    from workbench.model.balloon.memory import Place, RamBlock
    from workbench.model.balloon.queue import VirtQueue
    from workbench.model.balloon.rules import Tally

_PFN_BYTES: Final = 4
_PFN_SHIFT: Final = 12
_FAR_SHIFT: Final = 32
"""From 4 GiB on."""
_HAS_DEFLATE_ON_OOM: Final = 1 << int(Feature.DEFLATE_ON_OOM)

HUGE_WARNING: Final = "Balloon used with backing page size > 4kiB, this may not be reliable"


class PartialPage:
    """The pages of one huge page that were inflated so far (PartiallyBalloonedPage)."""

    def __init__(self) -> None:
        """Start with none."""
        self.block: RamBlock | None = None
        self.first_bytes = 0
        self.pages: set[int] = set()

    def add(self, block: RamBlock, offset_bytes: int, tally: Tally) -> bool:
        """Add a page, forgetting those of another huge page.  Returns whether all are there."""
        first = offset_bytes - offset_bytes % block.page_bytes
        if (self.block, self.first_bytes) != (block, first):
            if self.pages:
                tally[rule.INFLATE_HUGE_FORGOTTEN] += 1
            self.block, self.first_bytes = block, first
            self.pages.clear()
        if offset_bytes in self.pages:
            tally[rule.INFLATE_HUGE_AGAIN] += 1
        self.pages.add(offset_bytes)
        return len(self.pages) == block.page_bytes // PAGE_BYTES


def handle_output(balloon: Balloon, queue: VirtQueue) -> None:
    """Serve the inflate or the deflate queue."""
    device = balloon.device
    while (element := device.pop(queue)) is not None:
        consumed = _serve(balloon, queue, element)
        if consumed:
            balloon.tally[rule.INFLATE_LENGTH] += 1
        device.push(queue, element, 0 if device.traits.lengths_are_zero else consumed)
        device.notify(queue)


def _serve(balloon: Balloon, queue: VirtQueue, element: Element) -> int:
    """Go through the page frame numbers.  Returns how many bytes of them there were."""
    device = balloon.device
    tally = balloon.tally
    partial = PartialPage()
    inflated: set[int] = set()
    consumed = 0
    _tally_element(balloon, element)
    while len(data := element.read_out(consumed, _PFN_BYTES)) == _PFN_BYTES:
        consumed += _PFN_BYTES
        address = int.from_bytes(data, "little") << _PFN_SHIFT
        place = device.system_memory.find(address)
        if address >> _FAR_SHIFT:
            tally[rule.INFLATE_FAR] += 1
        if place is None or not place.region.writable:
            if queue.kind is Queue.DEFLATE:
                tally[rule.DEFLATE_BAD_ADDRESS] += 1
            elif place is None:
                tally[rule.INFLATE_BAD_ADDRESS] += 1
            else:
                tally[rule.INFLATE_FIRMWARE] += 1
            device.trace.append(("bad_addr", address))
            continue
        device.trace.append(("handle_output", place.region.block.name, address))
        if balloon.is_inhibited():
            tally[rule.INFLATE_INHIBITED] += 1
        elif queue.kind is Queue.INFLATE:
            if not address:
                tally[rule.INFLATE_FIRST_PAGE] += 1
            if address in inflated and place.region.block.page_bytes == PAGE_BYTES:
                tally[rule.INFLATE_AGAIN] += 1
            inflated.add(address)
            _inflate_page(balloon, place, partial)
        else:
            # madvise(MADV_WILLNEED): nothing that anybody can see, failure included.
            tally[rule.DEFLATE] += 1
    if data:
        tally[rule.INFLATE_TRAILING] += 1
    if partial.pages:
        tally[rule.INFLATE_HUGE_ENDS] += 1
    if inflated and not balloon.num_pages:
        tally[rule.INFLATE_UNASKED] += 1
    return consumed


def _tally_element(balloon: Balloon, element: Element) -> None:
    """Count what is odd about an element as a whole."""
    tally = balloon.tally
    if element.in_pieces:
        tally[rule.INFLATE_WRITABLE if element.out_pieces else rule.INFLATE_NOTHING] += 1
    ends = accumulate(piece.length_bytes for piece in element.out_pieces[:-1])
    if any(end % _PFN_BYTES for end in ends):
        tally[rule.INFLATE_STRADDLES] += 1
    if balloon.device.guest_features & _HAS_DEFLATE_ON_OOM:
        tally[rule.DEFLATE_ON_OOM] += 1


def _inflate_page(balloon: Balloon, place: Place, partial: PartialPage) -> None:
    block = place.region.block
    if block.page_bytes == PAGE_BYTES:
        balloon.tally[rule.INFLATE_DISCARDS] += 1
        if balloon.poison_val:
            balloon.tally[rule.INFLATE_POISONED] += 1
        discard_range(balloon.device, block, place.offset_bytes, PAGE_BYTES)
        return
    if balloon.say_once(HUGE_WARNING):
        balloon.tally[rule.INFLATE_HUGE_WARNS] += 1
    if partial.add(block, place.offset_bytes, balloon.tally):
        balloon.tally[rule.INFLATE_HUGE_WHOLE] += 1
        discard_range(balloon.device, block, partial.first_bytes, block.page_bytes)
        partial.block = None
        partial.pages.clear()
    else:
        balloon.tally[rule.INFLATE_HUGE_PART] += 1
