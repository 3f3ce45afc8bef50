"""Record what running guests give back."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.durations import parse_seconds, parse_share
from workbench.cli.output import AllowLostOption, JsonOption, note, working
from workbench.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.capture.recorder import Capture

app = command_app()

_TURN_S = 0.2
"""How long the command may overlook Ctrl-C."""


@app.command()
def capture(
    *,
    pids: Annotated[
        list[int] | None, typer.Option("--pid", metavar="N", help="A QEMU; may be repeated.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="VM", help="The guest with this -name.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every QEMU with a balloon, and those that start later.")
    ] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The trace folder to make.")
    ],
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this long, for example 60s.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Part of one processor that the capture may take, for example 5%; where it takes "
            "more, it goes on with counts instead of ranges, and then with samples only.",
        ),
    ] = None,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Record running guests with eBPF until Ctrl-C, the end of all of them, or for a while.

    A guest that ends is noted, and the others are captured on.  --all does not end with the guests.

    Example: workbench capture --pid 4711 --duration 60s -o morning.trace
    """
    from workbench.capture.guests import Target
    from workbench.capture.privileges import require_privileges
    from workbench.capture.recorder import Capture, Origin
    from workbench.cli.made_trace import hand_over, refuse_existing, refuse_losses, this_command

    seconds = None if duration is None else parse_seconds(duration)
    share = None if budget is None else parse_share(budget)
    targets = [Target(pid=pid) for pid in _chosen_pids(pids or [], name=name, every=every)]
    require_privileges()
    refuse_existing(output)
    stopped = _stop_on_signals()
    origin = Origin(command=this_command())
    with Capture(targets, output, origin, follow=every, budget=share) as recording:
        _tell(recording)
        note(f"capturing {recording.virtual_machines} guest(s) to {output}; Ctrl-C ends it")
        with working("capturing"):
            _wait(recording, stopped, seconds)
    _tell(recording)
    hand_over(output, as_json=as_json)
    if not every:
        _refuse_ends(recording, output)
    refuse_losses(output, allow_lost=allow_lost)


def _refuse_ends(recording: Capture, output: Path) -> None:
    """Say so if there was nobody left to capture."""
    if recording.all_ended:
        ended = ", ".join(map(str, recording.ended_pids))
        raise HostError(
            f"the QEMU with pid {ended} ended before the capture did; all it did until then is in "
            f"{output}"
        )


def _chosen_pids(pids: Sequence[int], *, name: str | None, every: bool) -> list[int]:
    """The pids that the options name; exactly one way to name them may be used."""
    from workbench.capture.search import pids_named, pids_of_all

    if sum((bool(pids), name is not None, every)) != 1:
        raise UsageError("say which guest: one of --pid N, --name VM or --all")
    if name is not None:
        return pids_named(name)
    return pids_of_all() if every else list(dict.fromkeys(pids))


def _stop_on_signals() -> threading.Event:
    """End in good order on Ctrl-C, on `kill`, and when the terminal goes away."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stopped.set())
    return stopped


def _wait(recording: Capture, stopped: threading.Event, seconds: float | None) -> None:
    deadline = None if seconds is None else time.monotonic() + seconds
    while not stopped.is_set():
        if deadline is not None and time.monotonic() >= deadline:
            return
        _tell(recording)
        if recording.wait(_TURN_S):
            return


def _tell(recording: Capture) -> None:
    """Say which guests came, ended or cannot be captured, and when less is recorded."""
    while not recording.news.empty():
        note(recording.news.get())
