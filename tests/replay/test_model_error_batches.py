"""The error of a trace in batches, held against one batch and against the naive computation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.naive.naive_error import naive_error
from tests.replayed_rows import (
    CUTS,
    MACHINES_MAX,
    ROWS,
    TEN_MS_NS,
    TIMES_NS,
    add_in_batches,
    columns_of,
    ledger_of,
    random_cuts,
)
from tests.synthetic import RAM_BYTES, START_NS, machine, sample, trace
from workbench.replay.model_error import ErrorSoFar
from workbench.replay.question import as_captured
from workbench.schema import UNKNOWN
from workbench.trace import read_trace
from workbench.units import PAGE_BYTES

TRACES = sorted((Path(__file__).parents[2] / "traces").glob("*.trace"))

MEASURED_BYTES = st.one_of(
    st.just(0),
    st.integers(0, 2048).map(lambda pages: pages * PAGE_BYTES),
    st.integers(0, RAM_BYTES),
)

SAMPLES = st.lists(
    st.fixed_dictionaries(
        {
            "time_ns": TIMES_NS,
            "duration_ns": st.sampled_from([0, 1, TEN_MS_NS, 2 * TEN_MS_NS + 1, 9 * TEN_MS_NS]),
            "vm": st.sampled_from([0, 0, *range(MACHINES_MAX)]),
            "resident_bytes": MEASURED_BYTES,
            "swapped_bytes": st.one_of(MEASURED_BYTES, MEASURED_BYTES, st.just(UNKNOWN)),
        }
    ),
    max_size=20,
).map(lambda rows: sorted(rows, key=lambda row: row["time_ns"]))

INITIAL = st.lists(st.integers(0, 2048), min_size=MACHINES_MAX, max_size=MACHINES_MAX).map(np.array)


def sampled(samples, machines=MACHINES_MAX):
    return trace([], machines=[machine(f"guest{vm}") for vm in range(machines)], samples=samples)


def document_of(so_far, rows, cuts):
    add_in_batches(so_far, columns_of(rows), ledger_of(rows), cuts)
    return so_far.document()


def assert_naive(document, rows, samples, resident, swapped):
    """Each machine alone; the mean as near as floats come to a fraction, the rest exactly."""
    for vm, found in enumerate(document["virtual_machines"]):
        expected = naive_error(
            [row for row in rows if row["vm"] == vm],
            [row for row in samples if row["vm"] == vm],
            resident=int(resident[vm]),
            swapped=int(swapped[vm]),
            ram_bytes=RAM_BYTES,
        )
        for name in ("resident_bytes", "swapped_bytes"):
            if expected[name] is not None:
                mean = pytest.approx(expected[name]["mean"], rel=1e-9, abs=1e-12)
                expected[name]["mean"] = mean
        assert {name: found[name] for name in expected} == expected


EVENT = {
    "vm": 0,
    "kind": "report",
    "length_bytes": 0,
    "status": 0,
    "duration_ns": 0,
    "outcome": "discarded",
    "resident": 1,
    "swapped": 0,
}


FETCHED = {**EVENT, "kind": "fault", "status": 2}
"""A fault that allocated nothing, and brought a page from swap."""

NOTHING = np.zeros(MACHINES_MAX, np.int64)


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 1, 2]])
@pytest.mark.parametrize("row", [EVENT, FETCHED])
@pytest.mark.parametrize("off_ns", [-1, 0, 1])
@pytest.mark.parametrize("tens", [-10, 0, 5])
def test_to_the_nanosecond_it_is_the_naive_one(tens, off_ns, row, cuts):
    """At the sample, and where quiet begins before it and ends after it; others follow."""
    time_ns = START_NS + tens * TEN_MS_NS + off_ns
    rows = [{**row, "time_ns": each} for each in (time_ns, time_ns, START_NS + 20 * TEN_MS_NS)]
    samples = [{**sample(0, 0), "duration_ns": 0}]
    document = document_of(ErrorSoFar(sampled(samples), NOTHING, NOTHING), rows, cuts)

    assert_naive(document, rows, samples, NOTHING, NOTHING)


@given(rows=ROWS, samples=SAMPLES, cuts=CUTS, resident=INITIAL, swapped=INITIAL)
def test_however_a_trace_is_cut_its_error_is_the_naive_one(rows, samples, cuts, resident, swapped):
    found = sampled(samples)
    document = document_of(ErrorSoFar(found, resident, swapped), rows, cuts)

    whole = document_of(ErrorSoFar(found, resident, swapped), rows, [])
    assert json.dumps(document) == json.dumps(whole)
    assert_naive(document, rows, samples, resident, swapped)


@given(rows=ROWS, samples=SAMPLES, cuts=CUTS, stop=st.integers(0, 40))
def test_asking_before_the_end_changes_nothing(rows, samples, cuts, stop):
    """And answers as if what was added by then were all."""
    found = sampled(samples)
    so_far = ErrorSoFar(found, NOTHING, NOTHING)

    for until, more in ((rows[:stop], rows[:stop]), (rows, rows[stop:])):
        whole = document_of(ErrorSoFar(found, NOTHING, NOTHING), until, [])
        assert document_of(so_far, more, cuts) == whole


@given(rows=ROWS, samples=SAMPLES, cuts=CUTS)
def test_a_wrong_replay_does_not_choose_its_judges(rows, samples, cuts):
    """Whatever it says that an event did, the same samples are quiet."""
    idle = [{**row, "outcome": "no_outcome", "resident": 0, "swapped": 0} for row in rows]
    found = sampled(samples)
    documents = [
        document_of(ErrorSoFar(found, NOTHING, NOTHING), each, cuts) for each in (rows, idle)
    ]

    quiet = [[one["quiet_samples"] for one in each["virtual_machines"]] for each in documents]
    assert quiet[0] == quiet[1]


def test_hundreds_of_machines_are_told_apart():
    """More than one byte can number."""
    machines = 300
    rows = [
        {**EVENT, "vm": number * 7 % machines, "time_ns": START_NS + number, "resident": number}
        for number in range(2 * machines)
    ]
    samples = [sample(1, PAGE_BYTES * vm, vm=vm) for vm in range(machines)]
    nothing = np.zeros(machines, np.int64)
    document = document_of(ErrorSoFar(sampled(samples, machines), nothing, nothing), rows, [77])

    assert_naive(document, rows, samples, nothing, nothing)


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_bundled_trace_cut_anywhere_has_the_error_of_the_whole(path):
    found = read_trace(path)
    known = as_captured(found)
    initial = (known.run.initial_resident_pages, known.run.initial_swapped_pages)
    for cuts in random_cuts(found.event_count):
        so_far = ErrorSoFar(found, *initial)
        add_in_batches(so_far, found.columns("events"), known.run.ledger, cuts)

        assert json.dumps(so_far.document()) == json.dumps(known.model_error)
