"""The pages of all machines of a trace, numbered together, as their host sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.model import FIRST_PAGE, Constants, HostState
from workbench.replay.machine import initial_host, machine_constants, page_count_of, require_room
from workbench.replay.settings import Settings

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.trace import Trace, VirtualMachine


class PageSpace(NamedTuple):
    """The RAM blocks of all machines in one page space."""

    constants: Constants
    first_block: npt.NDArray[np.int64]
    """Where the blocks of each machine begin.  Shape (vm,)."""
    block_vm: npt.NDArray[np.int64]
    """The machine of each block.  Shape (block,)."""


def page_space(trace: Trace, settings: Settings) -> PageSpace:
    """Lay the machines behind each other, each on a huge page of its own."""
    blocks: list[npt.NDArray[np.int64]] = []
    first_blocks = []
    next_page = 0
    machines = trace.manifest.virtual_machines
    for machine in machines:
        constants = _own_constants(trace, machine, settings)
        own = constants.blocks.copy()
        own[:, FIRST_PAGE] += next_page
        first_blocks.append(sum(part.shape[0] for part in blocks))
        blocks.append(own)
        pages = constants.huge_page_pages
        next_page = -(-page_count_of(own) // pages) * pages
    counts = [part.shape[0] for part in blocks]
    return PageSpace(
        constants=constants._replace(blocks=np.concatenate(blocks)),
        first_block=np.array(first_blocks, np.int64),
        block_vm=np.repeat(np.arange(len(machines)), counts).astype(np.int64),
    )


def hosts_at_start(trace: Trace) -> list[HostState]:
    """Give what of each machine is in memory, in swap or nowhere when the trace begins."""
    require_room(trace)
    return [
        initial_host(trace, vm, _own_constants(trace, machine, Settings()))
        for vm, machine in enumerate(trace.manifest.virtual_machines)
    ]


def in_one_space(hosts: list[HostState]) -> HostState:
    """Put machines behind each other, as `page_space` does."""
    counts = [host.pages.size - host.huge_pages.shape[0] for host in hosts]
    # The words of huge pages are behind those of all pages.
    words = [host.pages[:count] for host, count in zip(hosts, counts, strict=True)]
    words += [host.pages[count:] for host, count in zip(hosts, counts, strict=True)]
    return HostState(
        pages=np.concatenate(words),
        huge_pages=np.concatenate([host.huge_pages for host in hosts]),
        totals=np.sum([host.totals for host in hosts], axis=0),
    )


def _own_constants(trace: Trace, machine: VirtualMachine, settings: Settings) -> Constants:
    return machine_constants(
        machine, settings, frees_empty_page_tables=trace.manifest.host.frees_empty_page_tables
    )
