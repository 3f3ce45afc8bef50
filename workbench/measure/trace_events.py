"""A file in the JSON Trace Event Format, which ui.perfetto.dev opens: written event by event.

Source: perfetto.dev/docs/getting-started/other-formats ("Chrome JSON format"), and what Perfetto
makes of each field: src/trace_processor/importers/json/json_trace_parser_impl.cc.  There a thread
is known by its number alone, so that no two processes may share one; a counter is called by its
name and that of its argument; and slices of a thread must nest.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from typing import TYPE_CHECKING, Final, Protocol

from workbench.errors import UsageError
from workbench.spelling import on_one_line
from workbench.whole_file import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Arguments = Mapping[str, int | float | str]

THREADS_PER_PROCESS: Final = 100
"""Numbers of a process's threads follow its own; process 0 is the kernel's idle task."""


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int:
        """Take these bytes, as a file does."""


class TraceEvents:
    """Writes one file.  Times are in nanoseconds since the beginning of what is shown.

    Processes and threads are named first; a process's number is 1 or more, a thread's 1 to 99.
    Names of processes may be any text, all others are the caller's own words.
    """

    def __init__(self, file: _Sink, about: Arguments) -> None:
        self._file = file
        self._between = b""
        # Perfetto takes text for C's, which ends at a zero.
        head = json.dumps({name: on_one_line(str(value)) for name, value in about.items()})
        self._file.write(b'{"otherData":' + head.encode() + b',"traceEvents":[\n')

    def process(self, process: int, name: str) -> None:
        """Name a process; they stand in the order of their numbers."""
        number = process * THREADS_PER_PROCESS
        self._metadata(number, number, "process_name", {"name": on_one_line(name)})
        self._metadata(number, number, "process_sort_index", {"sort_index": process})

    def thread(self, process: int, thread: int, name: str) -> None:
        """Name a thread: a track of slices."""
        number = process * THREADS_PER_PROCESS
        self._metadata(number, number + thread, "thread_name", {"name": name})
        self._metadata(number, number + thread, "thread_sort_index", {"sort_index": thread})

    def _metadata(self, process: int, thread: int, name: str, arguments: Arguments) -> None:
        self._write({"ph": "M", "pid": process, "tid": thread, "name": name}, arguments)

    def slice(  # noqa: PLR0917 - where, when, how long, what.
        self,
        process: int,
        thread: int,
        time_ns: int,
        duration_ns: int,
        name: str,
        arguments: Arguments,
    ) -> None:
        """Something that lasted."""
        number = process * THREADS_PER_PROCESS
        times = {"ts": _microseconds(time_ns), "dur": _microseconds(duration_ns)}
        self._write(
            {"ph": "X", "pid": number, "tid": number + thread, "name": name, **times}, arguments
        )

    def instant(
        self, process: int, thread: int, time_ns: int, name: str, arguments: Arguments
    ) -> None:
        """Something that happened at once."""
        number = process * THREADS_PER_PROCESS
        where = {"pid": number, "tid": number + thread, "ts": _microseconds(time_ns)}
        self._write({"ph": "i", "s": "t", "name": name, **where}, arguments)

    def counter(self, process: int, time_ns: int, name: str, unit: str, value: float) -> None:
        """A value from this time on; its track is called `name unit`."""
        number = process * THREADS_PER_PROCESS
        where = {"pid": number, "tid": number, "ts": _microseconds(time_ns)}
        self._write({"ph": "C", "name": name, **where}, {unit: value})

    def end(self) -> None:
        """Complete the file."""
        self._file.write(b"\n]}\n")

    def _write(self, event: Arguments, arguments: Arguments) -> None:
        text = _ENCODER.encode({**event, "args": arguments})
        self._file.write(self._between + text.encode())
        self._between = b",\n"


def _microseconds(time_ns: int) -> float:
    """Give a time in the format's unit, so that Perfetto gets the same nanosecond back.

    It multiplies by 1000 and cuts (CoerceToTs in json_trace_utils.cc): a slice could end a
    nanosecond after the next one begins.
    """
    time_us = time_ns / 1000
    return time_us if int(time_us * 1000) == time_ns else (time_ns + 0.5) / 1000


@contextlib.contextmanager
def trace_events(path: Path, about: Arguments) -> Iterator[TraceEvents]:
    """Write `path`, compressed if its name ends in .gz; it is there when it is whole.

    Equal events give equal bytes.

    Raises
    ------
    UsageError
        It is there already.
    HostError
        It cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path}: exists already; name another file or remove it first")
    with replacing(path) as temporary, contextlib.ExitStack() as stack:
        file = stack.enter_context(temporary.open("wb"))
        sink: _Sink = file
        if path.suffix == ".gz":
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            sink = stack.enter_context(packed)
        events = TraceEvents(sink, about)
        yield events
        events.end()
