"""Huge pages of the host, borrowed for a while."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL: Final = Path("/proc/sys/vm/nr_hugepages")
"""How many huge pages of the default size (2 MiB) the host keeps ready.

Source: Linux Documentation/admin-guide/mm/hugetlbpage.rst.
"""


@contextmanager
def huge_pages(count: int, *, pool: Path = POOL) -> Iterator[None]:
    """Have `count` more huge pages in the host's pool, and give them back in the end.

    What is given back is as many as were added: others may borrow some at the same time.

    Raises
    ------
    HostError
        The host does not allow it, or has no such stretch of free memory.
    """
    added = 0
    try:
        try:
            before = _size(pool)
            pool.write_text(str(before + count), "utf-8")
            added = _size(pool) - before
        except OSError as error:
            raise HostError(
                f"cannot set aside {count} huge pages in {pool} ({error.strerror}): run as root, "
                "on a host or in a container that may write there"
            ) from error
        if added < count:
            raise HostError(
                f"the host gave {added} of {count} huge pages: its free memory is too little or "
                "too scattered; end something, or `echo 1 > /proc/sys/vm/compact_memory`"
            )
        yield
    finally:
        if added > 0:
            with suppress(OSError):  # Nothing is left to do about it.
                pool.write_text(str(max(0, _size(pool) - added)), "utf-8")


def _size(pool: Path) -> int:
    return int(pool.read_text("utf-8"))
