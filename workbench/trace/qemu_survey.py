"""What a log as a whole shows: which guests it is about, where their RAM lies, their queues.

A line has the thread that wrote it, not the process.  QEMU serves the balloon's queues in its main
thread, or in that of the processor that kicked: threads belong together that take elements from one
queue, or discard one memory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workbench.trace.qemu_lines import Discard, Notify, Output, Pop
from workbench.units import GIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workbench.trace.qemu_lines import Line


@dataclass(slots=True)
class Span:
    """Where a RAM block was discarded, in QEMU's own addresses.

    Attributes
    ----------
    first, stop
        The lowest and the highest address of any discard.
    bases
        Where the block begins, as told by pages whose guest address is known too; how often.
    """

    first: int
    stop: int
    is_advised: bool = False
    is_punched: bool = False
    bases: Counter[int] = field(default_factory=Counter)

    def add(self, discard: Discard) -> None:
        """Take one more discard of the block."""
        self.first = min(self.first, discard.address)
        self.stop = max(self.stop, discard.address + discard.length_bytes)
        self.is_advised |= discard.is_advised
        self.is_punched |= discard.is_punched

    def unite(self, other: Span) -> None:
        """Take what another thread did to the same block."""
        self.first, self.stop = min(self.first, other.first), max(self.stop, other.stop)
        self.is_advised |= other.is_advised
        self.is_punched |= other.is_punched
        self.bases += other.bases

    def fits_with(self, other: Span, memory_bytes: int | None) -> bool:
        """Whether both can be of one block: of this size, or else those that overlap."""
        if memory_bytes is None:
            return self.first < other.stop and other.first < self.stop
        return max(self.stop, other.stop) - min(self.first, other.first) <= memory_bytes


@dataclass(slots=True)
class Seen:
    """One guest, as its log shows it.

    Attributes
    ----------
    threads
        Those that discarded its RAM; the first is the lowest.
    spans
        Its RAM blocks, by name.
    queue
        QEMU's address of the reporting queue; 0 if no element was seen being taken from one.
    devices
        QEMU's addresses of its balloon; none if no line joins it with a queue.
    """

    threads: set[int]
    spans: dict[str, Span]
    queue: int = 0
    devices: set[int] = field(default_factory=set)


class Survey:
    """Reads all lines once, and keeps what is to be known before they are read again."""

    def __init__(self) -> None:
        self._spans: defaultdict[int, dict[str, Span]] = defaultdict(dict)
        self._votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self._queues: defaultdict[int, set[int]] = defaultdict(set)
        self._devices: defaultdict[int, set[int]] = defaultdict(set)

    def read(self, lines: Iterable[Line]) -> None:
        """Take all lines."""
        popped: dict[int, Pop] = {}
        inflating: dict[int, Output] = {}
        for thread, _, said in lines:
            if isinstance(said, Discard):
                span = self._span(thread, said)
                output = inflating.pop(thread, None)
                if output is not None:
                    _note_base(span, said, output)
                elif pop := popped.get(thread):
                    self._votes[thread][pop.queue] += not pop.out_count
            elif isinstance(said, Pop):
                popped[thread] = said
                inflating.pop(thread, None)
            elif isinstance(said, Output):
                inflating[thread] = said
                if pop := popped.get(thread):
                    self._queues[thread].add(pop.queue)
            elif isinstance(said, Notify):
                self._devices[said.queue].add(said.device)

    def _span(self, thread: int, discard: Discard) -> Span:
        spans = self._spans[thread]
        span = spans.get(discard.block)
        if span is None:
            span = spans[discard.block] = Span(discard.address, discard.address)
        span.add(discard)
        return span

    @property
    def block_names(self) -> list[str]:
        """The RAM blocks that any guest had discarded."""
        return sorted({name for spans in self._spans.values() for name in spans})

    def guests(self, sizes: Mapping[str, int]) -> list[Seen]:
        """Give the guests, in the order of their lowest thread.

        Parameters
        ----------
        sizes
            Of RAM blocks by name, as far as they are known.
        """
        guests: list[Seen] = []
        for thread in sorted(self._spans):
            spans = self._spans[thread]
            for guest in guests:
                is_same_queue = any(
                    self._votes[each].keys() & self._votes[thread].keys() for each in guest.threads
                )
                if is_same_queue or _are_of_one_guest(guest.spans, spans, sizes):
                    self._join(guest, thread)
                    break
            else:
                guests.append(Seen({thread}, dict(spans)))
        for guest in guests:
            self._find_queues(guest)
        return guests

    def _join(self, guest: Seen, thread: int) -> None:
        guest.threads.add(thread)
        for name, span in self._spans[thread].items():
            if name in guest.spans:
                guest.spans[name].unite(span)
            else:
                guest.spans[name] = span

    def _find_queues(self, guest: Seen) -> None:
        votes: Counter[int] = Counter()
        for thread in guest.threads:
            votes += self._votes[thread]
        # Of equal votes the lower address, so that the answer does not depend on the order.
        guest.queue = min(votes, key=lambda queue: (-votes[queue], queue), default=0)
        queues = {guest.queue}.union(*(self._queues[thread] for thread in guest.threads))
        guest.devices = set().union(*(self._devices[queue] for queue in queues))


def _are_of_one_guest(
    spans: Mapping[str, Span], others: Mapping[str, Span], sizes: Mapping[str, int]
) -> bool:
    shared = spans.keys() & others.keys()
    return bool(shared) and all(
        spans[name].fits_with(others[name], sizes.get(name)) for name in shared
    )


_HIGH_RAM: Final = 4 * GIB
"""From here on, x86 does not have RAM at the offset of its guest address."""


def _note_base(span: Span, discard: Discard, output: Output) -> None:
    """A page of the balloon is told by guest address, and its discard by QEMU's own."""
    if discard.length_bytes == PAGE_BYTES and output.guest_address < _HIGH_RAM:
        base = discard.address - output.guest_address
        if base >= 0 and base % PAGE_BYTES == 0:
            span.bases[base] += 1
