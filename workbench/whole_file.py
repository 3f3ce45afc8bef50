"""Files that are there as a whole, or as they were."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from workbench.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write beside `path`, sync, rename: readers see the old file or the whole new one.

    The file is private to its owner, whatever the umask is.  Where `path` is a link, what it names
    is replaced, and the link stays.

    Raises
    ------
    WriteError
        It cannot be written, or is no plain file: a device that is replaced is gone.
    """
    if path.is_symlink():
        path = path.resolve()
    if path.exists() and not path.is_file():
        raise WriteError(f"{path}: is no plain file, and is not replaced; name another")
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.unlink(missing_ok=True)
        # Made before anything is in it: nobody else can open it, whatever the umask is.
        temporary.touch(mode=0o600, exist_ok=False)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> WriteError:
    """Say that a file or folder cannot be written, and what to do."""
    # Arrow puts a text of its own where the system's reason belongs.
    reason = os.strerror(error.errno) if error.errno else str(error)
    return WriteError(
        f"{path}: cannot be written ({reason}); free some room or name another folder"
    )
