"""Many accesses at a time over QEMU's qtest socket, and their answers.

QEMU works a line off completely before it answers it, a kick of a queue included; so a batch of
lines in one write costs one wait instead of one wait each.

Source: QEMU 7.2 softmmu/qtest.c, qtest_process_command().
"""

from __future__ import annotations

import socket
import struct
from base64 import b64encode
from binascii import a2b_base64
from typing import TYPE_CHECKING, Final, TypeAlias

from workbench.errors import HostError
from workbench.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from workbench.model.balloon.machine import Access, Answer

ANSWER_SECONDS_MAX: Final = 10.0
"""A batch takes milliseconds; a jump of avail.idx by the size of a queue a second at most."""

BATCH_BYTES_MAX: Final = 64 * KIB
"""What is sent before the answers are read.  It must fit into the kernel's buffer of a socket
(208 KiB by default), so that sending never waits for a QEMU that waits for us to read."""

LENGTH_BYTES_MAX: Final = 64 * MIB
"""QEMU ends itself if it cannot allocate the bytes of an access."""

_RECEIVE_BYTES: Final = 64 * KIB

_NUMBER: Final = (0, 1 << 64)
_PORT: Final = (0, 1 << 16)
_LENGTH: Final = (0, LENGTH_BYTES_MAX + 1)
_LENGTH_OF_READ: Final = (1, LENGTH_BYTES_MAX + 1)
"""First and stop of what an operand may be; beyond, qtest's assertions end QEMU."""

_Form: TypeAlias = tuple[str, tuple[tuple[int, int], ...]]

_FORMS: Final[dict[str, _Form]] = {
    **{f"write{width}": (f"write{width} %d %d\n", (_NUMBER, _NUMBER)) for width in "bwlq"},
    **{f"read{width}": (f"read{width} %d\n", (_NUMBER,)) for width in "bwlq"},
    **{f"out{width}": (f"out{width} %d %d\n", (_PORT, _NUMBER)) for width in "bwl"},
    **{f"in{width}": (f"in{width} %d\n", (_PORT,)) for width in "bwl"},
    "memset": ("memset %d %d %d\n", (_NUMBER, _LENGTH, _NUMBER)),
    # QEMU prints base64 faster than hexadecimal: 4 KiB in 125 instead of 300 us.
    "read": ("b64read %d %d\n", (_NUMBER, _LENGTH_OF_READ)),
}


class MachineDiedError(HostError):
    """QEMU has ended."""


class MachineStuckError(HostError):
    """QEMU runs, and does not answer."""


class Connection:
    """A socket to QEMU whose every wait has an end.

    After its first failure it is of no more use, because an answer may still be under way: every
    later call fails the same way.
    """

    def __init__(
        self,
        end: socket.socket,
        *,
        timeout_s: float = ANSWER_SECONDS_MAX,
        last_words: Callable[[], str] = lambda: "",
    ) -> None:
        """Take over one end of a connected socket.

        Parameters
        ----------
        timeout_s
            How long to wait for QEMU to take, or to say, anything at all.
        last_words
            What QEMU said before it ended; for messages.
        """
        # A timeout of Python's own costs one more system call for each call.
        seconds = int(timeout_s)
        limit = struct.pack("@ll", seconds, int((timeout_s - seconds) * 1_000_000))
        end.setblocking(True)  # noqa: FBT003 - its only argument
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._end = end
        self._timeout_s = timeout_s
        self._last_words = last_words
        self._failure: MachineDiedError | MachineStuckError | None = None

    def send(self, data: bytes) -> None:
        """Send all of `data`.

        Raises
        ------
        MachineDiedError
        MachineStuckError
        """
        if self._failure:
            raise type(self._failure)(str(self._failure))
        try:
            self._end.sendall(data)
        except BlockingIOError:
            raise self._stuck() from None
        except OSError as error:
            raise self._died() from error

    def receive(self) -> bytes:
        """Wait for data, and give what there is.

        Raises
        ------
        MachineDiedError
        MachineStuckError
        """
        try:
            data = self._end.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            raise self._stuck() from None
        except OSError as error:
            raise self._died() from error
        if not data:
            raise self._died()
        return data

    def receive_waiting(self) -> bytes:
        """Give what has already arrived, without waiting; nothing if QEMU has ended."""
        chunks = []
        try:
            while chunk := self._end.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT):
                chunks.append(chunk)
        except OSError:
            pass  # Nothing more is there.  Whether QEMU still is, the next command will tell.
        return b"".join(chunks)

    def close(self) -> None:
        """Disconnect."""
        self._end.close()

    def _stuck(self) -> MachineStuckError:
        self._failure = MachineStuckError(
            f"QEMU has not answered for {self._timeout_s:g} s: it is stopped, or busy with "
            "unbounded work such as a far jump of avail.idx; close this machine"
        )
        return self._failure

    def _died(self) -> MachineDiedError:
        words = self._last_words()
        self._failure = MachineDiedError(f"QEMU has ended{': ' if words else ''}{words}")
        return self._failure


class Wire:
    """The qtest socket of one QEMU."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def exchange(self, accesses: Sequence[Access]) -> list[Answer]:
        """Do the accesses in order, and give the answer of each.

        Raises
        ------
        ValueError
            An access is none, or would end QEMU; none was done.
        MachineDiedError
        MachineStuckError
        """
        lines = self.exchange_encoded(encode(accesses), len(accesses))
        return [
            None if line == b"OK" else _decode(access, line)
            for access, line in zip(accesses, lines, strict=True)
        ]

    def exchange_encoded(self, data: bytes, count: int) -> list[bytes]:
        """Do `count` accesses that `encode` made, and give the raw line that answers each.

        Raises
        ------
        ValueError
            `data` holds more or fewer lines than `count`.
        MachineDiedError
        MachineStuckError
        """
        if data.count(b"\n") != count:
            raise ValueError(f"{data.count(bytes((10,)))} lines were given, expected {count}")
        if not count:
            return []
        if len(data) <= BATCH_BYTES_MAX:
            self._connection.send(data)
            return self._receive_lines(count)
        lines = []
        for batch in _batches(data):
            self._connection.send(batch)
            lines += self._receive_lines(batch.count(b"\n"))
        return lines

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _receive_lines(self, count: int) -> list[bytes]:
        data = self._connection.receive()
        missing = count - data.count(b"\n")
        if missing > 0:
            chunks = [data]
            while missing > 0:
                chunk = self._connection.receive()
                missing -= chunk.count(b"\n")
                chunks.append(chunk)
            data = b"".join(chunks)
        return data.splitlines()


def encode(accesses: Iterable[Access]) -> bytes:
    """Write accesses as lines of qtest.

    Raises
    ------
    ValueError
        An access is none, or would end QEMU.
    """
    return "".join([_line(access) for access in accesses]).encode("ascii")


def _line(access: Access) -> str:
    operation = access[0]
    if operation == "write":
        return _write_line(access)
    form = _FORMS.get(operation)
    operands = access[1:]
    if form is None or len(form[1]) != len(operands):
        raise ValueError(f"no such access: {access!r}")
    for operand, (first, stop) in zip(operands, form[1], strict=True):
        if not isinstance(operand, int) or not first <= operand < stop:
            raise ValueError(f"{operand!r} would end QEMU in {access!r}")
    return form[0] % operands


def _write_line(access: Access) -> str:
    match access:
        case (_, int(address), bytes() | bytearray() as data) if 0 <= address < 1 << 64:
            length_bytes = len(data)
        case _:
            raise ValueError(f"no such access: {access!r}")
    if not length_bytes:
        return f"memset {address} 0 0\n"  # QEMU calls an empty write an error.
    if length_bytes > LENGTH_BYTES_MAX:
        raise ValueError(f"a write of {length_bytes} bytes: at most {LENGTH_BYTES_MAX}")
    return f"b64write {address} {length_bytes} {b64encode(data).decode('ascii')}\n"


def _decode(access: Access, line: bytes) -> Answer:
    if not line.startswith(b"OK "):
        raise HostError(f"QEMU refused {access!r}: {line.decode('ascii', 'replace')}")
    return a2b_base64(line[3:]) if access[0] == "read" else int(line[3:], 16)


def _batches(data: bytes) -> Iterator[bytes]:
    """Cut into whole lines of at most `BATCH_BYTES_MAX` in all; a longer line is a batch alone.

    QEMU reads such a line to its end before it answers, so that sending it cannot lock up either.
    """
    start = 0
    while start < len(data):
        stop = data.rfind(b"\n", start, start + BATCH_BYTES_MAX) + 1
        stop = stop or data.index(b"\n", start) + 1
        yield data[start:stop]
        start = stop
