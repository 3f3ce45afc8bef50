"""What every command that makes a trace does with it."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from workbench.cli.output import print_json, print_text
from workbench.errors import LostEventsError, UsageError
from workbench.trace import read_trace

if TYPE_CHECKING:
    from pathlib import Path


def this_command() -> str:
    """The command line that is running, for the trace to remember."""
    return shlex.join(["workbench", *sys.argv[1:]])


def refuse_existing(output: Path) -> None:
    """Refuse, before anything is started, a folder that is there already.

    Raises
    ------
    UsageError
        Something is there.
    """
    if output.exists():
        message = f"{output}: exists already; name another folder or remove it first"
        raise UsageError(message)


def hand_over(output: Path, *, as_json: bool) -> None:
    """Give a finished trace to the caller: the files, and a few words about them."""
    give_to_caller(output)
    trace = read_trace(output)
    manifest = trace.manifest
    if as_json:
        print_json(
            {
                "trace": output,
                "scenario": manifest.scenario,
                "duration_ns": manifest.duration_ns,
                "events": trace.event_count,
                "lost_events": manifest.lost_events,
                "probes": manifest.probes,
                "virtual_machines": [machine.name for machine in manifest.virtual_machines],
                "not_captured": manifest.not_captured,
            }
        )
    else:
        print_text(f"{trace!r}\n{output}: `workbench replay {output}` replays it")


def refuse_losses(output: Path, *, allow_lost: bool) -> None:
    """Say that events were lost, if any were.

    Raises
    ------
    LostEventsError
        They were, and the caller did not allow it.
    """
    lost_events = read_trace(output).manifest.lost_events
    if lost_events and not allow_lost:
        message = (
            f"{lost_events:,} events were lost; the trace is kept, `workbench info {output}` says "
            "which; pass --allow-lost to accept that"
        )
        raise LostEventsError(message)


def give_to_caller(folder: Path) -> None:
    """Under sudo, a trace belongs to whoever asked for it, not to root."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user is None or group is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, int(user), int(group))
