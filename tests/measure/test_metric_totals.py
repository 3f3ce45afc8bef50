"""What adds up over batches is what one batch gives, whatever the cuts."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.synthetic import START_NS, manifest, started
from workbench.measure import metrics
from workbench.measure.metric_totals import Totals
from workbench.replay import SKIPPED, Host, Ledger, Outcome, SwapCosts, replay, swap_costs
from workbench.schema import EVENTS, NO_ELEMENT, FaultFlag, Kind, SwapOutFlag
from workbench.trace import read_trace
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

TRACES = sorted((Path(__file__).parents[2] / "traces").glob("*.trace"))
COSTS = SwapCosts(85_001, 1_832_000_003, 560_000_007)
MANIFEST = manifest(machines=[started("guest0"), started("guest1")], seconds=1)
INITIAL = {
    "initial_resident_pages": np.array([70, 5], np.int64),
    "initial_swapped_pages": np.array([0, 3], np.int64),
}
LEDGER_DTYPES = {
    "outcome": np.int8,
    "surprise": np.int8,
    "resident_delta_pages": np.int64,
    "swapped_delta_pages": np.int64,
    "freed_pages": np.int64,
}
LOWEST, HIGHEST = -(2**63), 2**63 - 1

PAGES = st.one_of(st.just(0), st.integers(-600, 600), st.integers(-(2**40), 2**40))
ROW = st.fixed_dictionaries(
    {
        "gap_ns": st.one_of(st.integers(0, 3), st.integers(0, 2**32), st.integers(0, 2**57)),
        "vm": st.integers(0, 1),
        "kind": st.one_of(st.sampled_from([Kind.REPORT, Kind.DISCARD]), st.sampled_from(Kind)),
        "outcome": st.one_of(
            st.sampled_from([Outcome.DISCARDED, Outcome.SWAPPED_IN, Outcome.SWAPPED_OUT]),
            st.sampled_from(Outcome),
        ),
        "resident_delta_pages": PAGES,
        "swapped_delta_pages": PAGES,
        "freed_pages": PAGES,
        "length_bytes": st.one_of(st.sampled_from([-1, 0, PAGE_BYTES]), st.integers(-1, 2**52)),
        "status": st.integers(0, 31),
        "element": st.one_of(
            st.integers(NO_ELEMENT, 5), st.sampled_from([LOWEST, HIGHEST - 1, HIGHEST])
        ),
    }
)
ROWS = st.lists(ROW, max_size=30)
BEFORE_NS = st.sampled_from([0, 1, 2**31])
"""How long before the start of the capture the first events may be."""


def timed(rows, before_ns):
    """Give each row its time."""
    times = np.cumsum([row["gap_ns"] for row in rows]).tolist() if rows else []
    return [
        {**row, "time_ns": START_NS - before_ns + time_ns}
        for row, time_ns in zip(rows, times, strict=True)
    ]


def columns_and_ledger(rows):
    """Make what a replay gives, of rows."""
    columns = {
        column.name: np.array([row.get(column.name, 0) for row in rows], column.dtype)
        for column in EVENTS.columns
    }
    own = {
        name: np.array([row.get(name, 0) for row in rows], dtype)
        for name, dtype in LEDGER_DTYPES.items()
    }
    shared = {name: columns[name].copy() for name in ("time_ns", "vm", "kind")}
    return columns, Ledger(**shared, **own)


def cut(columns, ledger, cuts):
    """Give the batches between some rows; where two cuts are equal, an empty one."""
    bounds = [0, *sorted(cuts), ledger.kind.size]
    for first, stop in itertools.pairwise(bounds):
        part = {
            field.name: getattr(ledger, field.name)[first:stop]
            for field in dataclasses.fields(Ledger)
        }
        yield {name: values[first:stop] for name, values in columns.items()}, Ledger(**part)


def totals_of(batches):
    """Add up batches of the two machines."""
    totals = Totals(MANIFEST, COSTS, **INITIAL)
    for columns, ledger in batches:
        totals.add(columns, ledger)
    return totals.values()


def written_out(values):
    """Give values so that what differs in a bit or a type differs."""
    return {name: (type(value), repr(value)) for name, value in values.items()}


def memory_by_hand(rows, name, pages):
    """Restate the metrics of memory over time with a loop over whole numbers."""
    start_ns = now_ns = START_NS
    peak, page_ns = pages, 0
    for row in rows:
        time_ns = max(row["time_ns"], start_ns)
        page_ns += pages * (time_ns - now_ns)
        now_ns, pages = time_ns, pages + row[f"{name}_delta_pages"]
        peak = max(peak, pages)
    stop_ns = max(start_ns + MANIFEST.duration_ns, now_ns)
    page_ns += pages * (stop_ns - now_ns)
    return {
        f"{name}_bytes_mean": page_ns * PAGE_BYTES / (stop_ns - start_ns),
        f"{name}_bytes_peak": peak * PAGE_BYTES,
        f"{name}_bytes_final": pages * PAGE_BYTES,
        f"{name}_byte_seconds": page_ns * PAGE_BYTES / NANOSECONDS,
    }


def reporting_by_hand(rows):
    """Restate what is counted of reports, faults and hints."""
    reports = [row for row in rows if row["kind"] == Kind.REPORT]
    discarded = [row for row in reports if row["outcome"] == Outcome.DISCARDED]
    inflated = [row for row in rows if row["kind"] == Kind.DISCARD and row["element"] == NO_ELEMENT]
    hinted = [row for row in rows if row["kind"] == Kind.HINT_RANGE]

    def total(chosen, name):
        return sum(row[name] for row in chosen)

    def count(chosen, outcome):
        return sum(row["outcome"] == outcome for row in chosen)

    return {
        "reclaimed_bytes": -total(discarded, "resident_delta_pages") * PAGE_BYTES,
        "host_freed_bytes": total(discarded, "freed_pages") * PAGE_BYTES,
        "inflated_bytes": -total(inflated, "resident_delta_pages") * PAGE_BYTES,
        "swap_freed_bytes": -total(discarded + inflated, "swapped_delta_pages") * PAGE_BYTES,
        "reports": len({(row["vm"], row["element"]) for row in reports}),
        "ranges": len(reports),
        "reported_bytes": total(reports, "length_bytes"),
        "discards": len(discarded),
        "discarded_bytes": total(discarded, "length_bytes"),
        "discards_failed": count(reports, Outcome.DISCARD_FAILED),
        **{f"skipped_{name}": count(reports, outcome) for name, outcome in SKIPPED.items()},
        "zero_fill_faults": count(rows, Outcome.FIRST_TOUCH),
        "refaults": count(rows, Outcome.REFAULT),
        "hinted_bytes": total(hinted, "length_bytes"),
    }


def swap_by_hand(rows):
    """Restate the metrics of swap."""
    ins = [
        {**row, "pages": max(abs(row["resident_delta_pages"]), 1)}
        for row in rows
        if row["outcome"] == Outcome.SWAPPED_IN
    ]
    outs = [
        {**row, "pages": abs(row["resident_delta_pages"])}
        for row in rows
        if row["outcome"] == Outcome.SWAPPED_OUT
    ]
    read = [row for row in ins if not row["status"] & FaultFlag.WITHOUT_READ]
    unwritten = SwapOutFlag.CLEAN | SwapOutFlag.ZEROS
    written = sum(row["pages"] for row in outs if not row["status"] & unwritten)
    ahead = sum(row["kind"] == Kind.READ_AHEAD for row in rows)
    is_known = any(row["kind"] == Kind.FREE for row in rows) or not (ins or outs)
    dead_in = sum(row["pages"] for row in ins if row["status"] & FaultFlag.DEAD)
    dead_out = sum(row["pages"] for row in outs if row["status"] & SwapOutFlag.DEAD)
    wait_ns = sum(row["length_bytes"] > 0 for row in read) * COSTS.read_latency_ns
    follow_seconds = ahead * PAGE_BYTES / COSTS.read_bytes_per_second
    return {
        "swap_in_pages": sum(row["pages"] for row in ins),
        "swap_out_pages": sum(row["pages"] for row in outs),
        "swap_in_dead_pages": dead_in if is_known else None,
        "swap_out_dead_pages": dead_out if is_known else None,
        "swap_read_pages": sum(row["pages"] for row in read) + ahead,
        "swap_written_pages": written,
        "swap_wait_seconds": wait_ns / NANOSECONDS + follow_seconds,
        "swap_write_seconds": written * PAGE_BYTES / COSTS.write_bytes_per_second,
    }


def by_hand(rows):
    """Restate every metric that adds up."""
    pages = {name: int(initial.sum()) for name, initial in INITIAL.items()}
    return {
        **memory_by_hand(rows, "resident", pages["initial_resident_pages"]),
        **memory_by_hand(rows, "swapped", pages["initial_swapped_pages"]),
        **reporting_by_hand(rows),
        **swap_by_hand(rows),
    }


@given(rows=ROWS, before_ns=BEFORE_NS, cuts=st.data())
def test_however_a_run_is_cut_its_totals_are_those_worked_out_row_by_row(rows, before_ns, cuts):
    rows = timed(rows, before_ns)
    chosen = cuts.draw(st.lists(st.integers(0, len(rows)), max_size=6))
    whole = columns_and_ledger(rows)

    expected = written_out(by_hand(rows))
    assert written_out(totals_of([whole])) == expected
    assert written_out(totals_of(cut(*whole, chosen))) == expected


@given(
    kinds=st.lists(st.sampled_from([Kind.FREE, Kind.FAULT, Kind.SWAP_OUT]), max_size=6),
    cuts=st.lists(st.integers(0, 6), max_size=3),
)
@example(kinds=[Kind.SWAP_OUT, Kind.FREE], cuts=[1])
def test_what_was_free_is_known_from_any_batch(kinds, cuts):
    outcomes = {Kind.FAULT: Outcome.SWAPPED_IN, Kind.SWAP_OUT: Outcome.SWAPPED_OUT}
    rows = [
        {"time_ns": START_NS + number, "kind": kind, "outcome": outcomes.get(kind, 0)}
        for number, kind in enumerate(kinds)
    ]
    found = totals_of(cut(*columns_and_ledger(rows), [min(row, len(rows)) for row in cuts]))

    is_known = Kind.FREE in kinds or not kinds
    assert (found["swap_in_dead_pages"] is not None) == is_known
    assert (found["swap_out_dead_pages"] is not None) == is_known


def test_a_capture_without_duration_or_events_has_its_initial_memory():
    totals = Totals(MANIFEST.model_copy(update={"duration_ns": 0}), COSTS, **INITIAL)

    found = totals.values()
    assert found["resident_bytes_mean"] == found["resident_bytes_peak"] == 75 * PAGE_BYTES
    assert found["resident_byte_seconds"] == 0


def test_nothing_of_a_batch_is_kept():
    rows = [
        {"time_ns": START_NS + number, "kind": Kind.REPORT, "outcome": Outcome.DISCARDED}
        | {"vm": number % 2, "element": number, "resident_delta_pages": -1}
        for number in range(100)
    ]
    columns, ledger = columns_and_ledger(rows)
    totals = Totals(MANIFEST, COSTS, **INITIAL)
    totals.add(columns, ledger)
    arrays = [weakref.ref(values) for values in columns.values()]
    arrays += [weakref.ref(getattr(ledger, field.name)) for field in dataclasses.fields(Ledger)]
    del columns, ledger

    assert [array() for array in arrays if array() is not None] == []
    assert totals.values()["reports"] == 100


@pytest.mark.parametrize(
    "host", [Host(), Host(reclaim="two-list", memory_bytes=150 * MIB)], ids=["captured", "modelled"]
)
@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_bundled_trace_has_the_same_metrics_cut_at_random(path, host):
    run = replay(read_trace(path), host=host)
    random = np.random.default_rng(len(path.stem))
    expected = {name: entry["value"] for name, entry in metrics(run).items()}

    for cut_count in (1, 7, 40):
        totals = Totals(
            run.trace.manifest,
            swap_costs(run.trace, run.settings),
            initial_resident_pages=run.initial_resident_pages,
            initial_swapped_pages=run.initial_swapped_pages,
        )
        cuts = random.integers(0, run.ledger.kind.size + 1, cut_count).tolist()
        for columns, ledger in cut(run.columns, run.ledger, cuts):
            totals.add(columns, ledger)
        found = totals.values()
        assert written_out(found) == written_out({name: expected[name] for name in found})
        assert expected.keys() - found.keys() == {
            "drain_seconds",
            "events_lost",
            "model_error_mean",
            "model_error_final",
            *(name for name in expected if name.startswith("migration_")),
        }
