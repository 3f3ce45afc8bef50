"""Simple answers to the same questions: what a model must be better than.

* *ignoring discards*: the captured faults, and nothing is ever given back;
* *high-water mark*: the most that was resident so far;
* *cut*: the captured ranges, of which only whole blocks of the asked order are given back.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import UnidentifiableError
from workbench.measure import Series
from workbench.replay import Device, replay
from workbench.schema import NO_BLOCK, NO_ELEMENT, TABLES, Kind
from workbench.trace import Trace
from workbench.units import PAGE_BYTES
from workbench.validation.validate.figures import Figures, figures

if TYPE_CHECKING:
    from workbench.replay import Replay
    from workbench.trace.reader import Columns

IGNORING_DISCARDS: Final = "ignoring_discards"
HIGH_WATER: Final = "high_water"
CUT: Final = "cut"
BASELINES: Final = (IGNORING_DISCARDS, HIGH_WATER, CUT)


def baselines(captured: Replay, order: int | None) -> dict[str, Figures]:
    """Answer what is asked in the simple ways.

    Parameters
    ----------
    captured
        The capture, replayed as captured.
    order
        The reporting order that is asked for; None without reporting, where nothing is cut.

    Returns
    -------
    By name.  One that has no answer, as a replay without discards where pages were swapped, is
    missing.
    """
    found = {HIGH_WATER: high_water(figures(captured))}
    with contextlib.suppress(UnidentifiableError):
        found[IGNORING_DISCARDS] = figures(replay(captured.trace, device=_NOTHING_DISCARDED))
    if order is not None:
        found[CUT] = figures(replay(cut_trace(captured.trace, order)))
    return found


_NOTHING_DISCARDED: Final = Device(discard_inhibited=True)


def high_water(captured: Figures) -> Figures:
    """Let nothing ever fall."""
    memory = captured.memory
    rising = Series(memory.time_ns, np.maximum.accumulate(memory.value))
    return dataclasses.replace(captured, memory=rising, drain_seconds=None)


def cut_trace(trace: Trace, order: int) -> Trace:
    """Give the trace as if of each reported range only whole blocks of an order were reported."""
    tables = {name: trace.columns(name) for name in TABLES}
    return Trace(
        trace.path, trace.manifest, {**tables, "events": cut_events(tables["events"], order)}
    )


def cut_events(columns: Columns, order: int) -> Columns:
    """Cut reported ranges, and their discards, to whole aligned blocks of 2**order pages.

    Those that hold no whole block are left out.
    """
    block_bytes = PAGE_BYTES << order
    kind = columns["kind"]
    is_report = (kind == Kind.REPORT) & (columns["ram_block"] != NO_BLOCK)
    is_cut = is_report | ((kind == Kind.DISCARD) & (columns["element"] != NO_ELEMENT))
    offset, length = columns["offset_bytes"], columns["length_bytes"]
    first = -(-offset // block_bytes) * block_bytes
    stop = (offset + length) // block_bytes * block_bytes
    kept = ~is_cut | (stop > first)
    cut = {
        **columns,
        "offset_bytes": np.where(is_cut, first, offset),
        "length_bytes": np.where(is_cut, stop - first, length),
    }
    return {name: values[kept] for name, values in cut.items()}
