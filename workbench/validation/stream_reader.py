"""QEMU's migration stream: which pages of RAM it holds.

Source: QEMU 7.2 docs/devel/migration.rst; migration/savevm.c (qemu_savevm_state_header,
save_section_header, save_section_footer); migration/ram.c (ram_save_setup, save_page_header,
save_zero_page_to_file).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

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
            self._take_pages()
        if (yield from self._integer(_U8)) != FOOTER:
            raise InputError(f"no footer at byte {self._at - 1} of the stream, behind pages of RAM")
        yield from self._integer(_U32)

    def _take_pages(self) -> None:
        """Step over pages of the same block that have come whole: most of a stream, and fast."""
        content, at = self.content, self._at
        while at + _U64.size + PAGE_BYTES <= len(content):
            (word,) = _U64.unpack_from(content, at)
            offset_bytes, flags = word & -PAGE_BYTES, word & (PAGE_BYTES - 1)
            at += _U64.size
            if flags == _ZERO | _SAME_BLOCK:
                self.sent.append(PageSent(self._block, offset_bytes, None))
                at += 1
            elif flags == _PAGE | _SAME_BLOCK:
                self.sent.append(PageSent(self._block, offset_bytes, at))
                at += PAGE_BYTES
            else:
                return
            self._at = at

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
