"""What a worker does: profiles of a batch of guests, and sums of the profiles of all of them.

What a worker is given and what it gives back are bytes, packed as tightly as they can be: a worker
may hold all recordings that were sent, but unpacks no more than one batch of them at a time.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from workbench import errors
from workbench.errors import (
    HostError,
    InputError,
    UnidentifiableError,
    UsageError,
    WorkbenchError,
)
from workbench.replay import LINUX_REPORTING
from workbench.replay.guest_need import series_need
from workbench.spelling import on_one_line
from workbench.study.lineage import made_here
from workbench.study.profiles import Facts, Profile, profile
from workbench.study.store import PAGES, ROW_KEY, from_bytes, to_bytes
from workbench.study.swap import SwapStudy
from workbench.study.swap_jobs import swap_record
from workbench.study.swap_limit import guests_within_limit
from workbench.study.timeline import span_of
from workbench.study.together import fill_hosts
from workbench.trace import GuestSeries, Trace, read_trace
from workbench.units import GIB, HUGE_PAGE_ORDER, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from workbench.study.jobs import Keys
    from workbench.study.study import GuestKind, Study, Variant
    from workbench.study.swap_jobs import SwapQuestion
    from workbench.study.timeline import Timeline

_Checked = TypeVar("_Checked")

_CODEC: Final = "zstd"

_NO_FACTS: Final = Facts(*[0] * len(Facts._fields))
"""Of profiles that are only added up."""


class Refusal(NamedTuple):
    """An error that has a sentence: it is an answer, so that nobody tries again elsewhere."""

    kind: str
    sentence: str

    def error(self) -> WorkbenchError:
        """Make the error again."""
        error: WorkbenchError = getattr(errors, self.kind)(self.sentence)
        return error


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """A profile job as it is sent; its recordings are sent apart, once."""

    key: str
    kind: GuestKind
    variant: Variant
    timeline: Timeline
    rows: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class SwapRequest:
    """A swap job as it is sent; the recordings of all kinds are sent apart, one after the other."""

    study: Study
    variant: Variant
    questions: tuple[SwapQuestion, ...]


@dataclass(frozen=True, slots=True)
class SumRequest:
    """A sum job as it is sent; the profiles come from whoever has them."""

    study: Study
    timeline: Timeline
    share: float
    seeds: tuple[tuple[int, str], ...]
    keys: Keys
    keys_inhibited: Keys | None


def answer(made: Mapping[str, str], work: Callable[..., object], *given: object) -> object:
    """Do a job: give what it gives, or a `Refusal` if there is a sentence why not.

    Parameters
    ----------
    made
        What results are made with where the study was begun, which has to be the same here.
    """
    for each in given:
        if isinstance(each, Refusal):
            return each
    try:
        if made != made_here():
            raise HostError(
                "a worker has joined that has other versions installed than this process; install "
                "the same ones there"
            )
        return work(*given)
    except WorkbenchError as error:
        known = (base for base in type(error).__mro__ if base.__module__ == errors.__name__)
        return Refusal(next(known).__name__, str(error))
    except OSError as error:
        return Refusal(HostError.__name__, _no_place(error))


def _no_place(error: OSError) -> str:
    """Say that a worker cannot keep what it unpacks: jobs have to do with no other files."""
    folder = error.filename or tempfile.tempdir or "its folder for temporary files"
    return (
        f"{on_one_line(str(folder))}: a worker on {platform.node()} cannot use it "
        f"({on_one_line(error.strerror or str(error))}); free some room there, or start it with "
        "another TMPDIR"
    )


def supply(content: bytes) -> bytes:
    """Give what was sent, for the jobs that need it."""
    return content


def warm_up() -> None:
    """Compile what follows series, so that worker processes find it compiled.

    Each would compile it for itself otherwise.  Traces are replayed while a study is read.
    """
    minute_ns, huge_pages = 60 * NANOSECONDS, np.array([1, 2, 3], np.int64)
    values = {
        "time_ns": np.arange(huge_pages.size) * minute_ns,
        "free_pages": huge_pages << HUGE_PAGE_ORDER,
        "free_huge_pages": huge_pages,
        "total_bytes": np.full(huge_pages.size, GIB),
    }
    # A pass comes after the next sample: only the kernel can follow that.
    series_need(GuestSeries("nobody", values), LINUX_REPORTING._replace(delay_ns=2 * minute_ns))


def compute_profiles(request: ProfileRequest, packed: bytes) -> bytes:
    """Follow guests of one kind, and make a file for the store: a row for each profile."""
    with unpacked(packed) as members:
        profiles = [
            profile(members[number], request.kind, request.variant, request.timeline)
            for number, _ in request.rows
        ]
    facts = pa.Table.from_pylist([each.facts._asdict() for each in profiles])
    table = facts.add_column(0, ROW_KEY, pa.array([key for _, key in request.rows]))
    offsets = np.cumsum([0, *(each.pages.size for each in profiles)], dtype=np.int64)
    pages = pa.array(np.concatenate([each.pages for each in profiles]))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pages)
    return to_bytes(table.append_column(PAGES, lists), request.key)


def compute_sums(request: SumRequest, *files: bytes) -> list[bytes]:
    """Add up what guests need together, and make a file for the store of each seed."""
    groups = (*request.keys, *(request.keys_inhibited or ()))
    wanted = {key for keys in groups for key in keys}
    profiles: dict[str, Profile] = {}
    for content in files:
        _, table = from_bytes(content)
        profiles.update(_profiles(table, wanted))
    under, inhibited = (
        None if keys is None else [[profiles[key] for key in members] for members in keys]
        for keys in (request.keys, request.keys_inhibited)
    )
    made = []
    for seed, key in request.seeds:
        rows = fill_hosts(
            request.study,
            request.timeline,
            seed,
            request.share,
            under or [],
            profiles_inhibited=inhibited,
        )
        made.append(to_bytes(pa.table(rows), key))
    return made


def compute_swaps(request: SwapRequest, *packed: bytes) -> list[bytes]:
    """Answer what is asked of swap, and make a file for the store of each answer."""
    with contextlib.ExitStack() as stack:
        members = iter([each for one in packed for each in stack.enter_context(unpacked(one))])
        kinds = tuple(
            _changed(kind, members=tuple(itertools.islice(members, len(kind.members))))
            for kind in request.study.guests
        )
        asked = SwapStudy(_changed(request.study, guests=kinds), request.variant)
        return [
            to_bytes(pa.Table.from_pylist([_swap_answer(asked, each)]), each.key)
            for each in request.questions
        ]


def _swap_answer(asked: SwapStudy, question: SwapQuestion) -> dict[str, Any]:
    if question.most is not None:
        return {"guests": guests_within_limit(asked, question.host, question.most).guests}
    guests, seed = question.guests, question.seed
    try:
        (row,) = asked.on_host(question.host, [guests], seed)
        return swap_record(row, asked.notes_of(guests, seed))
    except (UnidentifiableError, UsageError) as error:
        # The study has its answer without: what cannot be followed page by page is said.
        return swap_record(None, (f"swap: not known page by page ({error})",))


def _profiles(table: pa.Table, wanted: set[str]) -> Iterator[tuple[str, Profile]]:
    """Go through the profiles that are wanted; sums need their pages only."""
    lists = table[PAGES].combine_chunks()
    offsets, pages = lists.offsets.to_numpy(), lists.values.to_numpy()
    for row, key in enumerate(table[ROW_KEY].to_pylist()):
        if key in wanted:
            yield key, Profile(pages[offsets[row] : offsets[row + 1]], _NO_FACTS)


# --- recordings ----------------------------------------------------------------------------------


class _Folder(NamedTuple):
    """A trace as it is sent: its files, by where they are in its folder."""

    name: str
    digest: str
    files: dict[str, bytes]


class _Packed(NamedTuple):
    """Recordings on their way: what is in their arrays apart, as it takes most of the room."""

    recordings: bytes
    array_bytes: list[int]
    arrays: bytes


def pack(members: Sequence[GuestSeries | Trace]) -> bytes:
    """Pack recordings for the way: all that is in them, as nobody else may have their files."""
    # A trace that was made in memory is all there.
    plain = [
        _folder(each) if isinstance(each, Trace) and not each.is_made else each for each in members
    ]
    buffers: list[pickle.PickleBuffer] = []
    recordings = pickle.dumps(plain, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    content = pa.compress(b"".join(arrays), codec=_CODEC, asbytes=True)
    return pickle.dumps(_Packed(recordings, [array.nbytes for array in arrays], content))


@contextlib.contextmanager
def unpacked(packed: bytes) -> Iterator[list[GuestSeries | Trace]]:
    """Give the recordings for as long as they are needed.

    Raises
    ------
    InputError
        The files of a trace were not any more what they had been.
    """
    sent: _Packed = pickle.loads(packed)  # noqa: S301 - Dask itself runs whatever it is sent.
    stops = list(itertools.accumulate(sent.array_bytes))
    content = pa.decompress(sent.arrays, decompressed_size=sum(sent.array_bytes), codec=_CODEC)
    arrays = memoryview(content)
    # They stay where they were unpacked to: nothing is copied once more.
    parts = [arrays[stop - size : stop] for stop, size in zip(stops, sent.array_bytes, strict=True)]
    members = pickle.loads(sent.recordings, buffers=parts)  # noqa: S301 - as above.
    with tempfile.TemporaryDirectory(prefix="workbench-study-") as folder:
        yield [
            _trace(each, Path(folder, str(number))) if isinstance(each, _Folder) else each
            for number, each in enumerate(members)
        ]


def _folder(trace: Trace) -> _Folder:
    try:
        paths = [path for path in sorted(trace.path.rglob("*")) if path.is_file()]
        files = {path.relative_to(trace.path).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise InputError(f"{trace.path}: cannot be read ({error.strerror})") from None
    return _Folder(trace.path.name, trace.digest, files)


def _trace(sent: _Folder, folder: Path) -> Trace:
    for name, content in sent.files.items():
        path = folder / sent.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    trace = read_trace(folder / sent.name)
    # Results are kept by the digest of what was read when the study was: they must be of that.
    if trace.digest != sent.digest:
        raise InputError(
            f"{on_one_line(sent.name)}: has changed since the study was read; run it again"
        )
    return trace


def without_members(kind: GuestKind) -> GuestKind:
    """Give a kind as it is sent: its recordings are sent apart."""
    return _changed(kind, members=())


def outline(study: Study) -> Study:
    """Leave out of a study what draws and sums do not look at: all but when guests were seen."""
    kinds = (_changed(kind, members=tuple(map(_outline, kind.members))) for kind in study.guests)
    return _changed(study, guests=tuple(kinds), variants=())


def _outline(member: GuestSeries | Trace) -> GuestSeries:
    """Make a series that was seen from and until the same time, and holds nothing else.

    Its last sample holds for as long as the interval before it that is shortest: a nanosecond.
    """
    span = span_of(member)
    times = np.unique([span.start_ns, span.start_ns + 1, span.stop_ns - 1])
    return GuestSeries(member.name, {"time_ns": times.astype(np.int64)})


def _changed(checked: _Checked, **values: object) -> _Checked:
    """Change a copy of something that was checked, and is not what it was to be checked again."""
    changed = copy.copy(checked)
    for name, value in values.items():
        object.__setattr__(changed, name, value)
    return changed
