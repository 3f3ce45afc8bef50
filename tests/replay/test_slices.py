"""A slice replays as the whole trace does from there on, and slicing composes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import (
    HUGE,
    PAGE_POISON,
    RAM_BYTES,
    REPORTING,
    START_NS,
    TWO_BLOCKS,
    Row,
    discard,
    event,
    features,
    inflate,
    report,
    started,
    swap_in,
    swap_out,
    touch,
    two_block_samples,
    write_poison,
    write_trace,
)
from workbench.errors import InputError, UsageError
from workbench.measure import metrics
from workbench.replay import Device, Guest, moment_at, replay
from workbench.schema import TABLES, FaultFlag, Kind
from workbench.trace import Part, Trace, read_trace, write_slice
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from workbench.replay import Replay

BUNDLED = Path(__file__).resolve().parents[2] / "traces"

MACHINES = [started("a"), started("b")]

LEDGER = (
    *("time_ns", "vm", "kind", "outcome", "surprise"),
    *("resident_delta_pages", "swapped_delta_pages", "freed_pages"),
)


def cut(trace: Trace, path: Path, first: float | None, stop: float | None = None) -> Trace:
    """Slice a trace at these seconds."""
    ends = (None if end is None else round(end * NANOSECONDS) for end in (first, stop))
    part = Part(first_ns=next(ends), stop_ns=next(ends))
    write_slice(trace, path, part, moment_at(trace, part.begin_ns(trace.manifest)))
    return read_trace(path)


def content(trace: Trace) -> dict[str, dict[str, list[int]]]:
    """All rows of all tables."""
    return {
        name: {column: values.tolist() for column, values in trace.columns(name).items()}
        for name in TABLES
    }


def ledger_from(run: Replay, first_ns: int, stop_ns: int) -> dict[str, list[int]]:
    """What each event in a span of time did."""
    time_ns = run.ledger.time_ns
    rows = (time_ns >= first_ns) & (time_ns < stop_ns)
    return {name: getattr(run.ledger, name)[rows].tolist() for name in LEDGER}


def assert_goes_on(whole: Trace, part: Trace) -> None:
    """The part's replay is the whole's, from the part's beginning to its end."""
    manifest = part.manifest
    first_ns, stop_ns = manifest.start_time_ns, manifest.start_time_ns + manifest.duration_ns
    expected, found = replay(whole), replay(part)
    before = expected.ledger.time_ns < first_ns
    vm, pages = expected.ledger.vm[before], expected.ledger.resident_delta_pages[before]
    gained = np.bincount(vm, pages, minlength=len(manifest.virtual_machines))

    assert ledger_from(found, 0, 2**62) == ledger_from(expected, first_ns, stop_ns)
    assert (found.initial_resident_pages == expected.initial_resident_pages + gained).all()
    if stop_ns >= START_NS + whole.manifest.duration_ns:
        assert found.final_held_pages.tolist() == expected.final_held_pages.tolist()


SECONDS = st.integers(1, 19).map(lambda half: half / 2)
PLACES = st.sampled_from([0, 0, PAGE_BYTES, MIB, HUGE, HUGE, HUGE + PAGE_BYTES, RAM_BYTES - MIB])
"""Few, so that what happens to a page depends on what happened to it before."""

SIZES = st.sampled_from([PAGE_BYTES, 16 * PAGE_BYTES, MIB, HUGE, HUGE])
KEPT = [REPORTING | PAGE_POISON, REPORTING]
FLAGS = st.sampled_from([FaultFlag.WRITE, FaultFlag.WRITE | FaultFlag.HUGE_REFUSED, 0]).map(int)


def within(offset: int, length: int) -> tuple[int, int]:
    """A range that the guest has."""
    return offset, min(length, RAM_BYTES - offset)


@st.composite
def events(draw: st.DrawFn) -> list[Row]:
    """What may happen to two guests in ten seconds, in the order of time."""
    rows: list[Row] = []
    for seconds in sorted(
        draw(st.lists(SECONDS, min_size=draw(st.sampled_from([1, 20])), max_size=30))
    ):
        offset, length = within(draw(PLACES), draw(SIZES))
        reported = report(seconds, offset, length, element=len(rows))
        rows += draw(
            st.sampled_from(
                [
                    [touch(seconds, offset, draw(st.sampled_from([-1, 0, PAGE_BYTES, HUGE])))],
                    [touch(seconds, offset, -1) | {"status": draw(FLAGS)}],
                    [reported, discard(reported, status=draw(st.sampled_from([0, 0, 0, -22])))],
                    [reported],
                    [inflate(seconds, offset, length)],
                    [swap_out(seconds, offset, length)],
                    [swap_in(seconds, offset)],
                    [
                        features(
                            seconds, draw(st.sampled_from([REPORTING | PAGE_POISON, REPORTING]))
                        )
                    ],
                    [write_poison(seconds, draw(st.sampled_from([0, 0xAA])))],
                    [event(seconds, draw(st.sampled_from([Kind.RESET, Kind.STATUS])))],
                    [event(seconds, Kind.INHIBIT, status=draw(st.sampled_from([1, 1, 0])))],
                    [event(seconds, Kind.HINT_COMMAND, status=draw(st.integers(0, 9)))],
                ]
            )
        )
    vm = draw(st.integers(0, 1))
    return [{**row, "vm": vm if number % 7 else 1 - vm} for number, row in enumerate(rows)]


def written(rows: list[Row], folder: Path) -> Trace:
    """Write what happened to two guests."""
    samples: dict[str, Any] = two_block_samples()
    return write_trace(folder / "whole.trace", rows, machines=MACHINES, samples=samples)


@given(rows=events(), first=SECONDS, stop=SECONDS)
def test_a_slice_replays_as_the_whole_does_from_there_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], first: float, stop: float
) -> None:
    """To the page, whatever happened before: held pages, refaults, registers and all."""
    folder = tmp_path_factory.mktemp("slices")
    whole = written(rows, folder)

    assert_goes_on(whole, cut(whole, folder / "tail.trace", first))
    if stop > first:
        assert_goes_on(whole, cut(whole, folder / "part.trace", first, stop))


@given(rows=events(), first=SECONDS, later=SECONDS)
def test_slicing_twice_is_slicing_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], first: float, later: float
) -> None:
    folder = tmp_path_factory.mktemp("slices")
    whole = written(rows, folder)
    first, later = sorted((first, later))
    once = cut(whole, folder / "once.trace", later)
    tail = cut(whole, folder / "tail.trace", first)
    twice = cut(tail, folder / "twice.trace", later - first)

    assert content(twice) == content(once)
    assert twice.manifest == once.manifest


@pytest.mark.parametrize("name", ["churn-on", "staircase-mid-life", "staircase-two-guests"])
def test_the_slice_of_the_whole_is_the_trace(tmp_path: Path, name: str) -> None:
    """Row for row; only the version of the format may be newer."""
    whole = read_trace(BUNDLED / f"{name}.trace")
    ends = whole.manifest.duration_ns / NANOSECONDS
    for number, (first, stop) in enumerate(((None, None), (0, None), (None, ends + 1))):
        part = cut(whole, tmp_path / f"{number}.trace", first, stop)

        assert content(part) == content(whole)
        same = {"schema_version": whole.manifest.schema_version}
        assert part.manifest.model_copy(update=same) == whole.manifest


@pytest.mark.parametrize(
    ("name", "first"),
    [
        *(("churn-poisoned", 12.3), ("fragment-order0", 14.0), ("staircase-mid-life", 3.0)),
        *(("staircase-two-guests", 20.0), ("pressure-on", 15.0), ("migration-hinting", 9.0)),
    ],
)
def test_a_slice_of_a_captured_trace_goes_on_as_it_did(
    tmp_path: Path, name: str, first: float
) -> None:
    """Also what the host measured agrees with it as it did."""
    whole = read_trace(BUNDLED / f"{name}.trace")
    part = cut(whole, tmp_path / "part.trace", first)

    assert_goes_on(whole, part)
    expected = replay(whole).model_error["resident_bytes"]["final_pages"]
    assert replay(part).model_error["resident_bytes"]["final_pages"] == expected
    assert part.manifest.mid_life


@pytest.mark.parametrize("name", ["churn-on", "file-cache-on", "staircase-order0"])
@pytest.mark.parametrize("first", [0.5, 1.5, 9.1])
def test_a_slice_answers_what_other_settings_would_have_done(
    tmp_path: Path, name: str, first: float
) -> None:
    """It may begin while the guest boots, or between two passes of reporting.

    What differs from the capture by a nanosecond, is answered as the capture was, and what the
    guest would hold without reporting is what the whole trace says; but that tells pageblocks of
    the kernel's own, and which of them the capture's guest had made movable (7 % of a staircase).
    """
    whole = read_trace(BUNDLED / f"{name}.trace")
    part = cut(whole, tmp_path / "part.trace", first)
    delay_ns = whole.manifest.virtual_machines[0].guest.reporting_delay_ns
    almost = Guest(reporting_delay_ns=delay_ns + 1)
    without = Device(free_page_reporting=False)

    def mean_bytes(trace: Trace, **settings: Any) -> float:
        found = metrics(replay(trace, **settings))["resident_bytes_mean"]["value"]
        assert isinstance(found, float)
        return found

    assert mean_bytes(part, guest=almost) == pytest.approx(mean_bytes(part), rel=0.01)
    final_bytes = replay(whole, device=without).final_resident_bytes
    assert replay(part, device=without).final_resident_bytes == pytest.approx(final_bytes, rel=0.07)


def test_a_slice_of_one_machine_is_about_it_alone(tmp_path: Path) -> None:
    whole = read_trace(BUNDLED / "staircase-two-guests.trace")
    names = [machine.name for machine in whole.manifest.virtual_machines]
    part = Part(first_ns=20 * NANOSECONDS, machine=names[1])
    moment = moment_at(whole, part.begin_ns(whole.manifest))
    write_slice(whole, tmp_path / "one.trace", part, moment)
    one = read_trace(tmp_path / "one.trace")
    both = cut(whole, tmp_path / "both.trace", 20)
    expected = replay(both)

    assert [machine.name for machine in one.manifest.virtual_machines] == [names[1]]
    rows = expected.ledger.vm == 1
    found = replay(one)
    assert found.ledger.time_ns.tolist() == expected.ledger.time_ns[rows].tolist()
    assert found.final_held_pages.tolist() == [expected.final_held_pages[1]]
    assert set(one.columns("samples")["vm"].tolist()) == {0}


def test_registers_of_the_device_are_carried(tmp_path: Path) -> None:
    """Features, poison_val with what was written beside it, the inhibitor, the last command."""
    rows = [
        features(1, REPORTING | PAGE_POISON),
        write_poison(2, 0xAA),
        event(3, Kind.INHIBIT, status=1),
        event(4, Kind.HINT_COMMAND, status=7),
        event(5, Kind.RESET),
    ]
    whole = write_trace(tmp_path / "whole.trace", rows)
    before = cut(whole, tmp_path / "before.trace", 4.5).manifest.virtual_machines[0]
    after = cut(whole, tmp_path / "after.trace", 6).manifest.virtual_machines[0]

    assert (before.features, before.poison_val) == (REPORTING | PAGE_POISON, 0xAA)
    assert (before.discard_inhibited, before.hint_command) == (True, 7)
    assert before.shadow_poison_val is None
    assert (after.features, after.poison_val, after.shadow_poison_val) == (None, None, 0xAA)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part(first_ns=2, stop_ns=2), "no time at all"),
        (Part(first_ns=20 * NANOSECONDS), "is 10.* long, so nothing begins at"),
        (Part(machine="nobody"), "has no machine 'nobody', expected one of guest0"),
    ],
)
def test_a_part_that_is_none_is_refused(tmp_path: Path, part: Part, message: str) -> None:
    whole = write_trace(tmp_path / "whole.trace", TWO_BLOCKS)

    with pytest.raises(UsageError, match=message):
        write_slice(whole, tmp_path / "part.trace", part, moment_at(whole, None))
    assert not (tmp_path / "part.trace").exists()


def test_a_trace_with_a_hole_is_not_sliced(tmp_path: Path) -> None:
    """The slice would not show that something is missing."""
    whole = write_trace(tmp_path / "whole.trace", TWO_BLOCKS)
    (path,) = (whole.path / "events").iterdir()
    path.rename(path.with_name("000003-000003.parquet"))

    with pytest.raises(InputError, match="3 of its segments are missing; `workbench repair`"):
        cut(whole, tmp_path / "part.trace", 1)


@pytest.mark.parametrize(
    ("first", "stop", "came", "ended"),
    [(0, 3, 2, None), (1, 9, 2, 4), (3, 9, None, 4), (2, 4, None, None), (5, 9, None, 4)],
)
def test_a_machine_that_came_or_ended_is_there_when_it_was(
    tmp_path: Path, first: int, stop: int, came: int | None, ended: int | None
) -> None:
    """In a part that begins after it came, or ends before it does, it is there throughout."""

    def clock(seconds: int | None) -> int | None:
        return None if seconds is None else START_NS + seconds * NANOSECONDS

    times = {"attached_time_ns": clock(2), "ended_time_ns": clock(4)}
    machines = [started("a"), started("b").model_copy(update=times)]
    whole = write_trace(tmp_path / "whole.trace", [], machines=machines)
    _, found = cut(whole, tmp_path / "part.trace", first, stop).manifest.virtual_machines

    assert (found.attached_time_ns, found.ended_time_ns) == (clock(came), clock(ended))
