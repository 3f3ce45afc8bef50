"""Where a guest's RAM begins in QEMU's memory: given, told by the log, or assumed.

QEMU's log names host addresses; a trace names offsets in RAM blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.trace.qemu_survey import Seen, Span

ONLY: Final = ""
"""The name under which an option is given that is about the only RAM block there is."""

DEFAULT_BLOCK: Final = "pc.ram"
"""What QEMU calls the RAM of a machine that has no memory backend of its own (hw/i386/pc.c)."""

HOST_ADDRESS_ADVICE: Final = (
    "the monitor of a running QEMU answers `gpa2hva 0` with where its RAM begins"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A RAM block of a guest.

    Attributes
    ----------
    base
        Its first byte, in QEMU's memory.
    notes
        What of it is assumed, and how it is known.
    """

    name: str
    base: int
    size_bytes: int
    is_advised: bool
    is_punched: bool
    notes: tuple[str, ...]

    @property
    def page_bytes(self) -> int:
        """What the host can take back: memory that only fallocate gives back is of huge pages.

        Source: QEMU 7.2 softmmu/physmem.c, ram_block_discard_range(): need_madvise.
        """
        return HUGE_PAGE_BYTES if self.is_punched and not self.is_advised else PAGE_BYTES


def named(given: Mapping[str, int], names: Sequence[str], option: str) -> dict[str, int]:
    """Give an option's numbers by the name of the RAM block.

    Raises
    ------
    UsageError
        It names a block that the log does not, or none where there are several.
    """
    if ONLY not in given:
        unknown = sorted(given.keys() - set(names))
        if unknown and names:
            raise UsageError(
                f"{option} {unknown[0]}=...: the log discards no RAM block of that name, only "
                f"{', '.join(names)}"
            )
        return dict(given)
    if len(names) > 1:
        raise UsageError(
            f"{option}: the log discards {', '.join(names)}; say which are guest RAM, each as "
            f"{option} NAME=..."
        )
    return {(names or [DEFAULT_BLOCK])[0]: given[ONLY]}


def place_blocks(
    guest: Seen, sizes: Mapping[str, int], bases: Mapping[str, int]
) -> tuple[Block, ...]:
    """Place the RAM blocks of a guest; where sizes are given, those are all it has.

    Raises
    ------
    UsageError
        A size or base that was given does not fit what the log has, or none was and it has no
        discard.
    """
    names = sorted(sizes or guest.spans)
    if not names:
        raise UsageError("the log has no discard that tells the guest's memory: give --memory SIZE")
    return tuple(_place(name, guest.spans.get(name), sizes, bases) for name in names)


def _place(
    name: str, span: Span | None, sizes: Mapping[str, int], bases: Mapping[str, int]
) -> Block:
    if span is None:
        return Block(name, bases.get(name, 0), sizes[name], True, False, ())  # noqa: FBT003 - as RAM is.
    base, how = _base(name, span, sizes.get(name), bases.get(name))
    notes = [how]
    size_bytes = sizes.get(name)
    if size_bytes is None:
        size_bytes = -(-(span.stop - base) // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
        notes.append(f"{name} is assumed to be no larger than what the log shows: --memory SIZE")
    if base + size_bytes < span.stop:
        raise UsageError(
            f"--memory {format_bytes(size_bytes)}: {name} was discarded from {span.first:#x} to "
            f"{span.stop:#x}, which is not within that much from {base:#x}; give the memory that "
            "its QEMU was started with"
        )
    return Block(name, base, size_bytes, span.is_advised, span.is_punched, tuple(notes))


def _base(name: str, span: Span, size_bytes: int | None, given: int | None) -> tuple[int, str]:
    """Give the address of the block's first byte, and how it is known."""
    if given is not None:
        if given > span.first:
            raise UsageError(
                f"--host-base {given:#x}: {name} was discarded at {span.first:#x}, which is before "
                f"that; {HOST_ADDRESS_ADVICE}"
            )
        return given, f"{name} begins at {given:#x}, as was said"
    lowest = 0 if size_bytes is None else max(span.stop - size_bytes, 0)
    if span.bases:
        base = min(span.bases, key=lambda each: (-span.bases[each], each))
        if lowest <= base <= span.first:
            return base, f"{name} begins at {base:#x}, as pages of the balloon show"
    # Anonymous memory begins at 2 MiB (QEMU 7.2 include/qemu/osdep.h, QEMU_VMALLOC_ALIGN on
    # x86-64), files at a page.
    align = PAGE_BYTES if span.is_punched else HUGE_PAGE_BYTES
    base = span.first // align * align
    places = (base - -(-lowest // align) * align) // align + 1
    if size_bytes is None or places != 1:
        count = "" if size_bytes is None else f" of {max(places, 1):,} that are possible"
        return base, (
            f"{name} is assumed to begin at {base:#x}, the highest address{count}: offsets may be "
            f"too low, all by the same; --host-base says it ({HOST_ADDRESS_ADVICE})"
        )
    return base, f"{name} begins at {base:#x}, the only address it can"
