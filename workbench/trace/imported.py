"""What every import of a trace from another tool's file has in common."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError
from workbench.trace.manifest import FAULT_PROBE, HostFacts, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_KNOWN: Final = "not known"
"""A fact that another tool's file does not have."""

ROWS_AT_ONCE: Final = 1 << 16
"""Rows that are collected before they are written: some 30 MB, as they are tuples until then."""

UNKNOWN_HOST: Final = HostFacts(
    kernel=NOT_KNOWN,
    memory_bytes=0,
    processors=0,
    transparent_huge_page=NOT_KNOWN,
    khugepaged_defrag=False,
    frees_empty_page_tables=False,
)


def unseen_memory(whose: str) -> tuple[Probe, ...]:
    """The probes that see faults and swapping, for a file that has neither.

    Parameters
    ----------
    whose
        What such a file is, for the reason.
    """
    reasons = {
        FAULT_PROBE: f"{whose} has no faults: how much memory was resident is not known",
        "swap": f"{whose} has no swapping",
    }
    return tuple(
        Probe(name=name, attached=False, reason=reason) for name, reason in reasons.items()
    )


@contextlib.contextmanager
def taking_place(output: Path) -> Iterator[Path]:
    """Give the path of a folder to make, which takes its place when it is complete, or vanishes.

    Raises
    ------
    UsageError
        Something is there already.
    """
    if output.exists():
        message = f"{output}: exists already; name another folder or remove it first"
        raise UsageError(message)
    output.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        yield made / "trace"
        (made / "trace").rename(output)
    finally:
        shutil.rmtree(made, ignore_errors=True)
