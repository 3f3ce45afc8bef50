"""Where a case is done: on the model alone, or on the model and a real QEMU beside it."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pytest

from tests.validation.cases import PLAIN, Expected
from tests.validation.large_machine import LargeSession, is_large, large_model
from tests.validation.moves import MOVES
from workbench.errors import HostError
from workbench.model.balloon import pci
from workbench.model.balloon.level import Level
from workbench.model.balloon.machine import BAR, PORTS
from workbench.validation.driver import Driver
from workbench.validation.huge_pages import huge_pages
from workbench.validation.model_machine import model_machine
from workbench.validation.real_machine import QEMU
from workbench.validation.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.validation.cases import Case
    from workbench.model.balloon.machine import Access, Machine
    from workbench.validation.driver import Step
    from workbench.validation.real_machine import RealMachine
    from workbench.validation.setup import Setup

LIMIT_SECONDS = 5.0
POLL_S = 0.0005

USED_ENTRY_BYTES = 8
OLD_MACHINE_TYPE = "pc-i440fx-5.1"
"""The newest that the old levels have."""
UNIMPORTANT = "Couldn't MADV_WILLNEED"
"""What the host may say of a deflated page."""


class Bench:
    """One machine after the other, each treated by the steps of a case."""

    def __init__(self, folder: Path | None = None, level: Level = Level.QEMU_7_2) -> None:
        """Without a folder for QEMU's files, only the model does the steps."""
        self.folder = folder
        self.level = level
        self.session: Session | None = None
        self.resources = ExitStack()
        """What holds the machine in a state; it must end before the machine does."""
        self.borrowed = ExitStack()
        """What the machine needs of the host; it must end after the machine does."""
        self.held: Any = None
        """The migration, snapshot or stream that is held."""
        self.held_pages = 0
        """How many pages the held migration had to send when it began."""
        self.clock_s = 0.0
        """When somebody last began to take the time."""

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the machine."""
        self.close()

    def close(self) -> None:
        """End the machine."""
        self.resources.close()
        if self.session is not None:
            self.session.close()
            self.session = None
        self.borrowed.close()

    @property
    def real(self) -> RealMachine:
        """The real machine, where there is one."""
        assert self.session is not None
        return self.session.real

    def start(self, setup: Setup) -> None:
        """Start a machine in place of the one that runs."""
        self.close()
        if self.level is not Level.QEMU_7_2 and setup.machine_type == PLAIN.machine_type:
            setup = replace(setup, machine_type=OLD_MACHINE_TYPE)
        self.setup = setup
        self.has_ballast = False
        make_model = large_model if is_large(setup) else model_machine
        if self.folder is None:
            self.model = make_model(setup, level=self.level)
        else:
            self._borrow(setup)
            kind = LargeSession if is_large(setup) else Session
            self.session = kind(setup, qemu=QEMU, folder=self.folder, make_model=make_model)
            self.model = self.session.model
            self.names = self.session.block_names
        self.driver = Driver(self.model.device.offer)

    def _borrow(self, setup: Setup) -> None:
        """Get from the host what such a machine needs."""
        if setup.mem_lock and os.geteuid() != 0:
            self.skip("only root may lock so much memory")
        if setup.huge_page_count:
            try:
                self.borrowed.enter_context(huge_pages(setup.huge_page_count))
            except HostError as error:
                self.skip(str(error))

    def skip(self, reason: str) -> NoReturn:
        """Skip the test, or fail it where somebody insists on it."""
        if {"live", "qemu"} & set(os.environ.get("WORKBENCH_REQUIRE", "").split(",")):
            pytest.fail(reason)
        pytest.skip(reason)

    def adopt(self, model: Machine, real: RealMachine | None) -> None:
        """Go on with other machines, those that a migration led to."""
        self.model, self.has_ballast = model, False
        if real is not None:
            self.session.replace(model, real, real.setup)
            self.names = self.session.block_names

    def play(self, case: Case) -> Iterator[tuple[Expected, Expected]]:
        """Do the steps.  Gives each expectation with what was seen instead."""
        self.start(case.setup)
        answers: list[Any] = []
        steps = (*case.steps, case.expects)
        looks = case.old.get(self.level) or [step for step in steps if isinstance(step, Expected)]
        instead = iter(looks)
        for step in steps:
            if isinstance(step, Expected):
                expected = next(instead, None)
                if expected is None:
                    return
                yield expected, self.see(expected, answers)
                answers = []
            else:
                answers += self.do(step)
        assert next(instead, None) is None, "more is expected than is looked for"

    def do(self, step: Step) -> list[Any]:
        """Do a step.  Returns what it was answered, if it asked anything."""
        accesses = self.driver.compile(step)
        if accesses is not None:
            return [answer for answer in self.execute(accesses) if answer is not None]
        return MOVES[step[0]](self, *step[1:])

    # --- the model and QEMU

    def execute(self, accesses: list[Access]) -> list[Any]:
        """Do accesses."""
        return self.agree(self.model.execute(accesses), lambda real: real.execute(accesses))

    def agree(self, expected: Any, ask: Callable[[RealMachine], Any]) -> Any:
        """Ask QEMU what the model says; they agree.  Returns QEMU's word, where there is one."""
        if self.session is None:
            return expected
        found = ask(self.real)
        assert found == expected, f"the model says {expected!r}, QEMU {found!r}"
        return found

    def settle(self, queue: int) -> None:
        """Wait until QEMU has come to where the model is; a queue may have a thread of its own."""
        if self.session is None:
            return
        accesses = [("readb", BAR + pci.STATUS)]
        if queue in self.driver.rings:
            accesses.append(("readl", self.driver.rings[queue].used))
        expected = self.model.execute(accesses)
        deadline = time.monotonic() + LIMIT_SECONDS
        while self.real.execute(accesses) != expected and time.monotonic() < deadline:
            time.sleep(POLL_S)

    # --- looking

    def see(self, expected: Expected, answers: list[Any]) -> Expected:
        """See what there is, at the places that `expected` names."""
        status, isr = (
            (("inb", PORTS + pci.LEGACY_STATUS), ("inb", PORTS + pci.LEGACY_ISR))
            if self.driver.legacy
            else (("readb", BAR + pci.STATUS), ("readb", BAR + pci.ISR))
        )
        seen = Expected(
            answers=_like(expected.answers, answers),
            trace=_like(expected.trace, self.agree(self._model_trace(), self._real_trace)),
            errors=_like(expected.errors, self._errors(expected.errors)),
            status=self.execute([status])[0],
            isr=self.execute([isr])[0],
            returned={queue: self._used(queue) for queue in expected.returned},
            content=_like(expected.content, [self._content(*row) for row in expected.content]),
        )
        if self.session is not None:
            difference = self.session.check()
            assert difference is None, difference.sentence()
        return seen

    def assert_all_seen(self) -> None:
        """A machine is not left before somebody has looked at what it did."""
        assert (self.model.device.trace, self.model.device.errors) == ([], [])

    def _model_trace(self) -> list[tuple[Any, ...]]:
        trace, self.model.device.trace[:] = list(self.model.device.trace), []
        return trace

    def _real_trace(self, real: RealMachine) -> list[tuple[Any, ...]]:
        """Read QEMU's trace, with blocks called as in the model."""
        ours = {theirs: ours for ours, theirs in self.names.items()}
        return [
            (line[0], ours[line[1]], *line[2:]) if line[0] in {"discard", "handle_output"} else line
            for line in real.take_trace()
            if line != ("bitmap_sync",)
        ]

    def _errors(self, expected: Sequence[str]) -> list[str]:
        known, self.model.device.errors[:] = list(self.model.device.errors), []
        if self.session is not None:
            said = [line.partition(": ")[2] for line in self.real.take_errors()]
            said = [line.removeprefix("warning: ") for line in said]
            said = [line for line in said if not line.startswith(UNIMPORTANT)]
            assert list(said) == known
            return said
        if list(expected) == known:
            return list(expected)
        return known

    def _used(self, queue: int) -> list[tuple[int, int]]:
        ring = self.driver.rings[queue]
        flags_and_index, data = self.execute(
            [("readl", ring.used), ("read", ring.used + 4, USED_ENTRY_BYTES * ring.size)]
        )
        words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
        entries = list(zip(words[::2], words[1::2], strict=True))
        return [entries[number % ring.size] for number in range(flags_and_index >> 16)]

    def _content(self, address: int, length: int, byte: int) -> tuple[Any, ...]:
        (data,) = self.execute([("read", address, length)])
        if data == bytes((byte,)) * length:
            return (address, length, byte)
        return (address, length, data[:32].hex())


def _like(expected: Any, found: list[Any]) -> Any:
    """Give what was found as the sort of sequence that it will be compared with."""
    return type(expected)(found)
