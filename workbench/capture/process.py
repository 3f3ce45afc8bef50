"""Read another process's memory and mappings, as root may."""

from __future__ import annotations

import contextlib
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+\s*(.*)")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of /proc/PID/maps: addresses [first, stop)."""

    first: int
    stop: int
    permissions: str
    file_offset: int
    name: str


@contextlib.contextmanager
def readable(pid: int) -> Iterator[Path]:
    """Give the folder of a process in /proc; what cannot be read there becomes a sentence.

    Raises
    ------
    HostError
        There is no such process, or it may not be looked at.
    """
    try:
        yield Path(f"/proc/{pid}")
    except PermissionError:
        message = f"pid {pid}: its memory is not ours to look at; run as root"
        raise HostError(message) from None
    except OSError:
        message = f"pid {pid}: no such process; `pgrep -a qemu` lists the running guests"
        raise HostError(message) from None


def read_mappings(pid: int) -> list[Mapping]:
    """Read the mappings of a process.

    Raises
    ------
    HostError
        There is no such process, or it may not be looked at.
    """
    with readable(pid) as folder:
        lines = (folder / "maps").read_text(encoding="utf-8").splitlines()
    matches = [match for line in lines if (match := _MAPPING.fullmatch(line.rstrip()))]
    return [
        Mapping(int(match[1], 16), int(match[2], 16), match[3], int(match[4], 16), match[5])
        for match in matches
    ]


class ProcessMemory:
    """The memory of a process, to read from.  Use it in a `with` statement."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        with readable(pid) as folder:
            self._file = os.open(folder / "mem", os.O_RDONLY)

    def __enter__(self) -> Self:
        """Give the open memory."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        os.close(self._file)

    def read(self, address: int, length: int) -> bytes:
        """Read `length` bytes.

        Raises
        ------
        HostError
            The address is not mapped.
        """
        content = b""
        with contextlib.suppress(OSError, OverflowError):
            # It ends early at a page that the kernel could not bring back from swap just then.
            while part := os.pread(self._file, length - len(content), address + len(content)):
                content += part
        if len(content) != length:
            message = f"pid {self._pid}: cannot read its memory at {address:#x}; did it exit?"
            raise HostError(message)
        return content

    def integer(self, address: int, length: int) -> int:
        """Read an unsigned integer of `length` bytes."""
        return int.from_bytes(self.read(address, length), "little")

    def pointer(self, address: int) -> int:
        """Read a pointer."""
        (value,) = struct.unpack("<Q", self.read(address, 8))
        return int(value)

    def text(self, address: int, longest: int = 256) -> str:
        """Read a C string."""
        return self.read(address, longest).partition(b"\0")[0].decode(errors="replace")
