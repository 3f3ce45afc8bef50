"""The lines of QEMU's trace log, one by one, as what they say.

Anything may stand between them: other devices' events, warnings, halves of lines.  Nothing of that
is an error; it is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.errors import InputError
from workbench.trace.qemu_events import (
    CONFIG_WRITE,
    DISCARD,
    LOG_ARGUMENTS,
    NOTIFY,
    OUTPUT,
    POP,
    STAMPED,
    STATUS,
)
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator
    from pathlib import Path

LINE_BYTES_MAX: Final = 4096
"""What is longer is read in pieces, none of which is then taken for a line of QEMU's."""

PIECE_BYTES: Final = 1 << 20
"""How often progress is told."""


class Discard(NamedTuple):
    """A range that was given back to the host."""

    block: str
    address: int
    length_bytes: int
    is_advised: bool
    """Whether madvise did it (memory), ..."""
    is_punched: bool
    """... or fallocate (a file)."""
    status: int


class Output(NamedTuple):
    """A page of the balloon, inflated or deflated."""

    region: str
    guest_address: int


class ConfigWrite(NamedTuple):
    """A write to the config space; of what is written, only `actual` shows."""

    actual: int
    old_actual: int


class Pop(NamedTuple):
    """An element that a device took from a queue."""

    queue: int
    in_count: int
    out_count: int


class Notify(NamedTuple):
    """A driver's kick of a queue."""

    device: int
    queue: int


class Status(NamedTuple):
    """A driver wrote a device's status, or it was reset."""

    device: int
    value: int


Said = Discard | Output | ConfigWrite | Pop | Notify | Status


class Line(NamedTuple):
    """A line that means something here."""

    thread: int
    time_ns: int
    said: Said


def _discard(found: re.Match[bytes]) -> Discard:
    block = found[1].decode("utf-8", "replace")
    advised, punched = found[4] != b"0", found[5] != b"0"
    return Discard(
        block, int(found[2], 16), int(found[3], 16), advised, punched, int(found[6] or 0)
    )


_MEANINGS: Final[dict[bytes, tuple[re.Pattern[bytes], Callable[[re.Match[bytes]], Said]]]] = {
    b"ram_block_discard_range": (DISCARD, _discard),
    b"ram_block_discard_shared_range": (DISCARD, _discard),
    b"virtio_balloon_handle_output": (
        OUTPUT,
        lambda found: Output(found[1].decode("utf-8", "replace"), int(found[2], 16)),
    ),
    b"virtio_balloon_set_config": (
        CONFIG_WRITE,
        lambda found: ConfigWrite(int(found[1]), int(found[2])),
    ),
    b"virtqueue_pop": (
        POP,
        lambda found: Pop(int(found[1], 16), int(found[2]), int(found[3])),
    ),
    b"virtio_queue_notify": (
        NOTIFY,
        lambda found: Notify(int(found[1], 16), int(found[2], 16)),
    ),
    b"virtio_set_status": (STATUS, lambda found: Status(int(found[1], 16), int(found[2]))),
}

_STOP_S: Final = 2**32
"""Beyond any clock; in nanoseconds it still fits."""


class LogLines:
    """The lines of a log, each time it is read from its start.

    Attributes
    ----------
    events
        Lines of QEMU's by the name of their event, of the last reading; those of other devices too.
    unknown
        Lines that are none of QEMU's trace, or damaged.
    first_unstamped
        Number of the first line that has an event, but no time; 0 if there is none.
    is_cut
        Whether the last line has no end.
    set_back_ns
        By how much, at most, a line is earlier than one before it: such times are raised.
    """

    def __init__(self, path: Path, progress: Callable[[int], None] = lambda _: None) -> None:
        self.path = path
        self._progress = progress
        self.events: Counter[str] = Counter()
        self.unknown = 0
        self.first_unstamped = 0
        self.is_cut = False
        self.set_back_ns = 0
        self.first_ns = self.last_ns = 0

    def __iter__(self) -> Iterator[Line]:
        """Read the log once more.

        Raises
        ------
        InputError
            It cannot be read, is none, or has no times.
        """
        counts: Counter[bytes] = Counter()
        self.unknown = self.first_unstamped = self.set_back_ns = 0
        self.first_ns = self.last_ns = 0
        for number, text in enumerate(self._texts(), 1):
            found = STAMPED.search(text)
            if found is None:
                self._note_unknown(number, text)
                continue
            line = self._line(found)
            if line is None:
                self.unknown += 1
                continue
            counts[found[4]] += 1
            thread, time_ns, said = line
            if said is not None:
                yield Line(thread, time_ns, said)
        self.events = Counter({name.decode(): count for name, count in counts.items()})
        self._refuse_useless()

    def _texts(self) -> Iterator[bytes]:
        """Give the lines, and tell how many bytes they were."""
        untold, text = 0, b"\n"
        try:
            with self.path.open("rb") as file:
                while text_read := file.readline(LINE_BYTES_MAX):
                    text = text_read
                    yield text
                    untold += len(text)
                    if untold >= PIECE_BYTES:
                        self._progress(untold)
                        untold = 0
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None
        self.is_cut = not text.endswith(b"\n")
        self._progress(untold)

    def _line(self, found: re.Match[bytes]) -> tuple[int, int, Said | None] | None:
        """Give thread, time and meaning of a line (None for another device's); None if damaged."""
        seconds = int(found[2])
        if seconds >= _STOP_S:
            return None
        said = None
        meaning = _MEANINGS.get(found[4])
        if meaning is not None:
            pattern, make = meaning
            whole = pattern.fullmatch(found[4] + found[5].rstrip())
            if whole is None:
                return None
            said = make(whole)
        time_ns = seconds * NANOSECONDS + int(found[3]) * 1000
        return int(found[1]), self._raised(time_ns), said

    def _raised(self, time_ns: int) -> int:
        """Never let time go back: lines stand in the order in which they were written."""
        if not self.first_ns:
            self.first_ns = self.last_ns = time_ns
        self.set_back_ns = max(self.set_back_ns, self.last_ns - time_ns)
        self.last_ns = max(self.last_ns, time_ns)
        return self.last_ns

    def _note_unknown(self, number: int, text: bytes) -> None:
        self.unknown += 1
        if not self.first_unstamped and text.partition(b" ")[0] in _MEANINGS:
            self.first_unstamped = number

    def _refuse_useless(self) -> None:
        asked = " ".join(LOG_ARGUMENTS)
        if self.first_unstamped and not self.events:
            raise InputError(
                f"{self.path}: line {self.first_unstamped} is an event without a time, expected "
                "THREAD@SECONDS.MICROSECONDS: before it; start QEMU with `-msg timestamp=on`"
            )
        known = {name.decode() for name in _MEANINGS}
        if not known & self.events.keys():
            raise InputError(
                f"{self.path}: none of its lines is a trace event about the balloon, as QEMU's log "
                f"has them; start QEMU with `{asked} -D FILE`"
            )
