"""A trace for ui.perfetto.dev: what the format demands, and that it shows what happened.

Perfetto's own importer cannot be run here: it is no package of PyPI.  What it demands is written
out below, from the format's description and from its source.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.qemu_lines import LINES, imported
from tests.synthetic import (
    REPORTED,
    discard,
    event,
    fault,
    features,
    given_back,
    inflate,
    machine,
    report,
    sample,
    swap_in,
    swap_out,
    trace,
    write_poison,
)
from workbench.errors import HostError, UsageError
from workbench.measure import export_perfetto, perfetto
from workbench.replay import replay
from workbench.schema import NO_ELEMENT, Kind
from workbench.trace import read_trace
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES

TRACES = Path(__file__).resolve().parents[2] / "traces"


def exported(of, folder, name="x.json", **options):
    """Export a trace, and read what was written as JSON."""
    path = folder / name
    export_perfetto(of, path, **options)
    content = path.read_bytes()
    text = gzip.decompress(content) if name.endswith(".gz") else content
    return json.loads(text, parse_constant=pytest.fail)


def events_of(document, phase, name=None):
    """The events of a phase, of one name."""
    return [
        each
        for each in document["traceEvents"]
        if each["ph"] == phase and name in (None, each["name"])
    ]


def process(document, name):
    """The number of a process."""
    named = events_of(document, "M", "process_name")
    return next(each["pid"] for each in named if each["args"]["name"] == name)


def nanoseconds(time_us):
    """What Perfetto makes of a time: json_trace_utils.cc, CoerceToTs."""
    return int(time_us * 1000)


def counter(document, guest, name, unit):
    """The values of a counter, each with its time in seconds."""
    return [
        (each["ts"] / 1e6, each["args"][unit])
        for each in events_of(document, "C", name)
        if each["pid"] == process(document, guest) and unit in each["args"]
    ]


def assert_follows_the_format(document):
    """What the Trace Event Format demands of each phase, and what Perfetto demands beyond it."""
    process_of = {}
    for each in document["traceEvents"]:
        phase = each["ph"]
        assert phase in "MXiC"
        assert isinstance(each["name"], str)
        assert each["name"].isprintable()
        assert isinstance(each["args"], dict)
        # Perfetto knows a thread by its number alone; 0 is the kernel's idle task.
        assert each["pid"] > 0
        assert process_of.setdefault(each["tid"], each["pid"]) == each["pid"]
        if phase != "M":
            assert math.isfinite(each["ts"])
            assert each["ts"] >= 0
        if phase == "X":
            assert each["dur"] >= 0
        if phase == "i":
            assert each["s"] in ("g", "p", "t")
        if phase == "C":
            assert len(each["args"]) == 1
            assert all(isinstance(value, int | float) for value in each["args"].values())
    named = {each["tid"] for each in events_of(document, "M", "thread_name")}
    assert {each["tid"] for phase in "Xi" for each in events_of(document, phase)} <= named
    assert_slices_nest(document)


def assert_slices_nest(document):
    """Of two slices of a track, one is in the other or after it; Perfetto cuts to nanoseconds."""
    tracks = defaultdict(list)
    for each in events_of(document, "X"):
        first = nanoseconds(each["ts"])
        tracks[each["tid"]].append((first, first + nanoseconds(each["dur"])))
    for slices in tracks.values():
        # Those that begin at once stay as they are written, as Perfetto leaves them.
        open_until = []
        for first, stop in sorted(slices, key=lambda each: each[0]):
            while open_until and open_until[-1] <= first:
                open_until.pop()
            assert not open_until or stop <= open_until[-1]
            open_until.append(stop)


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.trace")), ids=lambda path: path.stem)
def test_every_bundled_trace_follows_the_format_and_ends_as_its_replay(path, tmp_path):
    """Each discard is a slice, each element one around its own, and resident memory ends right."""
    of = read_trace(path)
    document = exported(of, tmp_path, "x.json.gz")
    run = replay(of)
    events = of.columns("events")
    is_discard = events["kind"] == Kind.DISCARD
    inflated = int((events["element"][is_discard] == NO_ELEMENT).sum())

    assert_follows_the_format(document)
    assert len(events_of(document, "X", "discard")) == int(is_discard.sum()) - inflated
    assert len(events_of(document, "X", "inflate")) == inflated
    elements = [each for each in events_of(document, "X") if each["name"].startswith("element")]
    assert sum(each["args"]["ranges"] for each in elements) == run.events["ranges"]
    assert sum(each["args"].get("discarded", 0) for each in elements) == run.events["discarded"]
    guests = [f"guest {each.name}" for each in of.manifest.virtual_machines]
    for name, final in (("resident", run.final_resident_bytes), ("swapped", final_swapped(run))):
        last = [counter(document, guest, name, "bytes, replayed")[-1][1] for guest in guests]
        assert sum(last) == final


def final_swapped(run):
    pages = run.initial_swapped_pages.sum() + run.ledger.swapped_delta_pages.sum()
    return int(pages) * PAGE_BYTES


def test_memory_as_sampled_is_shown_beside_memory_as_replayed(tmp_path):
    of = trace(
        [fault(1, 0), fault(2, 2), *given_back(report(3, 0))],
        samples=[sample(1.5, 2 * MIB, 3 * MIB), sample(3.5, 2 * MIB)],
    )
    document = exported(of, tmp_path)

    assert counter(document, "guest guest0", "resident", "bytes, replayed") == [
        (0, 0),
        (1, 2 * MIB),
        (2, 4 * MIB),
        (3, 2 * MIB),
    ]
    assert counter(document, "guest guest0", "resident", "bytes, sampled") == [
        (1.5, 2 * MIB),
        (3.5, 2 * MIB),
    ]
    assert counter(document, "guest guest0", "swapped", "bytes, sampled")[0] == (1.5, 3 * MIB)


def test_the_host_has_free_memory_and_rates_of_swapping(tmp_path):
    """A rate holds from the sample before; what was not measured is not shown."""
    rows = [sample(second, 0) | {"host_free_bytes": 7 * MIB} for second in (0, 2, 3)]
    for row, pages in zip(rows, (10, 30, 30), strict=True):
        row |= {"swap_in_pages": pages, "swap_out_pages": -1}
    rows[0]["host_free_bytes"] = -1
    document = exported(trace([], samples=rows), tmp_path)

    assert counter(document, "host", "free memory", "bytes") == [(2, 7 * MIB), (3, 7 * MIB)]
    assert counter(document, "host", "swap in", "pages a second") == [(0, 10), (2, 0)]
    assert counter(document, "host", "swap out", "pages a second") == []


def test_free_memory_of_the_guest_is_summed_over_its_blocks(tmp_path):
    row = {"time_ns": sample(1, 0)["time_ns"], "free_blocks_order_0": 3}
    row |= {"free_blocks_order_9": 2, "free_blocks_order_10": 1}
    document = exported(trace([], guest_samples=[row]), tmp_path)
    free = "bytes, in blocks of 2 MiB or more"

    large = 4 * HUGE_PAGE_BYTES
    assert counter(document, "guest guest0", "free", "bytes") == [(1, large + 3 * PAGE_BYTES)]
    assert counter(document, "guest guest0", "free", free) == [(1, large)]


def test_an_element_is_a_slice_around_its_discards(tmp_path):
    first, second = report(1, 0, element=4), report(1, 2 * MIB, element=4)
    took = discard(second, duration_ns=3) | {"time_ns": second["time_ns"] + 1_000_000}
    events = [first, second, discard(first, duration_ns=500), took]
    document = exported(trace([features(0.5), *events, inflate(2, 0)]), tmp_path)
    (element,) = events_of(document, "X", "element 4")

    assert element["args"] == {"ranges": 2, "bytes": 4 * MIB, "discarded": 2}
    assert element["ts"] == 1e6
    assert nanoseconds(element["dur"]) == 1_000_003
    discards = events_of(document, "X", "discard")
    assert [nanoseconds(each["dur"]) for each in discards] == [500, 3]
    assert [nanoseconds(each["ts"]) for each in discards] == [10**9, 10**9 + 10**6]
    assert discards[1]["args"]["offset_bytes"] == 2 * MIB
    assert {each["tid"] for each in discards} == {element["tid"]}
    assert events_of(document, "X", "inflate")[0]["tid"] != element["tid"]


def test_what_lasts_lasts_until_the_next_or_the_end(tmp_path):
    """Steps follow each other; hints end by their command, a migration by its end."""
    rows = [
        event(1, Kind.MARKER, status=1),
        event(2, Kind.MIGRATION_START),
        event(3, Kind.HINT_COMMAND, status=0x80000000),
        event(3.5, Kind.HINT_RANGE, ram_block=0, length_bytes=MIB),
        event(4, Kind.HINT_COMMAND, status=0),
        event(5, Kind.MARKER, status=2),
        event(6, Kind.MIGRATION_END, status=1),
    ]
    document = exported(trace(rows), tmp_path)
    slices = {
        each["name"]: (each["ts"] / 1e6, each["dur"] / 1e6, each["args"])
        for each in events_of(document, "X")
    }
    assert slices == {
        "step 1": (1, 4, {}),
        "step 2": (5, 5, {}),
        "migration": (2, 4, {"completed": "True"}),
        "hinting 0x80000000": (3, 1, {"ranges": 1, "bytes": MIB}),
    }


def test_what_the_driver_and_the_operator_did_are_instants(tmp_path):
    rows = [
        event(1, Kind.RESET),
        features(2),
        write_poison(3),
        event(4, Kind.INHIBIT, status=1),
        event(5, Kind.INHIBIT, status=0),
        event(6, Kind.STATUS, status=15),
    ]
    document = exported(trace(rows), tmp_path)
    instants = {each["name"]: each["args"] for each in events_of(document, "i")}

    assert instants == {
        "reset": {"status": 0},
        "features": {"bits": "0x20", "names": "reporting"},
        "poison_val": {"offset_bytes": 12, "length_bytes": 4, "value": "0xaaaaaaaa"},
        "discards inhibited": {},
        "discards allowed": {},
        "status": {"status": 15},
    }


def test_faults_are_counted_and_not_shown_one_by_one(tmp_path):
    """Over all parts of the time as many as there are; where there are none the rate is 0."""
    events = [fault(1, 0), swap_out(1.2, 0), fault(2, 2), swap_in(5, 0), swap_in(5, PAGE_BYTES)]
    document = exported(trace(events), tmp_path)
    unit = "events a second"

    assert events_of(document, "X") == []
    for name, times in (("first touches", 2), ("swapped in", 2), ("swapped out", 1)):
        rates = counter(document, "guest guest0", name, unit)
        assert rates[-1][1] == 0
        ends = [at for at, _ in rates[1:]] + [math.inf]
        held = [rate * (end - at) for (at, rate), end in zip(rates, ends, strict=True) if rate]
        assert sum(held) == pytest.approx(times)


def test_how_events_are_cut_into_batches_changes_nothing(tmp_path):
    """Not even of a trace that is cut at every event where it can be."""
    of = read_trace(TRACES / "pressure-on.trace")
    whole = exported(of, tmp_path, "whole.json")
    parts = exported(of, tmp_path, "parts.json", row_count=97)

    def as_set(document):
        return Counter(json.dumps(each, sort_keys=True) for each in document["traceEvents"])

    assert as_set(whole) == as_set(parts)


def test_a_long_trace_has_no_more_values_than_a_screen_can_show(tmp_path, monkeypatch):
    monkeypatch.setattr(perfetto, "BUCKETS_MAX", 50)
    document = exported(read_trace(TRACES / "pressure-off.trace"), tmp_path)
    shown = Counter(
        (each["name"], unit)
        for each in events_of(document, "C")
        for unit in each["args"]
        if "sampled" not in unit
    )

    assert shown["resident", "bytes, replayed"] <= 52
    assert shown["swapped", "bytes, replayed"] <= 52
    assert shown["swapped in", "events a second"] <= 52


def test_names_of_guests_are_shown_whatever_they_are(tmp_path):
    """Perfetto's text ends at a zero, and other control characters do not show."""
    name = 'a"\\\0\x1b[31m\n\u202e</script>ü'
    document = exported(trace([fault(1, 0)], machines=[machine(name)]), tmp_path)
    (shown,) = [
        each["args"]["name"]
        for each in events_of(document, "M", "process_name")
        if each["args"]["name"] != "host"
    ]

    assert_follows_the_format(document)
    assert shown == 'guest a"\\\\x00\\x1b[31m\\n\\u202e</script>ü'


def test_equal_traces_give_equal_bytes(tmp_path):
    for name in ("a.json.gz", "b.json.gz"):
        export_perfetto(trace(REPORTED), tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_an_imported_log_shows_reports_and_no_memory(tmp_path):
    document = exported(imported(tmp_path, LINES), tmp_path)

    assert_follows_the_format(document)
    assert len(events_of(document, "X", "discard")) == 4
    assert len(events_of(document, "X", "inflate")) == 1
    assert events_of(document, "C") == []


def test_nothing_is_written_over_and_nothing_is_left_behind(tmp_path):
    (tmp_path / "x.json").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export_perfetto(trace(REPORTED), tmp_path / "x.json")
    with pytest.raises(HostError, match="cannot be written"):
        export_perfetto(trace(REPORTED), tmp_path / "missing" / "x.json")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert np.array_equal((tmp_path / "x.json").read_bytes(), b"mine")
