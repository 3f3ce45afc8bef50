"""What an anonymous trace no longer says, and that its replay says the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import RAM_BYTES, REPORTED, inflate, manifest, touch, write_trace
from workbench.measure import result_document
from workbench.replay import replay
from workbench.schema import TABLES, Kind
from workbench.trace import (
    NotCaptured,
    Probe,
    RamBlock,
    Trace,
    TraceWriter,
    anonymize_trace,
    read_trace,
)
from workbench.trace.rotation import LARGEST_BLOCK_BYTES, Rotation, find_rotation
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED = Path(__file__).resolve().parents[2] / "traces"

UNIT = LARGEST_BLOCK_BYTES
NAME = "acme-payroll"


def identifying() -> Trace:
    """A trace in which every text names its owner."""
    facts = manifest(scenario=NAME, swap=(f"/dev/mapper/{NAME}", "/dev/zram7"))
    machine = facts.virtual_machines[0]
    block = machine.ram_blocks[0].model_copy(update={"name": f"/objects/{NAME}"})
    return facts.model_copy(
        update={
            "tool_version": NAME,
            "command": f"workbench capture --name {NAME}",
            "scenario_text": NAME,
            "lab_settings": {NAME: NAME},
            "created": "2031-07-09T12:00:00+00:00",
            "clock": NAME,
            "access_source": NAME,
            "lowered_time_ns": facts.start_time_ns + 9,
            "not_captured": (NotCaptured(name=NAME, reason=NAME),),
            "host": facts.host.model_copy(
                update={"kernel": f"6.18.44-{NAME}", "transparent_huge_page": NAME}
            ),
            "virtual_machines": (
                machine.model_copy(
                    update={
                        "name": NAME,
                        "qemu_version": f"7.2.22 {NAME}",
                        "machine_type": f"pc-q35-{NAME}",
                        "accelerator": NAME,
                        "arguments": (NAME, f"-name {NAME}"),
                        "qemu_build_id": NAME,
                        "attached_time_ns": facts.start_time_ns + 5,
                        "ended_time_ns": facts.start_time_ns + 7,
                        "ram_blocks": (block,),
                        "guest": machine.guest.model_copy(update={"kernel": f"6.1.0-{NAME}"}),
                    }
                ),
            ),
            "probes": (
                Probe(name=NAME, attached=False, reason=NAME, lost={NAME: 3}),
                Probe(name="memory", attached=True, lost={"ring full": 2, NAME: 1}),
            ),
        }
    )


def anonymous(trace: Trace, path: Path, **options: Any) -> Trace:
    """Make an anonymous trace, and read it."""
    anonymize_trace(trace, path, **options)
    return read_trace(path)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files of a trace."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def test_no_file_holds_a_name_a_date_or_a_clock(tmp_path: Path) -> None:
    """Neither the manifest nor what Parquet says beside its columns."""
    facts = identifying()
    writer = TraceWriter(tmp_path / f"{NAME}.trace", facts)
    writer.append("events", {name: [row.get(name, 0) for row in REPORTED] for name in REPORTED[0]})
    writer.append("samples", {"time_ns": [facts.start_time_ns + 1], "qemu_cpu_ns": [77 << 33]})
    writer.append("guest_samples", {"time_ns": [facts.start_time_ns], "guest_time_ns": [123456789]})
    writer.close(facts)
    made = anonymous(read_trace(writer.path), tmp_path / "shared.trace")

    for name, content in files(made.path):
        assert NAME.encode() not in content, name
        assert b"2031" not in content, name
    assert made.manifest.lost_events == facts.lost_events
    assert made.columns("samples")["qemu_cpu_ns"].tolist() == [0]
    assert made.columns("guest_samples")["guest_time_ns"].tolist() == [0]
    assert made.manifest.host.kernel == "6.18.44"
    assert made.manifest.host.swap == ("swap0", "zram1")
    (machine,) = made.manifest.virtual_machines
    start_ns = made.manifest.start_time_ns
    assert machine.machine_type == "q35"
    assert (machine.attached_time_ns, machine.ended_time_ns) == (start_ns + 5, start_ns + 7)
    assert made.manifest.lowered_time_ns == start_ns + 9
    assert len(made.manifest.not_captured) == 1


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.trace")), ids=lambda path: path.stem)
def test_a_captured_trace_answers_the_same(tmp_path: Path, path: Path) -> None:
    """Every metric, the model's error and the counts of events; and no name is left."""
    trace = read_trace(path)
    made = anonymous(trace, tmp_path / "shared.trace")
    expected, found = (result_document(replay(one)) for one in (trace, made))
    texts = {trace.manifest.created, trace.manifest.host.kernel, str(trace.manifest.start_time_ns)}
    texts |= {machine.name for machine in trace.manifest.virtual_machines}

    assert found["metrics"] == expected["metrics"]
    assert found["events"] == expected["events"]
    assert found["model_error"]["resident_bytes"] == expected["model_error"]["resident_bytes"]
    assert not [text for text in texts for _, part in files(made.path) if text.encode() in part]


def test_pages_are_elsewhere_and_aligned_as_before(tmp_path: Path) -> None:
    """By whole blocks of the allocator, and all by the same distance or round the end."""
    trace = read_trace(BUNDLED / "churn-on.trace")
    before = trace.columns("events")
    after = anonymous(trace, tmp_path / "shared.trace").columns("events")
    rows = before["ram_block"] >= 0
    moved = after["offset_bytes"][rows] - before["offset_bytes"][rows]
    ram_bytes = trace.manifest.virtual_machines[0].ram_blocks[0].used_bytes

    assert (moved % LARGEST_BLOCK_BYTES == 0).all()
    assert len(set((moved % ram_bytes).tolist())) == 1
    assert moved.any()


def test_equal_traces_give_equal_bytes_and_others_other_addresses(tmp_path: Path) -> None:
    trace = read_trace(BUNDLED / "churn-on.trace")
    for name in ("one", "two"):
        anonymize_trace(trace, tmp_path / name)

    assert list(files(tmp_path / "one")) == list(files(tmp_path / "two"))


def test_addresses_can_be_kept(tmp_path: Path) -> None:
    trace = read_trace(BUNDLED / "staircase-mid-life.trace")
    made = anonymous(trace, tmp_path / "shared.trace", keeps_addresses=True)

    for name in ("events", "state"):
        same = made.columns(name)["offset_bytes"] == trace.columns(name)["offset_bytes"]
        assert same.all()


def block(used_bytes: int, huge_page_offset_bytes: int = 0) -> RamBlock:
    """A block of guest RAM."""
    return RamBlock(
        name="ram",
        used_bytes=used_bytes,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=True,
        huge_page_offset_bytes=huge_page_offset_bytes,
    )


def rotation_of(folder: Path, rows: list[dict[str, int]], ram: RamBlock, key: bytes) -> Rotation:
    """Choose a rotation for a guest with one block of RAM."""
    facts = manifest().virtual_machines[0].model_copy(update={"ram_blocks": (ram,)})
    return find_rotation(write_trace(folder / "x.trace", rows, machines=[facts]), 0, 0, key)


SIZES = st.integers(0, 40).map(lambda half: half * 2 * MIB + PAGE_BYTES)


@given(
    used_bytes=SIZES,
    inset=st.sampled_from([0, 0, PAGE_BYTES, MIB]),
    ranges=st.lists(st.tuples(st.integers(0, 79), st.integers(1, 9)), max_size=8),
    key=st.binary(max_size=4),
)
def test_a_rotation_moves_every_page_once_and_parts_no_range(
    tmp_path_factory: pytest.TempPathFactory,
    used_bytes: int,
    inset: int,
    ranges: list[tuple[int, int]],
    key: bytes,
) -> None:
    ram = block(used_bytes, inset)
    rows = [
        inflate(1 + number / 100, first * MIB, length * MIB)
        for number, (first, length) in enumerate(ranges)
        if (first + length) * MIB <= used_bytes
    ]
    folder = tmp_path_factory.mktemp("rotation")
    rotation = rotation_of(folder, rows, ram, key)
    pages = np.arange(0, used_bytes, PAGE_BYTES)
    moved = rotation.moved(pages)

    assert sorted(moved.tolist()) == pages.tolist()
    assert ((moved - pages) % UNIT == 0).all()
    assert ((moved + inset) // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES % HUGE_PAGE_BYTES == 0).all()
    for row in rows:
        first, stop = row["offset_bytes"], row["offset_bytes"] + row["length_bytes"]
        own = moved[first // PAGE_BYTES : stop // PAGE_BYTES]
        assert (np.diff(own) == PAGE_BYTES).all()


def test_a_range_beyond_the_end_keeps_the_block_where_it_is(tmp_path: Path) -> None:
    """Moved into the block it would no longer be the mistake that it is."""
    beyond = inflate(1, RAM_BYTES - PAGE_BYTES, 2 * PAGE_BYTES) | {"kind": int(Kind.REPORT)}
    rotation = rotation_of(tmp_path, [beyond, touch(2, 0)], block(RAM_BYTES), b"")

    assert rotation.moved(np.array([0, UNIT])).tolist() == [0, UNIT]


def test_a_range_of_state_is_cut_where_its_parts_go_different_ways() -> None:
    rotation = Rotation(0, 3 * UNIT, 4 * UNIT)
    state = {"offset_bytes": np.array([2 * UNIT]), "length_bytes": np.array([2 * UNIT])}
    pieces = rotation.pieces({**state, "vm": np.array([0])})
    places = [
        (int(first), int(length))
        for piece in pieces
        for first, length in zip(piece["offset_bytes"], piece["length_bytes"], strict=True)
    ]

    assert sorted(places) == [(0, UNIT), (3 * UNIT, UNIT)]


def test_ranges_of_no_length_are_nothing(tmp_path: Path) -> None:
    """A reader takes them; there is nothing to move."""
    facts = manifest()
    writer = TraceWriter(tmp_path / "x.trace", facts)
    writer.append("state", {"page_state": [1, 1]})
    writer.close(facts)
    made = anonymous(read_trace(writer.path), tmp_path / "shared.trace")

    assert made.columns("state")["vm"].size == 0


def test_every_table_is_there(tmp_path: Path) -> None:
    trace = read_trace(BUNDLED / "staircase-mid-life.trace")
    made = anonymous(trace, tmp_path / "shared.trace")

    for name in TABLES:
        if name != "state":
            assert len(made.columns(name)["vm"]) == len(trace.columns(name)["vm"])
    lengths = [one.columns("state")["length_bytes"].sum() for one in (trace, made)]
    assert lengths[0] == lengths[1]
