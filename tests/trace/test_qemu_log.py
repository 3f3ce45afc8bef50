"""QEMU's trace log as a trace: what is told, what is refused, and what does not matter."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capture.segments import rows
from tests.qemu_lines import (
    BASE,
    DEVICE,
    DISCARDS,
    LINES,
    MAIN,
    PLACE,
    SECOND,
    VCPU,
    discard,
    imported,
    kick,
    line,
    output,
    pop,
    status,
)
from workbench.errors import InputError, UsageError
from workbench.schema import NO_BLOCK, Kind
from workbench.trace import read_trace
from workbench.trace.qemu_lines import LINE_BYTES_MAX
from workbench.units import HUGE_PAGE_BYTES, MIB, NANOSECONDS, PAGE_BYTES


def probe(trace, name="ram_block_discard_range"):
    return next(each for each in trace.manifest.probes if each.name == name)


def test_discards_reports_and_registers_are_told(tmp_path):
    """Offsets, elements and times are as worked out by hand."""
    trace = imported(tmp_path, LINES)
    base_ns = SECOND * NANOSECONDS

    assert rows(trace, Kind.DISCARD, *PLACE) == DISCARDS
    assert rows(trace, Kind.REPORT, *PLACE) == DISCARDS[:4]
    assert [t - base_ns for (t,) in rows(trace, Kind.REPORT, "time_ns")] == [
        *[1_100_000_000] * 2,
        *[2_000_000_000] * 2,
    ]
    assert rows(trace, Kind.STATUS, "status") == [(0,), (1,), (15,)]
    assert len(rows(trace, Kind.RESET, "status")) == 1
    place = ("ram_block", "offset_bytes", "length_bytes", "status")
    assert rows(trace, Kind.CONFIG_WRITE, *place) == [(NO_BLOCK, 4, 4, 7)]


def test_the_manifest_says_what_is_known_and_what_is_not(tmp_path):
    """The clock is the wall's, memory was not seen, and a range whose place no line has is lost."""
    manifest = imported(tmp_path, LINES, name="web").manifest

    assert manifest.clock.startswith("CLOCK_REALTIME")
    assert manifest.start_time_ns == SECOND * NANOSECONDS
    assert manifest.duration_ns == round(3.3 * NANOSECONDS)
    assert manifest.created == "2023-11-14T22:13:20+00:00"
    assert not manifest.saw_faults
    assert manifest.complete
    assert manifest.lost_events == 1
    (machine,) = manifest.virtual_machines
    assert machine.name == "web"
    assert machine.memory_bytes == machine.ram_blocks[0].used_bytes == 16 * MIB


NOISE = st.one_of(
    st.sampled_from(
        [
            line(0.5, "virtio_blk_req_complete vdev 0x1 req 0x2 status 0"),
            line(0.5, "ram_block_discard_range pc.ram@0x7f0000"),
            line(0.5, "virtqueue_pop vq 0x1 elem"),
            "qemu-system-x86_64: warning: host doesn't support requested feature\n",
            "2023-11-14T22:13:20.5Z qemu-system-x86_64: terminating on signal 15\n",
            "\n",
            "\0\0\0\n",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30).map("{}\n".format),
    st.just("x" * (3 * LINE_BYTES_MAX) + "\n"),
)


@given(noise=st.lists(st.tuples(st.integers(0, len(LINES)), NOISE), max_size=8))
def test_what_else_stands_in_the_log_does_not_matter(tmp_path_factory, noise):
    """Other events, damaged lines, warnings and rubbish change no event, only what is counted."""
    lines = list(LINES)
    for at, text in sorted(noise, reverse=True):
        lines.insert(at, text)
    clean = imported(tmp_path_factory.mktemp("clean"), LINES)
    noisy = imported(tmp_path_factory.mktemp("noisy"), lines)

    for name, values in clean.columns("events").items():
        if name not in ("time_ns", "sequence"):
            assert noisy.columns("events")[name].tolist() == values.tolist()
    assert noisy.columns("events")["kind"].size > 0
    if not noise:
        assert probe(noisy, "log").unattributed == 0


def test_damaged_and_foreign_lines_are_counted_apart(tmp_path):
    others = [line(3, "virtio_blk_handle_read vdev 0x1"), "warning\n", line(3, "virtqueue_pop x")]
    log = probe(imported(tmp_path, [*LINES, *others]), "log")

    assert log.unattributed == 2
    assert log.events == len(LINES) + 1
    assert "2 lines are not QEMU's, or damaged" in log.reason


def test_a_last_line_without_an_end_does_not_count(tmp_path):
    """Its number may have been longer: 0x200000 cut to 0x2."""
    cut = discard(4, 8).split(":")[:2]
    trace = imported(tmp_path, [*LINES, ":".join(cut)[:-4]])

    assert rows(trace, Kind.DISCARD, *PLACE) == DISCARDS
    assert not trace.manifest.complete
    assert "its last line is cut" in probe(trace, "log").reason


def test_a_log_without_times_is_refused_with_the_fix(tmp_path):
    untimed = [text.partition(":")[2] for text in LINES]

    with pytest.raises(InputError, match=re.escape("qemu.log: line 1 is an event without a time")):
        imported(tmp_path, untimed)
    with pytest.raises(InputError, match="-msg timestamp=on"):
        imported(tmp_path, untimed)


@pytest.mark.parametrize("content", [b"", b"\x7fELF\0\0\n", b"hello\n" * 9, b"x" * 10_000])
def test_what_is_no_log_is_refused_with_how_to_get_one(tmp_path, content):
    with pytest.raises(InputError, match=re.escape("enable=ram_block_discard*_range")):
        imported(tmp_path, content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["qemu.log"]


def test_what_is_there_is_not_written_over(tmp_path):
    imported(tmp_path, LINES)
    before = read_trace(tmp_path / "x.trace").digest

    with pytest.raises(UsageError, match="exists already"):
        imported(tmp_path, LINES[:8])
    assert read_trace(tmp_path / "x.trace").digest == before


def test_a_clock_that_is_set_back_is_held_and_said(tmp_path):
    """The order of the lines is the order in which things happened."""
    lines = [*LINES[:12], pop(1, 1), discard(1.1, 8)]
    trace = imported(tmp_path, lines)

    assert rows(trace, Kind.DISCARD, *PLACE)[-1] == (8 * MIB, 2 * MIB, 2)
    assert rows(trace, Kind.DISCARD, "time_ns")[-1] == ((SECOND * 10 + 22) * NANOSECONDS // 10,)
    assert "its clock was set back, by 1.20 s at most" in probe(trace, "log").reason


class TestQueues:
    def test_without_elements_each_discard_is_one(self, tmp_path):
        """And the trace says so."""
        lines = [text for text in LINES if "virtqueue_pop" not in text]
        trace = imported(tmp_path, lines)

        assert [row[2] for row in rows(trace, Kind.DISCARD, *PLACE)] == [0, 1, 2, 3, -1]
        assert "4 discards belong to no element" in probe(trace, "virtqueue_pop").reason
        assert not probe(trace, "virtqueue_pop").attached

    def test_other_devices_may_take_elements_in_between(self, tmp_path):
        """From a thread of their own, or from QEMU's main one between two elements."""
        lines = [
            *LINES[:5],
            pop(1.15, 1, 0x1111, out=2, thread=VCPU),
            *LINES[5:9],
            pop(1.9, 4, 0x2222, out=0),
            *LINES[9:],
        ]
        assert rows(imported(tmp_path, lines), Kind.DISCARD, *PLACE) == DISCARDS

    def test_the_status_of_another_device_is_none_of_the_balloon(self, tmp_path):
        other = [status(0.3, value, DEVICE + 0x1000) for value in (0, 1, 15)]
        trace = imported(tmp_path, [*LINES[:3], *other, *LINES[3:]])

        assert rows(trace, Kind.STATUS, "status") == [(0,), (1,), (15,)]
        assert probe(trace, "virtio_set_status").unattributed == 3

    def test_without_a_kick_no_status_is_known_to_be_the_balloon(self, tmp_path):
        trace = imported(tmp_path, [text for text in LINES if "queue_notify" not in text])

        assert rows(trace, Kind.STATUS, "status") == []
        assert "no line tells which device" in probe(trace, "virtio_set_status").reason

    def test_a_rebooted_guest_is_reset_once_more(self, tmp_path):
        """QEMU writes the status 0 once or more for each reset."""
        again = [status(4, 0), status(4.1, 0), status(4.2, 1)]
        assert len(rows(imported(tmp_path, [*LINES, *again]), Kind.RESET, "status")) == 2


class TestMemory:
    def test_the_base_is_known_where_only_one_fits(self, tmp_path):
        """The whole of the RAM was discarded."""
        trace = imported(tmp_path, [kick(1), pop(1, 2), discard(1, 0), discard(1, 14)])

        assert "the only address it can" in probe(trace).reason
        assert rows(trace, Kind.DISCARD, "offset_bytes") == [(0,), (14 * MIB,)]

    def test_an_assumed_base_is_said_with_the_way_to_say_it(self, tmp_path):
        trace = imported(tmp_path, [pop(1, 2), discard(1, 4), discard(1, 10)])

        assert "assumed" in probe(trace).reason
        assert "of 5 that are possible" in probe(trace).reason
        assert "gpa2hva 0" in probe(trace).reason
        assert rows(trace, Kind.DISCARD, "offset_bytes") == [(0,), (6 * MIB,)]

    def test_a_base_that_is_said_counts(self, tmp_path):
        trace = imported(tmp_path, [pop(1, 2), discard(1, 4), discard(1, 10)], bases=BASE)

        assert rows(trace, Kind.DISCARD, "offset_bytes") == [(4 * MIB,), (10 * MIB,)]

    def test_pages_of_the_balloon_say_the_base(self, tmp_path):
        """Most of them: one may have been inflated while discards were inhibited."""
        pages = [output(1, 0x5000), discard(1, 5 / 256, 4096), output(2, 0x7000)]
        pages += [discard(2, 7 / 256, 4096), output(3, 0x9000), discard(3, 8, 4096)]
        trace = imported(tmp_path, [*pages, pop(4, 1), discard(4, 6)])

        assert "as pages of the balloon show" in probe(trace).reason
        assert rows(trace, Kind.DISCARD, "offset_bytes")[0] == (0x5000,)

    @pytest.mark.parametrize(
        ("memory", "bases", "words"),
        [
            (8 * MIB, None, "--memory 8.00 MiB: pc.ram was discarded from"),
            (16 * MIB, BASE + 2 * MIB, "--host-base 0x7f0000200000: pc.ram was discarded at"),
            (16 * MIB, BASE - 2 * MIB, "not within that much from 0x7effffe00000"),
            ({"ram0": 16 * MIB}, None, "--memory ram0=...: the log discards no RAM block"),
        ],
    )
    def test_what_does_not_fit_the_log_is_refused(self, tmp_path, memory, bases, words):
        with pytest.raises(UsageError, match=re.escape(words)):
            imported(tmp_path, LINES, memory, bases)
        assert not (tmp_path / "x.trace").exists()

    def test_several_blocks_are_named(self, tmp_path):
        """One that is not named is not guest RAM: video memory, for one."""
        lines = [pop(1, 3)]
        lines += [discard(1, 0, block="m0"), discard(1, 2, block="m1", base=2 * BASE)]
        lines += [discard(1, 0, block="vga", base=3 * BASE)]
        with pytest.raises(UsageError, match="say which are guest RAM"):
            imported(tmp_path, lines)
        sizes, bases = {"m0": 2 * MIB, "m1": 4 * MIB}, {"m1": 2 * BASE}
        trace = imported(tmp_path, lines, sizes, bases)

        assert rows(trace, Kind.DISCARD, "ram_block", *PLACE) == [
            (0, 0, 2 * MIB, 0),
            (1, 2 * MIB, 2 * MIB, 0),
        ]
        assert probe(trace).unattributed == 1
        assert trace.manifest.lost_events == 0
        assert trace.manifest.virtual_machines[0].memory_bytes == 6 * MIB

    def test_a_log_without_discards_needs_the_memory(self, tmp_path):
        quiet = [status(0, 0), pop(1, 2)]
        with pytest.raises(UsageError, match="give --memory"):
            imported(tmp_path, quiet, None)
        assert imported(tmp_path, quiet).event_count == 0

    @pytest.mark.parametrize(
        ("how", "page_bytes", "is_shared"),
        [
            ("madvise: 1 fallocate: 0", PAGE_BYTES, False),
            ("madvise: 1 fallocate: 1", PAGE_BYTES, True),
            ("madvise: 0 fallocate: 1", HUGE_PAGE_BYTES, True),
        ],
    )
    def test_how_memory_was_given_back_tells_what_it_is(self, tmp_path, how, page_bytes, is_shared):
        """Only fallocate gives back huge pages, and only files have it."""
        trace = imported(tmp_path, [pop(1, 1), discard(1, 0, how=how)])
        (block,) = trace.manifest.virtual_machines[0].ram_blocks

        assert (block.page_bytes, block.shared) == (page_bytes, is_shared)


class TestSeveralGuests:
    OTHER = 9000

    def lines(self):
        """The same of another QEMU, whose memory is elsewhere."""
        far = BASE + (1 << 36)
        return [
            *LINES[:9],
            kick(1.6, 0x9999, DEVICE + 0x9000, thread=self.OTHER + 1),
            pop(1.7, 2, 0x9999, thread=self.OTHER),
            discard(1.8, 0, base=far, thread=self.OTHER),
            status(1.85, 15, DEVICE + 0x9000, thread=self.OTHER + 1),
            discard(1.9, 14, base=far, thread=self.OTHER),
            *LINES[9:],
        ]

    def test_they_are_told_apart_by_where_their_memory_is(self, tmp_path):
        trace = imported(tmp_path, self.lines(), name="vm")

        assert [machine.name for machine in trace.manifest.virtual_machines] == ["vm-0", "vm-1"]
        of_both = rows(trace, Kind.DISCARD, "vm", *PLACE)
        assert [row[1:] for row in of_both if row[0] == 0] == DISCARDS
        assert [row[1:] for row in of_both if row[0] == 1] == [
            (0, 2 * MIB, 0),
            (14 * MIB, 2 * MIB, 0),
        ]
        assert (1, 15) in rows(trace, Kind.STATUS, "vm", "status")

    def test_threads_whose_memory_is_one_are_one_guest(self, tmp_path):
        """Where notices of the queues come from processors' own threads."""
        lines = [pop(1, 1), discard(1, 0), pop(2, 1, thread=VCPU), discard(2, 14, thread=VCPU)]
        trace = imported(tmp_path, lines)

        assert len(trace.manifest.virtual_machines) == 1
        assert rows(trace, Kind.DISCARD, *PLACE) == [(0, 2 * MIB, 0), (14 * MIB, 2 * MIB, 1)]

    @pytest.mark.parametrize("memory", [16 * MIB, None])
    def test_threads_that_serve_one_queue_are_one_guest(self, tmp_path, memory):
        """However little of the memory each of them discarded."""
        lines = [pop(1, 1), discard(1, 2), pop(2, 1, thread=VCPU), discard(2, 8, thread=VCPU)]
        trace = imported(tmp_path, lines, memory)

        assert len(trace.manifest.virtual_machines) == 1
        assert [row[2] for row in rows(trace, Kind.DISCARD, *PLACE)] == [0, 1]

    def test_one_base_is_none_for_two(self, tmp_path):
        threads = f"threads {MAIN}, {self.OTHER}"
        with pytest.raises(UsageError, match=re.escape(threads)):
            imported(tmp_path, self.lines(), bases=BASE)
