"""A real machine and its model, side by side: the same steps done on both, and held together."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from workbench.errors import HostError
from workbench.model.balloon import split_ring
from workbench.model.balloon.discard import FAILED
from workbench.model.balloon.offer import Queue
from workbench.validation.difference import (
    Difference,
    differing_answer,
    differing_list,
    differing_memory,
)
from workbench.validation.driver import Driver
from workbench.validation.host_steps import HOST_STEPS, settle_hints
from workbench.validation.migration_steps import MIGRATION_STEPS
from workbench.validation.model_machine import model_machine
from workbench.validation.real_machine import RealMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.model.balloon.machine import Access, Machine
    from workbench.model.balloon.migration import DeviceState
    from workbench.model.balloon.rules import Tally
    from workbench.model.balloon.source import Source
    from workbench.validation.driver import Step
    from workbench.validation.outgoing import Stretch
    from workbench.validation.setup import Setup

    MakeModel = Callable[..., Machine]

_EVENT_S: Final = 2.0
"""QEMU holds an event back for a second (monitor/monitor.c, monitor_qapi_event_conf)."""
_POLL_S: Final = 0.01

_STEPS: Final = {**HOST_STEPS, **MIGRATION_STEPS}

_OFFERING: Final = frozenset({"kick", "element", "chain", "available", "avail_jump"})
"""Steps that give a queue something to do; their first operand is its number."""

STEP_NAMES: Final = frozenset(
    {*_STEPS, *(name[5:] for name in dir(Driver) if name.startswith("step_"))}
)
"""Every step that a program can have."""

_IGNORED_ERRORS: Final = (
    "Couldn't MADV_WILLNEED",
    "failed to save SaveStateEntry",
    "Unable to write to socket",
)
"""Of no consequence for the device: said of the host, or of a migration that was broken off."""


class Session:
    """One real machine and one model, which were treated alike since they were started."""

    def __init__(
        self,
        setup: Setup,
        *,
        qemu: str,
        folder: Path,
        tally: Tally | None = None,
        make_model: MakeModel = model_machine,
    ) -> None:
        """Start both."""
        self.setup = setup
        self.qemu = qemu
        self.folder = folder
        self.make_model = make_model
        self.model: Machine = make_model(setup, tally=tally)
        self.driver = Driver(self.model.device.offer)
        self.real = RealMachine(setup, qemu=qemu, folder=folder)
        self.monitor_pairs: list[tuple[str, Any, Any]] = []
        """What the model and the real monitor answered, of the host's steps."""
        self.events: list[dict[str, Any]] = []
        """What QEMU told of itself, as far as a host step has waited for something else."""
        self.resources: dict[str, Any] = {}
        """What a host step holds open until another one closes it."""
        self.ballast: dict[str, Stretch] = {}
        """Memory that migrations are held at."""
        self.source: Source | None = None
        """The model of the migration that is under way."""
        self.sent_count: int | None = None
        """How many pages it had sent when all of the guest's memory was, if it was."""
        self.snapshot: tuple[DeviceState, dict[str, bytearray]] | None = None
        """What a background snapshot that is under way has to send."""
        self.block_names: dict[str, str] = {}
        """QEMU's names of the model's blocks."""
        self.adopt_memory()

    def __enter__(self) -> Self:
        """Nothing more to do: both are started."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the real machine, and what host steps left open."""
        self.close()

    def close(self) -> None:
        """End the real machine, and what host steps left open."""
        for resource in self.resources.values():
            with suppress(
                HostError
            ):  # The machine ends now; what it would not end does not matter.
                resource.close()
        self.resources.clear()
        self.real.close()

    def replace(self, model: Machine, real: RealMachine, setup: Setup) -> None:
        """Go on with other machines: those that a migration led to."""
        self.real.close()
        self.model, self.real, self.setup = model, real, setup
        self.driver.offer = model.device.offer
        self.events.clear()
        self.ballast.clear()
        self.block_names = self._names()

    def run(self, steps: Sequence[Step]) -> Difference | None:
        """Do the steps on both, as many at a time as can be sent at once."""
        pending: list[tuple[Step, list[Access]]] = []
        for step in steps:
            accesses = self.driver.compile(step)
            if accesses is not None and not self._concerns_thread(step):
                pending.append((step, accesses))
                continue
            difference = self._flush(pending)
            pending = []
            if difference is None and accesses is not None:
                difference = self._run_with_thread(step, accesses)
            elif difference is None:
                _STEPS[step[0]](self, *step[1:])
                difference = self._compare_monitor()
            if difference is not None:
                return difference
        return self._flush(pending)

    def _concerns_thread(self, step: Step) -> bool:
        """Whether a step gives the hint queue, which another thread of QEMU serves, work to do."""
        queues = self.model.device.offer.queues
        return step[0] in _OFFERING and step[1] < len(queues) and queues[step[1]] is Queue.HINT

    def _run_with_thread(self, step: Step, accesses: list[Access]) -> Difference | None:
        """Do such a step, and wait until the thread has done its part.

        While hinting runs, the thread finds by itself what becomes available.  A kick that would
        wake it for nothing is left out: nobody could tell when it has gone to sleep again.
        """
        device = self.model.device
        queue = device.queues[step[1]]
        if step[0] == "kick" and split_ring.is_empty(device, queue):
            return None
        difference = self._flush([(step, accesses)])
        self.model.balloon.run_threads()
        settle_hints(self)
        return difference or self._compare_monitor()

    def check(self) -> Difference | None:
        """Hold together what the steps left behind: memory, discards, messages, events."""
        device = self.model.device
        trace, device.trace[:] = list(device.trace), []
        errors, device.errors[:] = [self._renamed(text) for text in device.errors], []
        expected = [self._named(entry) for entry in trace]
        return (
            differing_list("trace", expected, self._traced())
            or differing_list("stderr", errors, self._said())
            or differing_memory(self._expected_memory(), self.real.read_blocks())
        )

    def finish(self, *, patient: bool = True) -> Difference | None:
        """Hold together the events of the whole life of the machine.

        QEMU tells of a changed balloon at once, and then once a second at most, the latest value:
        whoever is `patient` waits for that one too.
        """
        expected = self.model.balloon.balloon_changes
        if not expected:
            return differing_list("BALLOON_CHANGE", [], self._changes())
        deadline = time.monotonic() + (_EVENT_S if patient else 0)
        while self._changes()[-1:] != expected[-1:] and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        found = self._changes()
        left = iter(expected)
        in_order = all(change in left for change in found)
        last_told = not patient or found[-1:] == expected[-1:]
        if in_order and found[:1] == expected[:1] and last_told:
            return None
        return Difference(
            what="BALLOON_CHANGE",
            expected=f"{expected[:3]} ... {expected[-1]}, not all of which are told",
            found=f"{found[:3]} ... {found[-1:]}",
        )

    def _changes(self) -> list[int]:
        self.events += self.real.take_events()
        name = "BALLOON_CHANGE"
        return [event["data"]["actual"] for event in self.events if event["event"] == name]

    def _flush(self, pending: Sequence[tuple[Step, list[Access]]]) -> Difference | None:
        if not pending:
            return None
        accesses = [access for _, part in pending for access in part]
        expected = self.model.execute(accesses)
        found = self.real.execute(accesses)
        if expected == found:
            return None
        return differing_answer(
            [step for step, _ in pending], _split(pending, expected), _split(pending, found)
        )

    def _compare_monitor(self) -> Difference | None:
        pairs, self.monitor_pairs = self.monitor_pairs, []
        for what, ours, theirs in pairs:
            if ours != theirs:
                return Difference(what=what, expected=str(ours), found=str(theirs))
        return None

    def _said(self) -> list[str]:
        """Read what QEMU said, without who said it, and cut to what the model knows of it."""
        said = []
        # While QEMU obeys its control socket, it does not name itself.
        name = f"{Path(self.qemu).name}: "
        for line in self.real.take_errors():
            text = line.removeprefix(name).removeprefix("warning: ")
            if not text.startswith(_IGNORED_ERRORS):
                said.append(text)
        return said

    def _traced(self) -> list[tuple[Any, ...]]:
        """Read the real device's trace; bitmap syncs in it are the migration's."""
        return [entry for entry in self.real.take_trace() if entry != ("bitmap_sync",)]

    def _named(self, entry: tuple[Any, ...]) -> tuple[Any, ...]:
        """Name a block as QEMU does."""
        if entry[0] in {"bad_addr", "to_target"}:
            return entry
        return (entry[0], self.block_names[entry[1]], *entry[2:])

    def _renamed(self, text: str) -> str:
        """Name the block of a failed discard as QEMU does."""
        if not text.startswith(FAILED):
            return text
        name, _, rest = text.removeprefix(f"{FAILED} ").partition(":")
        return f"{FAILED} {self.block_names[name]}:{rest}"

    def _expected_memory(self) -> dict[str, bytearray]:
        return {self.block_names[block.name]: block.content for block in self.model.memory.blocks}

    def _names(self) -> dict[str, str]:
        """Find QEMU's name of each block, by the address at which both have it."""
        by_address = {region.first: region.name for region in self.real.memory_map()}
        return {region.block.name: by_address[region.first] for region in self.model.memory.regions}

    def adopt_memory(self) -> None:
        """Take over what memory holds now: firmware is the machine's, not the device's."""
        self.block_names = self._names()
        found = self.real.read_blocks()
        for block in self.model.memory.blocks:
            block.content[:] = found[self.block_names[block.name]]
        self.real.take_errors()
        self.real.skip_trace()


def _split(pending: Sequence[tuple[Step, list[Access]]], answers: Sequence[Any]) -> list[list[Any]]:
    parts = []
    first = 0
    for _, accesses in pending:
        parts.append(list(answers[first : first + len(accesses)]))
        first += len(accesses)
    return parts
