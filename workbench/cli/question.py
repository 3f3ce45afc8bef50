"""What commands that answer from one trace share: its argument, settings, and losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import LostEventsError

if TYPE_CHECKING:
    from workbench.trace import Trace

TraceArgument = Annotated[Path, typer.Argument(metavar="TRACE", help="A trace folder.")]

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be repeated."),
]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings as TOML.")
]


def check_losses(trace: Trace, *, allow_lost: bool) -> None:
    """End with the exit code of lost events, after the answer, unless that is accepted.

    Raises
    ------
    LostEventsError
        The capture lost events.
    """
    lost_events = trace.manifest.lost_events
    if lost_events and not allow_lost:
        raise LostEventsError(
            f"{trace.path}: {lost_events:,} events were lost in the capture, so this answer is not "
            "exact; pass --allow-lost to accept that"
        )
