"""What jobs of a study have finished, kept so that no job is done twice.

A finished job is one Parquet file.  Its name holds the job's key, which is a digest of all that
decides about the result, and a digest of the file: what does not answer to its name is not trusted,
and the job is done again.  Files are written whole, synced and renamed into place, so whatever ends
a study, everything that was finished by then is there the next time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError, UsageError, WriteError
from workbench.whole_file import replacing

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

JOBS_NAME: Final = "jobs"
"""The folder of finished jobs, in that of the result."""

PAGES: Final = "pages"
"""The column that holds all of a profile; the others say something about it."""

ROW_KEY: Final = "key"
"""The column that names a profile by what decides about it."""

_KEY: Final = b"key"

KINDS: Final = ("profiles", "sums", "swaps")
"""Of jobs."""

_NAME: Final = re.compile(rf"({'|'.join(KINDS)})-([0-9a-f]{{32}})-([0-9a-f]{{32}})\.parquet")

_DIGITS: Final = 32
"""Hexadecimal digits of a digest: of so many bits no two are ever met that are alike."""


def short_digest(content: bytes) -> str:
    """Name some bytes, as briefly as is safe."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def to_bytes(table: pa.Table, key: str) -> bytes:
    """Make a file of what a job gave: equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    longest = [f"{PAGES}.list.element"] if PAGES in table.column_names else []
    pq.write_table(
        table.replace_schema_metadata({_KEY: key}),
        sink,
        compression="zstd",
        use_dictionary=[name for name in table.column_names if name != PAGES],
        # Needs change by little from moment to moment.
        column_encoding=dict.fromkeys(longest, "DELTA_BINARY_PACKED") or None,
    )
    return bytes(sink.getvalue())


def from_bytes(content: bytes, *, with_pages: bool = True) -> tuple[str, pa.Table]:
    """Read what `to_bytes` made: the job's key, and its table.

    Raises
    ------
    InputError
        It is damaged, or something else.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        key = (file.schema_arrow.metadata or {})[_KEY].decode("ascii")
        wanted = [name for name in names if with_pages or name != PAGES]
        return key, file.read(columns=wanted, use_threads=False)
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise InputError(f"is no finished job of a study ({error}); compute it again") from None


class KeptProfiles(NamedTuple):
    """A file of profiles, and all it holds but their pages: a row for each."""

    path: Path
    about: pa.Table


class Store:
    """The finished jobs in the folder of a result; one process at a time can have it.

    Attributes
    ----------
    profiles
        The file of every profile, by the key of its row.
    sums, swaps
        The file of every sum, and of every number of guests that keep the limit of what is read
        back from swap, by the key of its job.
    damaged
        Files that are not what their name says; nothing of them is used.

    Raises
    ------
    UsageError
        There is something else in the folder, or another process is at work on it.
    WriteError
        The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        check_study_folder(folder)
        self.folder = folder / JOBS_NAME
        self.profiles: dict[str, KeptProfiles] = {}
        self.sums: dict[str, Path] = {}
        self.swaps: dict[str, Path] = {}
        self.damaged: list[Path] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise WriteError(f"{self.folder}: cannot be made ({error.strerror})") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise UsageError(
                f"{folder}: another study is being computed into it; wait for it, or name another"
            ) from None
        for path in sorted(self.folder.iterdir()):
            if _NAME.fullmatch(path.name) and not self._trust(path):
                self.damaged.append(path)

    def __enter__(self) -> Self:
        """Keep others out until it is over."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others have it."""
        os.close(self._lock)

    def keep(self, kind: str, key: str, content: bytes) -> None:
        """Keep what a job gave, from now on, whatever happens.

        Parameters
        ----------
        kind
            `profiles`, `sums` or `swaps`.
        content
            A file that `to_bytes` made.

        Raises
        ------
        WriteError
            It cannot be written.
        """
        path = self.folder / f"{kind}-{key}-{short_digest(content)}.parquet"
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        self._use(path, content)

    def _trust(self, path: Path) -> bool:
        """Use a file, if it is what its name says."""
        try:
            content = path.read_bytes()
            if not path.stem.endswith(short_digest(content)):
                return False
            self._use(path, content)
        except (InputError, OSError):
            return False
        return True

    def _use(self, path: Path, content: bytes) -> None:
        kind, named, _ = path.stem.split("-")
        key, about = from_bytes(content, with_pages=False)
        if key != named:
            raise InputError(f"{path}: holds job {key}; remove it")
        if kind == "profiles":
            if ROW_KEY not in about.column_names:
                raise InputError(f"{path}: does not say whose profiles it holds; remove it")
            kept = KeptProfiles(path, about)
            self.profiles |= dict.fromkeys(about[ROW_KEY].to_pylist(), kept)
        else:
            (self.sums if kind == "sums" else self.swaps)[key] = path


def check_study_folder(folder: Path) -> None:
    """Refuse to compute a study into anything but a folder of its own.

    Raises
    ------
    UsageError
        There is something else at `folder`.
    """
    if not folder.exists():
        return
    is_study = (folder / JOBS_NAME).is_dir()
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if not is_study and not is_empty:
        raise UsageError(f"{folder}: exists and is no earlier study; name another folder")
