"""A real QEMU with a balloon and a halted processor: everything a driver and an operator can do."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from workbench.errors import HostError
from workbench.lab.kernel import find_tool, require_tools
from workbench.validation.abilities import abilities_of
from workbench.validation.ending import ending_with
from workbench.validation.host_memory import HostMemory, Piece
from workbench.validation.memory_map import (
    MappedRegion,
    RealBlock,
    parse_blocks,
    parse_host_address,
    parse_regions,
)
from workbench.validation.monitor import Monitor
from workbench.validation.setup import (
    BALLOON_SLOT,
    TRACE_FILE,
    Setup,
    command_line,
    write_firmware,
)
from workbench.validation.tail import Tail
from workbench.validation.trace_log import TraceLine, parse_trace
from workbench.validation.wire import ANSWER_SECONDS_MAX, Connection, Wire

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from workbench.model.balloon.machine import Access, Answer

QEMU: Final = "qemu-system-x86_64"

LEGACY_PORT: Final = 0xC000
MODERN_ADDRESS: Final = 0xFE000000
"""Where the registers of the balloon are mapped: those of the legacy interface (BAR 0, I/O ports)
and of the modern one (BAR 4, memory)."""

_CONFIG_ADDRESS: Final = 0xCF8
_CONFIG_DATA: Final = 0xCFC
_COMMAND: Final = 0x04
_BAR_0: Final = 0x10
_BAR_4: Final = 0x20
_BAR_5: Final = 0x24
"""PCI: where its configuration is reached, and registers in it (PCI Local Bus 3.0, 3.2.2.3, 6.1).
BAR 5 is the upper half of BAR 4's address."""

_ALL_ACCESS: Final = 7
"""Answer at ports and addresses, and access memory (PCI Local Bus 3.0, 6.2.2)."""

_DISCARD_WORDS: Final = 4
"""The word, the block, where, and how long."""

_DISCARD, _DISCARD_SINCE_11_1 = "ram_block_discard_range: ", "ram_block_discard_shared_range: "
"""Who says that a range could not be discarded."""

_END_SECONDS_MAX: Final = 5.0
_LAST_WORDS_LINES: Final = 5

_SEND_BUFFER_BYTES: Final = 1 << 20
"""QEMU pauses for 100 us whenever an answer finds no room, and each takes some 800 bytes of it."""


class RealMachine:
    """A running QEMU.  Use it in a `with` statement, or close it.

    It ends together with the thread that made it, should that end without closing it.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        qemu: str = QEMU,
        folder: Path,
        timeout_s: float = ANSWER_SECONDS_MAX,
    ) -> None:
        """Start it, connect to it, and map the registers of its balloon.

        Parameters
        ----------
        folder
            Where it makes a folder of its own, which it removes in the end.
        timeout_s
            How long to wait for any one answer.

        Raises
        ------
        HostError
            QEMU is not installed.
        NotBuildableError
            QEMU does not know the machine type, or a property.
        MachineDiedError
            QEMU refused the setup; the message says in which words.
        """
        if "/" in qemu and find_tool(qemu) is None:
            raise HostError(f"{qemu}: no program that can be run; give the path of a QEMU")
        require_tools({qemu: "qemu-system-x86", "setpriv": "util-linux"})
        abilities = abilities_of(qemu)
        abilities.check(setup)
        self.setup = setup
        self._blocks: list[RealBlock] | None = None
        self._memory: HostMemory | None = None
        self._contents: dict[str, bytearray] = {}
        with ExitStack() as stack:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="qemu-", dir=folder))
            self._folder = Path(name)
            write_firmware(self._folder)
            (self._folder / TRACE_FILE).touch()
            ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
            for end in (*ours, *theirs):
                stack.callback(end.close)
            theirs[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._process = self._start(qemu, abilities.properties, theirs)
            stack.callback(self._end)
            self._trace = Tail(self._folder / TRACE_FILE)
            stack.callback(self._trace.close)
            self._errors = Tail(self._folder / "errors")
            stack.callback(self._errors.close)
            for end in theirs:
                end.close()  # Else its end would not be noticed.
            qtest, control = (
                Connection(end, timeout_s=timeout_s, last_words=self._last_words) for end in ours
            )
            self.wire = Wire(qtest)
            self.remap()  # Answered when the machine is built.
            self._monitor = Monitor(control)
            self._resources = stack.pop_all()

    def __enter__(self) -> Self:
        """Nothing more to do: it runs."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End it."""
        self.close()

    @property
    def pid(self) -> int:
        """Process id of QEMU."""
        return self._process.pid

    @property
    def version(self) -> str:
        """Version of QEMU, such as 7.2.22."""
        return self._monitor.version

    @cached_property
    def hint_thread(self) -> int | None:
        """Thread id of the one that takes hints; None if there is none."""
        threads = self.qmp("query-iothreads")["return"]
        return int(threads[0]["thread-id"]) if threads else None

    def execute(self, accesses: Sequence[Access]) -> list[Answer]:
        """Do the accesses in order, and give the answer of each (`Wire.exchange`)."""
        return self.wire.exchange(accesses)

    def qmp(self, command: str, /, **arguments: object) -> dict[str, Any]:
        """Run a command of the control socket.

        Returns ``{"return": ...}``, or ``{"error": {"class": ..., "desc": ...}}``.
        """
        return self._monitor.execute(command, arguments)

    def hmp(self, line: str) -> str:
        """Run a command of the human monitor, and give what it prints."""
        answer = self.qmp("human-monitor-command", **{"command-line": line})
        if "error" in answer:
            raise HostError(f"QEMU refused {line}: {answer['error']['desc']}")
        return str(answer["return"])

    def take_events(self) -> list[dict[str, Any]]:
        """Give the asynchronous events since the last call, such as BALLOON_CHANGE."""
        return self._monitor.take_events()

    def wait_for_event(self, name: str) -> dict[str, Any]:
        """Give the first event of this name that was not taken yet; wait if there is none.

        Raises
        ------
        MachineDiedError
        MachineStuckError
        """
        return self._monitor.wait_for_event(name)

    def memory_map(self) -> list[MappedRegion]:
        """Tell what the guest finds at its addresses, in their order."""
        return parse_regions(self.hmp("info mtree -f"))

    def ram_blocks(self) -> list[RealBlock]:
        """List QEMU's RAM blocks.  They stay where they are, so it is asked only once."""
        if self._blocks is None:
            regions = [region for region in self.memory_map() if region.kind != "io"]
            blocks = parse_blocks(self.hmp("info ramblock"))
            self._blocks = [self._located(block, regions) for block in blocks]
        return list(self._blocks)

    def read_blocks(self) -> dict[str, bytearray]:
        """Read all RAM blocks that the guest can see, by name.

        The next call fills the same buffers again: compare them, or copy them.

        Raises
        ------
        HostError
            QEMU has ended, or its memory may not be read; that needs root, or QEMU's own user.
        """
        if self._memory is None:
            private = self.setup.private_blocks()
            pieces = {
                block.name: Piece(block.host_address, block.used_bytes, block.name in private)
                for block in self.ram_blocks()
                if block.host_address is not None
            }
            self._memory = HostMemory(self.pid, list(pieces.values()))
            self._resources.callback(self._memory.close)
            self._contents = dict(zip(pieces, self._memory.buffers, strict=True))
        self._memory.read()
        return dict(self._contents)

    def take_trace(self) -> list[TraceLine]:
        """Give what QEMU traced since the last call."""
        lines = self._trace.take()
        if not lines:
            return []
        addresses = {
            block.name: block.host_address
            for block in self.ram_blocks()
            if block.host_address is not None
        }
        return parse_trace(lines, addresses)

    def skip_trace(self) -> None:
        """Forget what QEMU traced since the last call, known or not."""
        self._trace.take()

    def take_errors(self) -> list[str]:
        """Give what QEMU complained of since the last call, line by line, in the words of 7.2."""
        lines = [line.decode(errors="replace") for line in self._errors.take()]
        return [line.replace(_DISCARD_SINCE_11_1, _DISCARD) for line in lines]

    def remap(self) -> None:
        """Map the registers of the balloon, also again after a reset of the system."""
        accesses: list[Access] = []
        for register, value in self._mapping().items():
            address = 1 << 31 | BALLOON_SLOT << 11 | register
            accesses += [("outl", _CONFIG_ADDRESS, address), ("outl", _CONFIG_DATA, value)]
        # With no balloon there is nothing to map, but an answer still says that QEMU is ready.
        self.execute(accesses or [("readb", 0)])

    def is_alive(self) -> bool:
        """Whether QEMU still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End QEMU, and remove its folder."""
        self._resources.close()

    def _mapping(self) -> dict[int, int]:
        if not self.setup.balloon_count:
            return {}
        legacy = {} if self.setup.properties.disable_legacy else {_BAR_0: LEGACY_PORT}
        return legacy | {_BAR_4: MODERN_ADDRESS, _BAR_5: 0, _COMMAND: _ALL_ACCESS}

    def _start(
        self, qemu: str, known: Collection[str], ends: Sequence[socket.socket]
    ) -> subprocess.Popen[bytes]:
        sockets = (ends[0].fileno(), ends[1].fileno())
        arguments = command_line(self.setup, qemu, self._folder, sockets=sockets, known=known)
        with (self._folder / "errors").open("ab") as errors:
            return subprocess.Popen(
                ending_with(os.getpid(), arguments),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=sockets,
                start_new_session=True,  # A Ctrl-C is for us, who then end QEMU.
            )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS_MAX)
        text = (self._folder / "errors").read_text("utf-8", "replace")
        lines = [f"exit code {self._process.returncode}"]
        lines += [line.strip("\0 ") for line in text.splitlines()[-_LAST_WORDS_LINES:]]
        return "; ".join(line for line in lines if line)

    def _located(self, block: RealBlock, regions: Sequence[MappedRegion]) -> RealBlock:
        for region in regions:
            # A device's block is named after its place too, as in 0000:00:02.0/vga.vram.
            if block.name == region.name or block.name.endswith(f"/{region.name}"):
                address = parse_host_address(self.hmp(f"gpa2hva {region.first:#x}"))
                return block._replace(host_address=address - region.offset_bytes)
        return block
