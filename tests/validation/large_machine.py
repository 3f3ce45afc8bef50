"""Machines with more memory than can be copied: what nobody uses of it is nowhere.

Only what a case names is compared of it.
"""

from __future__ import annotations

import mmap
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from workbench.units import GIB, PAGE_BYTES
from workbench.validation import model_machine
from workbench.validation.difference import Difference, differing_list
from workbench.validation.session import Session

if TYPE_CHECKING:
    from workbench.model.balloon.machine import Machine
    from workbench.model.balloon.memory import RamBlock
    from workbench.validation.setup import Backend, Setup

BELOW_4G_BYTES = 3 * GIB
"""Of memory that does not fit below 4 GiB (QEMU 7.2 hw/i386/pc_piix.c, pc_init1)."""

_block_of = model_machine.block_of


def is_large(setup: Setup) -> bool:
    """Whether a machine has memory above 4 GiB without being told to."""
    return setup.memory_bytes > BELOW_4G_BYTES


def large_model(setup: Setup, **options: Any) -> Machine:
    """Make the model of such a machine."""
    told = replace(setup, max_ram_below_4g_bytes=BELOW_4G_BYTES)
    with patch.object(model_machine, "block_of", _sparse_block):
        return model_machine.model_machine(told, **options)


def _sparse_block(name: str, backend: Backend) -> RamBlock:
    block = _block_of(name, replace(backend, size_bytes=PAGE_BYTES))
    block.length_bytes = backend.size_bytes
    block.content = mmap.mmap(-1, backend.size_bytes)  # type: ignore[assignment]
    return block


class LargeSession(Session):
    """Such a machine and its model, side by side."""

    def adopt_memory(self) -> None:
        """Take over no content: firmware is not looked at."""
        self.block_names = self._names()
        self.real.take_errors()
        self.real.skip_trace()

    def check(self) -> Difference | None:
        """Hold together discards and messages, but not all of memory."""
        device = self.model.device
        trace, device.trace[:] = list(device.trace), []
        errors, device.errors[:] = list(device.errors), []
        expected = [self._named(entry) for entry in trace]
        return differing_list("trace", expected, self._traced()) or differing_list(
            "stderr", errors, self._said()
        )
