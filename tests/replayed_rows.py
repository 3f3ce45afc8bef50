"""Random rows with what a replay made of them, and the ways to hand them over in batches.

What a replay makes of a row is drawn, too: nothing here has to be possible.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from tests.synthetic import START_NS
from workbench.model import Outcome
from workbench.replay.ledger import Ledger
from workbench.schema import EVENTS, Feature, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.trace.reader import Columns

MACHINES_MAX = 3
TEN_MS_NS = 10_000_000

Row = dict[str, Any]

TIMES_NS = st.builds(
    lambda tens, off: START_NS + tens * TEN_MS_NS + off,
    st.integers(0, 30),
    st.sampled_from([0, 0, -1, 1]),
)
"""So few that events and samples share them, and lie to the nanosecond where quiet begins."""

_FEATURES = st.sampled_from([0, 1 << Feature.REPORTING, 1 << Feature.PAGE_POISON, 0x32])

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time_ns": TIMES_NS,
            "vm": st.sampled_from([0, 0, *range(MACHINES_MAX)]),
            "kind": st.sampled_from(
                [*(kind.name.lower() for kind in Kind), *["fault", "features", "reset"] * 3]
            ),
            "length_bytes": st.sampled_from([0, 0, -1, PAGE_BYTES]),
            "status": st.one_of(st.integers(0, 7), _FEATURES),
            "duration_ns": st.sampled_from([0, 0, 1, TEN_MS_NS, 12 * TEN_MS_NS]),
            "outcome": st.sampled_from([outcome.name.lower() for outcome in Outcome]),
            "resident": st.integers(-512, 512),
            "swapped": st.integers(-512, 512),
        }
    ),
    max_size=40,
).map(lambda rows: sorted(rows, key=lambda row: row["time_ns"]))

CUTS = st.lists(st.integers(0, 40), max_size=8)
"""Before which rows a batch begins; where two are equal, a batch is empty."""


def columns_of(rows: Sequence[Row]) -> Columns:
    """Give the rows as the columns of a trace."""
    coded = [{**row, "kind": Kind[row["kind"].upper()]} for row in rows]
    return {
        column.name: np.array([row.get(column.name, 0) for row in coded], column.dtype)
        for column in EVENTS.columns
    }


def ledger_of(rows: Sequence[Row]) -> Ledger:
    """Give what was made of the rows."""
    columns = columns_of(rows)
    return Ledger(
        time_ns=columns["time_ns"],
        vm=columns["vm"],
        kind=columns["kind"],
        outcome=np.array([Outcome[row["outcome"].upper()] for row in rows], np.int8),
        surprise=np.zeros(len(rows), np.int8),
        resident_delta_pages=np.array([row["resident"] for row in rows], np.int64),
        swapped_delta_pages=np.array([row["swapped"] for row in rows], np.int64),
        freed_pages=np.zeros(len(rows), np.int64),
    )


def add_in_batches(so_far: Any, columns: Columns, ledger: Ledger, cuts: Sequence[int]) -> None:
    """Hand rows over in batches, and make each batch worthless once it was taken."""
    bounds = [0, *sorted(min(cut, ledger.kind.size) for cut in cuts), ledger.kind.size]
    for start, stop in itertools.pairwise(bounds):
        batch = {name: values[start:stop].copy() for name, values in columns.items()}
        made = {name: getattr(ledger, name)[start:stop].copy() for name in Ledger.__slots__}
        so_far.add(batch, Ledger(**made))
        for values in (*batch.values(), *made.values()):
            values[:] = 1


def random_cuts(row_count: int) -> list[list[int]]:
    """Give three ways to cut so many rows: few batches, some, and many."""
    choose = random.Random(row_count)
    return [[choose.randrange(row_count + 1) for _ in range(cuts)] for cuts in (1, 10, 100)]
