"""The host that a scenario is made for: its lines of `host WORD VALUE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError
from workbench.lab.sizes import parse_size
from workbench.spelling import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAdvice:
    """What a scenario recommends; None where it says nothing.

    Parameters
    ----------
    guest_count
        How many guests run it at the same time.
    memory_limit_bytes
        Limit of a memory cgroup around them all.
    zram_bytes, swap_file_bytes
        Size of a swap device in compressed memory, and of one on a file.
    page_cluster
        Swap readahead: the host reads 2 to this power pages at once.
    """

    guest_count: int | None = None
    memory_limit_bytes: int | None = None
    zram_bytes: int | None = None
    swap_file_bytes: int | None = None
    page_cluster: int | None = None


HOST_WORDS: Final[dict[str, tuple[str, Callable[[str], int]]]] = {
    "guests": ("guest_count", int),
    "memory-limit": ("memory_limit_bytes", parse_size),
    "swap": ("zram_bytes", parse_size),
    "swap-file": ("swap_file_bytes", parse_size),
    "page-cluster": ("page_cluster", int),
}
"""The words after `host`, named like the options of `lab run`: the field, and how it is read."""


def parse_host_line(words: list[str]) -> tuple[str, int]:
    """Read the words of one line that begins with `host`: a field of `HostAdvice` and its value.

    Raises
    ------
    UsageError
        It cannot be understood.
    """
    match words:
        case [_, word, text] if word in HOST_WORDS:
            field, read = HOST_WORDS[word]
        case [_, word, _]:
            meant = suggestion(word, HOST_WORDS)
            raise UsageError(f"unknown word {word!r}: it is {', '.join(HOST_WORDS)}{meant}")
        case _:
            raise UsageError(f"{' '.join(words)!r} should be written `host WORD VALUE`")
    try:
        return field, read(text)
    except ValueError:
        raise UsageError(f"{text!r} is no whole number") from None
