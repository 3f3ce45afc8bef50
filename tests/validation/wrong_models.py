"""Models that are wrong on purpose, each in one rule, for the comparison to find out.

Each entry changes the model as somebody might have written it who had not read that line of QEMU.
"""

from __future__ import annotations

from tests.validation.wrong_sources import WRONG_SOURCES
from workbench.model.balloon import (
    balloon,
    discard,
    element,
    hinting,
    inflation,
    packed_ring,
    pci,
    reporting,
    split_ring,
    statistics,
    virtio,
)
from workbench.model.balloon.element import Piece
from workbench.units import PAGE_BYTES


def poison_is_ignored(patch):
    """Reports are honoured whatever poison_val is."""
    real = reporting.handle_report

    def handle_report(device, queue):
        kept, device.poison_val = device.poison_val, 0
        real(device, queue)
        device.poison_val = kept

    patch.setattr(balloon, "handle_report", handle_report)


def poison_blocks_inflating(patch):
    """A poisoned guest's balloon is not inflated either."""
    real = inflation._inflate_page

    def inflate_page(device, place, partial):
        if not device.poison_val:
            real(device, place, partial)

    patch.setattr(inflation, "_inflate_page", inflate_page)


def only_the_first_byte_of_poison_counts(patch):
    """poison_val is taken for a byte, as memset would."""
    real = balloon.Balloon.set_config

    def set_config(self, config, written):
        real(self, config, written)
        self.poison_val &= 0xFF

    patch.setattr(balloon.Balloon, "set_config", set_config)


def shadow_is_cleared_by_a_reset(patch):
    """A reset leaves no trace in the config space."""
    real = virtio.VirtioDevice.reset

    def reset(self):
        real(self)
        self.config[:] = bytes(len(self.config))

    patch.setattr(virtio.VirtioDevice, "reset", reset)


def reset_clears_actual(patch):
    """A reset device has no balloon."""
    real = balloon.Balloon.reset

    def reset(self):
        real(self)
        self.actual = self.num_pages = 0

    patch.setattr(balloon.Balloon, "reset", reset)


def alignment_is_not_asked_for(patch):
    """Ranges are cut to whole pages instead of being skipped."""
    real = reporting._discard_pieces

    def discard_pieces(device, queue, item):
        item.in_pieces = [_rounded(piece) for piece in item.in_pieces]
        real(device, queue, item)

    patch.setattr(reporting, "_discard_pieces", discard_pieces)


def _rounded(piece):
    if piece.block is None:
        return piece
    first = -(-piece.offset_bytes // PAGE_BYTES) * PAGE_BYTES
    stop = (piece.offset_bytes + piece.length_bytes) // PAGE_BYTES * PAGE_BYTES
    return Piece(piece.address, max(stop - first, 0), piece.block, first, b"")


def alignment_is_that_of_the_guest_address(patch):
    """Alignment is asked of the guest's address instead of the offset in the block."""
    real = reporting._discard_pieces

    def discard_pieces(device, queue, item):
        aligned = [
            piece
            for piece in item.in_pieces
            if piece.block is None
            or not (piece.address | piece.length_bytes) % piece.block.page_bytes
        ]
        item.in_pieces = aligned
        real(device, queue, item)

    patch.setattr(reporting, "_discard_pieces", discard_pieces)


def alignment_is_always_4_kib(patch):
    """Huge pages are discarded in parts."""

    def discard_pieces(device, queue, item):
        del queue
        for piece in item.in_pieces:
            if piece.block is not None and not piece.offset_bytes % PAGE_BYTES:
                discard.discard_range(
                    device.device, piece.block, piece.offset_bytes, piece.length_bytes
                )

    patch.setattr(reporting, "_discard_pieces", discard_pieces)


def one_interrupt_a_kick(patch):
    """With the event index a kick's elements are announced together, at the end."""

    def handle_report(device, queue):
        last = None
        while (item := device.device.pop(queue)) is not None:
            if not (device.is_inhibited() or device.poison_val):
                reporting._discard_pieces(device, queue, item)
            device.device.push(queue, item, 0)
            last = item
        if last is not None:
            device.device.notify(queue)

    patch.setattr(balloon, "handle_report", handle_report)


def readable_ranges_are_discarded(patch):
    """The direction of a reported descriptor does not matter."""
    real = reporting._discard_pieces

    def discard_pieces(device, queue, item):
        item.in_pieces = [*item.out_pieces, *item.in_pieces]
        real(device, queue, item)

    patch.setattr(reporting, "_discard_pieces", discard_pieces)


def reporting_must_be_negotiated(patch):
    """The reporting queue is dead until its feature is negotiated."""
    real = reporting.handle_report

    def handle_report(device, queue):
        if device.device.guest_features & 1 << 5:
            real(device, queue)

    patch.setattr(balloon, "handle_report", handle_report)


def queues_wait_for_the_driver(patch):
    """No queue is served before DRIVER_OK."""
    real = virtio.VirtioDevice.kick

    def kick(self, number):
        if self.status & virtio.S_DRIVER_OK:
            real(self, number)

    patch.setattr(virtio.VirtioDevice, "kick", kick)


def used_length_is_that_of_the_ranges(patch):
    """The device says that it has written what was reported."""
    real = virtio.VirtioDevice.push

    def push(self, queue, item, used_length):
        del used_length
        real(self, queue, item, sum(piece.length_bytes for piece in item.in_pieces))

    patch.setattr(virtio.VirtioDevice, "push", push)


def bad_addresses_are_all_skipped(patch):
    """Any number of ranges may lie outside memory."""
    real = element.map_descriptor

    def map_descriptor(item, address, length, guest, tally, *, device_writes):
        guest.bounce.in_use = False
        return real(item, address, length, guest, tally, device_writes=device_writes)

    patch.setattr(split_ring, "map_descriptor", map_descriptor)


def descriptors_are_not_split(patch):
    """A range that leaves its block is as bad as one outside memory."""
    real = element._map_directly

    def map_directly(address, length_bytes, guest, tally, *, device_writes):
        piece = real(address, length_bytes, guest, tally, device_writes=device_writes)
        whole = piece is not None and piece.length_bytes == length_bytes
        return piece if whole else None

    patch.setattr(element, "_map_directly", map_directly)


def config_change_sets_one_bit(patch):
    """A configuration change sets the configuration bit of the ISR only."""
    patch.setattr(virtio, "ISR_CONFIG", 2)


def avail_jump_is_an_error(patch):
    """More available elements than places break the device, as they do for a network card."""
    real = split_ring.pop

    def pop(device, queue):
        if not split_ring.is_empty(device, queue):
            waiting = (queue.shadow_avail_idx - queue.last_avail_idx) & 0xFFFF
            if waiting > queue.num:
                device.error("Guest moved used index")
                return None
        return real(device, queue)

    patch.setattr(split_ring, "pop", pop)


def event_index_is_forgotten_by_nobody(patch):
    """The first completion after the start interrupts only where used_event says so."""
    real = split_ring.should_notify

    def should_notify(device, queue):
        queue.signalled_used_valid = True
        return real(device, queue)

    patch.setattr(split_ring, "should_notify", should_notify)


def writes_refresh_the_shadow(patch):
    """A config write refreshes what is not written, as a read does."""
    real = virtio.VirtioDevice.write_config

    def write_config(self, offset_bytes, width_bytes, value):
        self.config[:] = self.behaviour.get_config()[: len(self.config)]
        real(self, offset_bytes, width_bytes, value)

    patch.setattr(virtio.VirtioDevice, "write_config", write_config)


def statistics_are_returned_at_once(patch):
    """The statistics element goes back as soon as it was read."""
    real = statistics.Statistics.receive

    def receive(self, device, queue):
        real(self, device, queue)
        if self.held is not None:
            device.device.push(queue, self.held, 0)
            device.device.notify(queue)
            self.held = None

    patch.setattr(statistics.Statistics, "receive", receive)


def the_timer_runs_on_while_the_machine_is_stopped(patch):
    """Statistics are polled in real time."""
    real = statistics.Statistics.run_timer

    def run_timer(self, device, queue):
        running, device.device.vm_running = device.device.vm_running, True
        real(self, device, queue)
        device.device.vm_running = running

    patch.setattr(statistics.Statistics, "run_timer", run_timer)


def any_new_interval_polls(patch):
    """Whatever the interval was, a new one begins with a poll."""
    real = statistics.Statistics.set_interval

    def set_interval(self, device, queue, value):
        if value > 0:
            self.poll_interval_s = 0
        return real(self, device, queue, value)

    patch.setattr(statistics.Statistics, "set_interval", set_interval)


def partial_huge_pages_are_remembered(patch):
    """Parts of a huge page add up over elements, as they did in 4.x."""
    kept = inflation.PartialPage()
    patch.setattr(inflation, "PartialPage", lambda: kept)


def punching_is_enough(patch):
    """Locked memory is given back where it is a file, private or not."""

    def discard_range(device, block, offset_bytes, length_bytes):
        if block.punches:
            discard._clear(block, offset_bytes, length_bytes)
        return discard_range.real(device, block, offset_bytes, length_bytes)

    discard_range.real = discard.discard_range
    patch.setattr(reporting, "discard_range", discard_range)


def legacy_errors_show(patch):
    """NEEDS_RESET is set for a legacy driver too."""
    real = virtio.VirtioDevice.error

    def error(self, message):
        real(self, message)
        self.status |= virtio.S_NEEDS_RESET

    patch.setattr(virtio.VirtioDevice, "error", error)


def packed_ring_never_wraps(patch):
    """What a packed ring returns always bears the flags of its first round."""
    real = packed_ring.push

    def push(device, queue, item, used_length):
        real(device, queue, item, used_length)
        queue.used_wrap_counter = True

    patch.setattr(packed_ring, "push", push)


def odd_queue_sizes_are_refused(patch):
    """A queue's size must be a power of two and not above the default."""
    real = pci.PciTransport._set_queue_size

    def set_queue_size(self, num):
        if not num & (num - 1) and num <= 128:
            real(self, num)

    patch.setattr(pci.PciTransport, "_set_queue_size", set_queue_size)


def rings_stay_mapped(patch):
    """Rings are not mapped anew when the device loses, or regains, its access to memory."""

    def grant(self, *, enabled):
        self.bus_master = enabled

    patch.setattr(pci.PciTransport, "_grant", grant)


def any_command_starts_hints(patch):
    """Pages count as soon as they are sent; nobody asks for the command."""

    def hint(self, device, item):
        del self, item
        device.device.errors.append(hinting.BAD_HINT)

    patch.setattr(hinting.Hinting, "_hint", hint)


WRONG = {
    wrong.__name__: (wrong, kinds)
    for wrong, kinds in (
        (poison_is_ignored, ("poison",)),
        (poison_blocks_inflating, ("inflate",)),
        (only_the_first_byte_of_poison_counts, ("poison",)),
        (shadow_is_cleared_by_a_reset, ("poison",)),
        (reset_clears_actual, ("operator",)),
        (alignment_is_not_asked_for, ("reporting",)),
        (alignment_is_that_of_the_guest_address, ("huge pages",)),
        (alignment_is_always_4_kib, ("huge pages",)),
        (one_interrupt_a_kick, ("interrupts",)),
        (readable_ranges_are_discarded, ("reporting",)),
        (reporting_must_be_negotiated, ("features",)),
        (queues_wait_for_the_driver, ("early",)),
        (used_length_is_that_of_the_ranges, ("reporting",)),
        (bad_addresses_are_all_skipped, ("bounds",)),
        (descriptors_are_not_split, ("several RAM blocks",)),
        (config_change_sets_one_bit, ("operator",)),
        (avail_jump_is_an_error, ("malformed descriptors",)),
        (event_index_is_forgotten_by_nobody, ("interrupts",)),
        (writes_refresh_the_shadow, ("config space",)),
        (statistics_are_returned_at_once, ("statistics",)),
        (the_timer_runs_on_while_the_machine_is_stopped, ("polling",)),
        (any_new_interval_polls, ("polling",)),
        (partial_huge_pages_are_remembered, ("huge pages",)),
        (punching_is_enough, ("locked memory",)),
        (rings_stay_mapped, ("access platform", "transport")),
        (legacy_errors_show, ("malformed descriptors",)),
        (packed_ring_never_wraps, ("packed rings",)),
        (odd_queue_sizes_are_refused, ("queue sizes",)),
        (any_command_starts_hints, ("hints nobody asked for",)),
    )
} | WRONG_SOURCES
"""Each wrong model, and the kinds of program that must find it out."""
