"""QEMU's migration stream: which pages of RAM it holds, and the balloon device's saved state.

Source: QEMU 7.2 docs/devel/migration.rst; migration/savevm.c (qemu_savevm_state_header,
save_section_header, save_section_footer); migration/ram.c (ram_save_setup, save_page_header,
save_zero_page_to_file); hw/virtio/virtio.c (virtio_save).
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from workbench.errors import InputError
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

HEADER: Final = b"QEVM" + bytes((0, 0, 0, 3))
"""Magic and version (migration/qemu-file-types, QEMU_VM_FILE_MAGIC, QEMU_VM_FILE_VERSION)."""

END_OF_STREAM: Final = 0
SECTION_START: Final = 1
SECTION_PART: Final = 2
SECTION_END: Final = 3
SECTION_FULL: Final = 4
SUBSECTION: Final = 5
CONFIGURATION: Final = 7
COMMAND: Final = 8
FOOTER: Final = 0x7E
"""What a part of a stream begins with (migration/savevm.h, QEMU_VM_*)."""

_ZERO: Final = 0x02
_SIZES: Final = 0x04
_PAGE: Final = 0x08
_LAST: Final = 0x10
_SAME_BLOCK: Final = 0x20
"""Flags in the low bits of a page's offset (migration/ram.c, RAM_SAVE_FLAG_*)."""

ZERO_PAGE: Final = bytes(PAGE_BYTES)
"""The content of every page that was only flagged as zero; always this very object."""

_U8: Final = Struct(">B")
_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_U64: Final = Struct(">Q")


class PageSent(NamedTuple):
    """One sending of one page."""

    block: str
    """Name of the RAM block, as in `info ramblock`."""
    offset_bytes: int
    at: int | None
    """Where its content begins in the stream; None if it was flagged as zero."""


class StreamReader:
    """Reads the pages of RAM off a stream that arrives in pieces.

    Only RAM may be sent section by section, as on a machine without disks; pages are 4 KiB and
    neither compressed nor sent by another channel.
    """

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.content = bytearray()
        """All that has arrived."""
        self.sent: list[PageSent] = []
        """The pages that have arrived, in that order; a page may be sent again."""
        self.devices_at: int | None = None
        """Where the first device's section begins, once that has arrived."""
        self._at = 0
        self._block = ""
        self._parser = self._stream()
        next(self._parser)

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises
        ------
        InputError
            It is no such stream.
        """
        self.content += data
        next(self._parser, None)

    def content_of(self, page: PageSent) -> bytes:
        """Give what was sent as the content of a page."""
        if page.at is None:
            return ZERO_PAGE
        return bytes(self.content[page.at : page.at + PAGE_BYTES])

    def pages(self) -> dict[tuple[str, int], bytes]:
        """Give each page's content as of its last sending, by block and offset."""
        return {(page.block, page.offset_bytes): self.content_of(page) for page in self.sent}

    def _take(self, length_bytes: int) -> Generator[None, None, bytes]:
        """Wait for bytes and step over them."""
        stop = self._at + length_bytes
        while len(self.content) < stop:
            yield
        data = bytes(self.content[self._at : stop])
        self._at = stop
        return data

    def _integer(self, form: Struct) -> Generator[None, None, int]:
        value: int
        (value,) = form.unpack((yield from self._take(form.size)))
        return value

    def _text(self) -> Generator[None, None, str]:
        length_bytes = yield from self._integer(_U8)
        return (yield from self._take(length_bytes)).decode(errors="replace")

    def _stream(self) -> Generator[None, None, None]:
        if (yield from self._take(len(HEADER))) != HEADER:
            raise InputError("not a migration stream of version 3: its first bytes differ")
        while True:
            place = self._at
            kind = yield from self._integer(_U8)
            if kind in {SECTION_FULL, END_OF_STREAM}:
                self.devices_at = place
                break
            if kind == CONFIGURATION:
                length_bytes = yield from self._integer(_U32)
                yield from self._take(length_bytes)
            elif kind == COMMAND:
                yield from self._integer(_U16)
                length_bytes = yield from self._integer(_U16)
                yield from self._take(length_bytes)
            elif kind in {SECTION_START, SECTION_PART, SECTION_END}:
                yield from self._section(kind)
            else:
                raise InputError(f"byte {place} of the stream begins no known section: {kind}")

    def _section(self, kind: int) -> Generator[None, None, None]:
        yield from self._integer(_U32)
        if kind == SECTION_START:
            name = yield from self._text()
            yield from self._take(2 * _U32.size)
            if name != "ram":
                raise InputError(f"the stream sends '{name}' piece by piece; only RAM is expected")
        while (yield from self._record()):
            pass
        if (yield from self._integer(_U8)) != FOOTER:
            raise InputError(f"no footer at byte {self._at - 1} of the stream, behind pages of RAM")
        yield from self._integer(_U32)

    def _record(self) -> Generator[None, None, bool]:
        """Read a list of blocks or a page.  Returns False at the mark that ends a section."""
        word = yield from self._integer(_U64)
        offset_bytes, flags = word & -PAGE_BYTES, word & (PAGE_BYTES - 1)
        if flags & _LAST:
            return False
        if flags & _SIZES:
            while offset_bytes > 0:
                yield from self._text()
                offset_bytes -= yield from self._integer(_U64)
            return True
        if not flags & _SAME_BLOCK:
            self._block = yield from self._text()
        if flags & _PAGE:
            yield from self._take(PAGE_BYTES)
            self.sent.append(PageSent(self._block, offset_bytes, self._at - PAGE_BYTES))
        elif flags & _ZERO:
            yield from self._take(1)
            self.sent.append(PageSent(self._block, offset_bytes, None))
        else:
            raise InputError(f"byte {self._at} of the stream: pages with flags {flags:#x} are new")
        return True


def read_stream(stream: bytes | Iterable[bytes]) -> StreamReader:
    """Read a stream, whole or in pieces."""
    reader = StreamReader()
    for piece in (stream,) if isinstance(stream, bytes) else stream:
        reader.feed(piece)
    return reader


def pages_sent(stream: bytes | Iterable[bytes]) -> dict[tuple[str, int], bytes]:
    """Tell what a stream says of RAM.

    Returns
    -------
        The content of each page that was sent, as of its last sending, by (block, offset).  Pages
        that were flagged as zero are the object `ZERO_PAGE`.  Pages never sent are missing.
    """
    return read_stream(stream).pages()


class DeviceState(TypedDict, total=False):
    """The balloon device's section of a stream, as far as it matters to the device.

    Source: QEMU 7.2 hw/virtio/virtio-balloon.c, vmstate_virtio_balloon_device and its two
    subsections.
    """

    status: int
    isr: int
    features: int
    """The negotiated ones, of the lower 32."""
    shadow: bytes
    """The config space, as it was read or written last."""
    queues: list[tuple[int, int, int]]
    """Size, address of the descriptors, and how far the available ring was read."""
    num_pages: int
    actual: int
    cmd_id: int
    """With hinting negotiated only; so is the next."""
    hint_status: int
    """0 stop, 1 requested, 2 start, 3 done."""
    poison_val: int
    """With page poison negotiated only."""


_SECTION_NAME: Final = re.compile(rb"\x04(.{4})(.)([\x21-\x7e]*virtio-balloon)\0\0\0\0", re.DOTALL)
"""Kind, section number, length of the name, name, instance 0."""

_PCI_BYTES: Final = 4 + 256 + 4 * 4
"""hw/pci/pci.c, vmstate_pci_device: version, config space (conventional), four interrupt lines."""

_HINT: Final = b"virtio-balloon-device/free-page-report"
_POISON: Final = b"virtio-balloon-device/page-poison"


class _Cursor:
    """A place in a stream that moves on as it is read."""

    def __init__(self, content: bytes, at: int) -> None:
        self.content = content
        self.at = at

    def integer(self, form: Struct) -> int:
        """Step over a number."""
        if self.at + form.size > len(self.content):
            raise InputError("the stream ends within the balloon's section")
        value: int
        (value,) = form.unpack_from(self.content, self.at)
        self.at += form.size
        return value

    def subsection(self, name: bytes) -> bool:
        """Step into a subsection, if it is the next thing."""
        start = bytes((SUBSECTION, len(name))) + name + _U32.pack(1)
        found = self.content.startswith(start, self.at)
        if found:
            self.at += len(start)
        return found


def _find_section(stream: bytes) -> _Cursor:
    devices_at = read_stream(stream).devices_at
    if devices_at is None:
        raise InputError("the stream ends before the states of devices; was it cut off?")
    found = _SECTION_NAME.search(stream, devices_at)
    if found is None or len(found.group(3)) != found.group(2)[0]:
        raise InputError("the stream holds no state of a virtio-balloon device")
    # Behind the instance comes the section's version, then what virtio-pci saves.
    return _Cursor(stream, found.end() + _U32.size + _PCI_BYTES)


def device_state(stream: bytes) -> DeviceState:
    """Read the balloon's state off a complete stream.

    The device is a conventional PCI device without MSI-X, as it is by default.
    """
    return _read_state(_find_section(stream))[0]


def _read_state(cursor: _Cursor) -> tuple[DeviceState, int | None]:
    """Read the state.  Returns also where the hinting subsection's fields are, if it is there."""
    state = DeviceState(status=cursor.integer(_U8), isr=cursor.integer(_U8))
    cursor.integer(_U16)  # Which queue is selected.
    state["features"] = cursor.integer(_U32)
    shadow_bytes = cursor.integer(_U32)
    state["shadow"] = cursor.content[cursor.at : cursor.at + shadow_bytes]
    cursor.at += shadow_bytes
    state["queues"] = [
        (cursor.integer(_U32), cursor.integer(_U64), cursor.integer(_U16))
        for _ in range(cursor.integer(_U32))
    ]
    state["num_pages"] = cursor.integer(_U32)
    state["actual"] = cursor.integer(_U32)
    hint_at = None
    if cursor.subsection(_HINT):
        hint_at = cursor.at
        state["cmd_id"] = cursor.integer(_U32)
        state["hint_status"] = cursor.integer(_U32)
    if cursor.subsection(_POISON):
        state["poison_val"] = cursor.integer(_U32)
    # What follows are subsections of virtio, or nothing.
    if cursor.integer(_U8) not in {SUBSECTION, FOOTER}:
        raise InputError("the balloon's section is not laid out as QEMU 7.2 does without MSI-X")
    return state, hint_at


def with_hint_state(stream: bytes, cmd_id: int, status: int) -> bytes:
    """Put another command id and status of hinting into a stream.

    Raises
    ------
    InputError
        They are not in the stream, because hinting was not negotiated.
    """
    _, hint_at = _read_state(_find_section(stream))
    if hint_at is None:
        raise InputError("the stream has no command id: hinting was not negotiated")
    fields = _U32.pack(cmd_id) + _U32.pack(status)
    return stream[:hint_at] + fields + stream[hint_at + len(fields) :]
