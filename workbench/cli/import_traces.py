"""Make a trace of what another tool wrote: QEMU's own trace log, or a CSV of events."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import JsonOption, counting, note
from workbench.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.trace import Trace

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="The trace folder to make.")
]
_Memory = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SIZE", help="The guest's memory; NAME=SIZE of each RAM block if it has several."
    ),
]
_HostBase = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS", help="Where it begins in QEMU's memory; likewise NAME=ADDRESS."
    ),
]


def qemu_log(
    path: Annotated[Path, typer.Argument(metavar="LOG", help="What QEMU wrote with -D LOG.")],
    *,
    output: OutputOption,
    memory: _Memory = None,
    host_base: _HostBase = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="What to call the guest.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a trace of QEMU's own trace log: of discards, reports and resets, not of memory.

    Needs no root.  Start QEMU with -D LOG -msg timestamp=on and, each with -trace enable=,
    ram_block_discard*_range, virtio_balloon_*, virtqueue_pop, virtio_queue_notify and
    virtio_set_status.  `gpa2hva 0` in its monitor says the host base.

    Example: workbench import qemu-log vm.log --memory 4G --host-base 0x7f9e43e00000 -o vm.trace
    """
    from workbench.cli.made_trace import this_command
    from workbench.lab import parse_size
    from workbench.trace.qemu_log import LogOptions, import_qemu_log

    options = LogOptions(
        memory_bytes=_by_block(memory or [], "--memory", parse_size),
        host_bases=_by_block(host_base or [], "--host-base", _address),
        name=name,
        command=this_command(),
    )
    with counting("bytes, each twice", 2 * _size_bytes(path)) as progress:
        import_qemu_log(path, output, options, progress=progress)
    _hand_over(output, as_json=as_json)


def from_csv(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV of events.")],
    *,
    output: OutputOption,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="The memory of each guest.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What to call the guest; repeated, for several."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a trace of a CSV of events, which has a column for each of the table's.

    Needed are time_ns, kind (by name or code), offset_bytes and length_bytes.  What `workbench
    export csv` wrote beside it is used; without NAME.manifest.json there, --memory is needed.

    Example: workbench import csv events.csv --memory 512M -o events.trace
    """
    from workbench.cli.made_trace import this_command
    from workbench.lab import parse_size
    from workbench.trace.csv_import import CsvOptions, import_csv

    options = CsvOptions(
        memory_bytes=None if memory is None else parse_size(memory),
        names=name or (),
        command=this_command(),
    )
    with counting("bytes", _size_bytes(path)) as progress:
        import_csv(path, output, options, progress=progress)
    _hand_over(output, as_json=as_json)


def _hand_over(output: Path, *, as_json: bool) -> None:
    """Say what the import assumed and left out, and give the trace away."""
    from workbench.cli.made_trace import hand_over
    from workbench.trace import read_trace

    for remark in _remarks(read_trace(output)):
        note(remark)
    hand_over(output, as_json=as_json)


def _remarks(trace: Trace) -> Sequence[str]:
    return [f"{probe.name}: {probe.reason}" for probe in trace.manifest.probes if probe.reason]


def _size_bytes(path: Path) -> int:
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: cannot be read: it is no file that can be read more than once")
    return found.st_size


def _by_block(words: Sequence[str], option: str, parse: Callable[[str], int]) -> dict[str, int]:
    """Read NAME=VALUE words; a VALUE alone is of the only RAM block."""
    from workbench.trace.qemu_blocks import ONLY

    found: dict[str, int] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        if name in found:
            raise UsageError(f"{option} {word}: was given already; give it once for each RAM block")
        found[name] = parse(value)
    if ONLY in found and len(found) > 1:
        raise UsageError(f"{option}: say NAME=... each time, or give it once")
    return found


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(
            f"--host-base {text}: expected an address such as 0x7f9e43e00000"
        ) from None
