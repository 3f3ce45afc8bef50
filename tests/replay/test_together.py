"""Several traces as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.synthetic import (
    HUGE,
    POISONED,
    REPORTED,
    TWO_BLOCKS,
    machine,
    report,
    started,
    touch,
    trace,
)
from workbench.errors import UsageError
from workbench.measure import metrics
from workbench.replay import Host, moment_at, replay, together
from workbench.schema import TABLES, PageState
from workbench.trace import Part, Trace, read_trace, write_slice
from workbench.trace.rows import Rows
from workbench.units import GIB, MIB, NANOSECONDS

TRACES = Path(__file__).parents[2] / "traces"
AMPLE = Host(memory_bytes=64 * GIB)

SMALL = [trace(rows, machines=[started()]) for rows in (REPORTED, POISONED, TWO_BLOCKS)]
TWO_MACHINES = trace(
    [touch(1, 0), touch(2, HUGE, vm=1), report(3, 0, vm=1)], machines=[started("a"), started("b")]
)
CHOSEN = st.lists(
    st.tuples(st.sampled_from([*SMALL, TWO_MACHINES]), st.integers(0, 20 * NANOSECONDS)),
    min_size=1,
    max_size=5,
)
LEDGER = ("outcome", "surprise", "resident_delta_pages", "swapped_delta_pages", "freed_pages")


def bundled(name):
    return read_trace(TRACES / f"{name}.trace")


def changed(one, *, host=None, **facts):
    """The same trace, of a capture that says otherwise."""
    if host is not None:
        facts["host"] = one.manifest.host.model_copy(update=host)
    return Trace(one.path, one.manifest.model_copy(update=facts), one._tables)


def machine_rows(run, vm):
    """When each event of one machine was, and what it did."""
    rows = run.ledger.vm == vm
    start_ns = run.trace.manifest.start_time_ns
    return [
        (run.ledger.time_ns[rows] - start_ns).tolist(),
        *(getattr(run.ledger, name)[rows].tolist() for name in LEDGER),
    ]


def replayed_alone(chosen, host):
    """What the machines of each trace do by themselves, begun by so much later."""
    for one, shift_ns in chosen:
        run = replay(one, host=host)
        for vm in range(len(one.manifest.virtual_machines)):
            times, *rest = machine_rows(run, vm)
            yield [[time + shift_ns for time in times], *rest]


@settings(max_examples=40)
@given(chosen=CHOSEN, host=st.sampled_from([None, AMPLE]))
def test_with_ample_memory_guests_together_do_what_they_do_alone(chosen, host):
    """Event by event, and so resident memory is at any time the sum of theirs."""
    traces, shifts_ns = zip(*chosen, strict=True)

    run = replay(together(traces, shifts_ns), host=host)

    machines = range(len(run.trace.manifest.virtual_machines))
    found = [machine_rows(run, vm) for vm in machines]
    assert found == list(replayed_alone(chosen, host))
    assert run.events["as_captured"]["differing_decisions"] == sum(
        replay(one).events["as_captured"]["differing_decisions"] for one in traces
    )


@settings(max_examples=30)
@given(chosen=CHOSEN)
def test_what_is_made_is_a_trace_in_order(chosen):
    traces, shifts_ns = zip(*chosen, strict=True)

    made = together(traces, shifts_ns)

    for name, table in TABLES.items():
        Rows(path=made.path, columns=made.columns(name)).check(made.manifest, table)
    events = made.columns("events")
    assert (np.diff(events["time_ns"]) >= 0).all()
    assert events["sequence"].tolist() == list(range(made.event_count))
    assert made.event_count == sum(one.event_count for one in traces)
    names = [each.name for each in made.manifest.virtual_machines]
    assert len(set(names)) == len(names)
    ends = [one.manifest.duration_ns + shift_ns for one, shift_ns in chosen]
    assert made.manifest.duration_ns == max(ends)


@settings(max_examples=30)
@given(chosen=CHOSEN)
def test_the_order_of_the_traces_changes_no_total(chosen):
    values = []
    for order in (chosen, chosen[::-1]):
        traces, shifts_ns = zip(*order, strict=True)
        found = metrics(replay(together(traces, shifts_ns), host=AMPLE))
        values.append({name: entry["value"] for name, entry in found.items()})

    assert values[0] == values[1]


def test_equal_traces_and_shifts_give_equal_bytes_and_others_do_not():
    digests = [
        (made.digest, made.files_digest)
        for shifts_ns in ((0, 5), (0, 5), (0, 6))
        for made in [together([SMALL[0], SMALL[1]], shifts_ns)]
    ]

    assert digests[0] == digests[1]
    assert digests[0][0] != digests[2][0]
    assert digests[0][1] != digests[2][1]


def test_the_guests_of_a_real_host_taken_apart_and_put_together_are_what_was_captured(tmp_path):
    """Also where memory is short, as they then take it from each other."""
    whole = bundled("staircase-two-guests")
    parts = []
    for one in whole.manifest.virtual_machines:
        path = tmp_path / f"{one.name}.trace"
        write_slice(whole, path, Part(machine=one.name), moment_at(whole, None))
        parts.append(read_trace(path))

    made = together(parts, [0, 0])

    assert [m.name for m in made.manifest.virtual_machines] == ["staircase-0", "staircase-1"]
    for host in (None, AMPLE, Host(memory_bytes=300 * MIB)):
        expected, found = metrics(replay(whole, host=host)), metrics(replay(made, host=host))
        is_measured = {name for name in found if name.startswith("model_error")}
        for name in found.keys() - is_measured:
            assert found[name]["value"] == expected[name]["value"], name


def test_guests_that_do_the_same_at_once_need_twice_as_much_as_one():
    """So a host with room for one swaps, and one that lets the second wait does not."""
    one = bundled("churn-on")
    host = Host(memory_bytes=420 * MIB, swap="zram")
    later_ns = one.manifest.duration_ns

    at_once, alone, in_turn = (
        metrics(replay(run, host=host))["swap_out_pages"]["value"]
        for run in (together([one, one], [0, 0]), one, together([one, one], [0, later_ns]))
    )

    assert alone == 0
    assert at_once > in_turn


def test_what_traces_begin_with_and_lost_is_kept():
    resident = {
        "ram_block": 0,
        "offset_bytes": HUGE,
        "length_bytes": HUGE,
        "page_state": int(PageState.RESIDENT),
    }
    one = trace([touch(1, 0)], state=[resident], lost=3)
    cut_short = trace([touch(1, 0)], lost=4, complete=False)

    made = together([cut_short, one, one], [0, 1, 2])

    assert made.columns("state")["vm"].tolist() == [1, 2]
    assert made.manifest.lost_events == 10
    assert not made.manifest.complete
    assert replay(made).initial_resident_pages.tolist() == [0, 512, 512]


def test_when_machines_came_and_ended_moves_with_them():
    start_ns = SMALL[0].manifest.start_time_ns
    partly = machine(attached_time_ns=start_ns + 7, ended_time_ns=start_ns + 9)
    one = changed(trace([touch(0, 0)], machines=[partly]), lowered_time_ns=start_ns + 8)

    made = together([SMALL[0], one], [0, 100])

    machines = made.manifest.virtual_machines
    assert [(m.attached_time_ns, m.ended_time_ns) for m in machines] == [(None, None), (107, 109)]
    assert made.manifest.lowered_time_ns == 108


def test_names_that_are_taken_already_are_not_given_again():
    names = ["a", "a", "a (2)", "a"]
    traces = [trace([touch(1, 0)], machines=[machine(name)]) for name in names]

    made = together(traces, [0] * 4).manifest.virtual_machines

    assert [one.name for one in made] == ["a", "a (2)", "a (2) (2)", "a (3)"]


def test_many_traces_are_named_by_their_number():
    traces = [Trace(Path(f"{n}.trace"), SMALL[0].manifest, SMALL[0]._tables) for n in range(4)]

    assert together([traces[0], traces[0], traces[1]], [0, 0, 0]).name == "2 x 0 + 1"
    assert together(traces, [0] * 4).name == "4 traces"


@pytest.mark.parametrize(
    ("traces", "shifts_ns", "message"),
    [
        ([], [], "no trace is given"),
        (SMALL[:2], [0], "1 shifts are given for 2 traces"),
        (SMALL[:1], [-1], "shifted by -1 ns, expected 0 or more"),
        (SMALL[:1], [2**62], "within what a trace can tell of time"),
        (["traces/churn-on.trace"], [0], "expected a trace: read_trace"),
    ],
)
def test_what_cannot_be_put_together_is_refused(traces, shifts_ns, message):
    with pytest.raises(UsageError, match=message):
        together(traces, shifts_ns)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed(SMALL[0], host={"kernel": "6.1.0"}), "Linux 6.1, hand has 6.18"),
        (changed(SMALL[0], host={"transparent_huge_page": "never"}), "transparent_huge_page never"),
        (changed(SMALL[0], host={"frees_empty_page_tables": False}), "page_tables False"),
        (changed(SMALL[0], host={"page_cluster": 3}), "page_cluster 3, hand has 0"),
        (changed(SMALL[0], host={"swap": ("/dev/sda 2 GiB",)}), "swap on zram False"),
        (changed(SMALL[0], mid_life=True), "mid_life True"),
        (changed(SMALL[0], access_interval_ns=5), "access_interval_ns 5, hand has None"),
        (
            changed(SMALL[0], host={"transparent_huge_page": "\x1b[31m\n"}),
            r"page \S+, hand has mad",
        ),
    ],
)
def test_hosts_and_captures_that_are_not_alike_are_refused(other, message):
    with pytest.raises(UsageError, match=message):
        together([SMALL[0], other], [0, 0])
