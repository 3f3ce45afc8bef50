"""A kind of random program, and the scene that its programs are written for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workbench.model.balloon.offer import Queue, machine_version, make_offer
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.driver import RINGS, STOP
from workbench.validation.model_machine import memory_of
from workbench.validation.setup import Backend, Setup

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from workbench.model.balloon.memory import Region
    from workbench.model.balloon.offer import Offer
    from workbench.validation.driver import Step

SMALL: Final = (Backend(size_bytes=8 * MIB),)
"""Memory enough for rings and targets; the less there is, the faster it is compared."""

_WINDOW_PAGES: Final = 24
"""Pages that programs aim at; few, so that they meet again."""


class Scene:
    """What a program needs to know of its machine: queues, and where memory begins and ends."""

    def __init__(self, setup: Setup) -> None:
        """Work it out from the set-up alone, without starting anything."""
        self.setup = setup
        self.offer: Offer = make_offer(setup.properties, machine_version(setup.machine_type))
        memory = memory_of(setup)
        self.regions: list[Region] = [
            region for region in memory.regions if region.writable and region.stop > STOP
        ]
        self.edges = sorted(
            {edge for region in memory.regions for edge in (region.first, region.stop)}
        )
        self.setup_bytes = sum(b.size_bytes for b in (*setup.memory, *setup.dimms))
        self.window = STOP
        self.page_bytes = max(region.block.page_bytes for region in self.regions)
        self.report = self.number(Queue.REPORT)
        self.hint = self.number(Queue.HINT)

    def number(self, queue: Queue) -> int:
        """The number of a queue; one that does not exist, where it is not offered."""
        queues = self.offer.queues
        return queues.index(queue) if queue in queues else len(queues)

    def page(self, random: Random) -> int:
        """Choose a page to aim at: of the window, or at the end or the beginning of a region."""
        if random.random() < 0.85:
            return self.inner_page(random)
        region = random.choice(self.regions)
        first = max(region.first, STOP)
        if random.random() < 0.5:
            return region.stop - random.randrange(1, 5) * PAGE_BYTES
        return first + random.randrange(4) * PAGE_BYTES

    def inner_page(self, random: Random) -> int:
        """Choose a page of the window, behind which there are more."""
        return self.window + random.randrange(_WINDOW_PAGES) * PAGE_BYTES

    def is_ours(self, address: int) -> bool:
        """Whether a place belongs to the programs: not to rings, and it is memory."""
        return not RINGS <= address < STOP and any(
            region.first <= address < region.stop for region in self.regions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of program."""

    name: str
    about: str
    setup: Callable[[Random], Setup]
    """Chooses a machine."""
    program: Callable[[Random, Scene], list[Step]]
    """Writes a program for it."""
    variants: tuple[Callable[[Random, Setup], Setup], ...] = ()
    """What is changed of it, in turn, so that a run with few machines has one of each."""
    weight: float = 10
    """Its share of a run."""
    machine_programs: int = 150
    """How many programs run on one machine, before the next is started."""
    batch_programs: int = 50
    """How many programs are sent to it before memory is compared."""
    prologue: tuple[Step, ...] = ()
    """What is done to a machine before its programs run."""
    patient: bool = False
    """Whether to wait, in the end, for the last event, which QEMU holds back for a second."""
    needs: frozenset[str] = field(default_factory=frozenset)
    """What the host must have for it: "huge pages", "locked memory"."""
