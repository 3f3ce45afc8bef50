"""What tests of whole captures share: rows of a trace, and waiting for it to grow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.schema import Kind
    from workbench.trace import Trace


def rows(trace: Trace, kind: Kind, *names: str) -> list[tuple[int, ...]]:
    """The chosen columns of all events of a kind."""
    events = trace.columns("events")
    chosen = events["kind"] == kind
    return list(zip(*(events[name][chosen].tolist() for name in names), strict=True))


def wait_for_segments(folder: Path, count: int = 2) -> None:
    """Wait until the capture has written more segments of samples: one a second."""
    table = folder / "samples"
    wanted = count + len(list(table.glob("*.parquet")))
    deadline = time.monotonic() + 30
    while len(list(table.glob("*.parquet"))) < wanted:
        assert time.monotonic() < deadline, "the capture writes nothing"
        time.sleep(0.05)
