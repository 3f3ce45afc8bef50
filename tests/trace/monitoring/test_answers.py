"""Logs of what a guest's balloon driver answered: virsh's, and QEMU's own."""

from __future__ import annotations

import json

import pytest

from tests.monitoring_files import BEGIN_S, STEP_S, write
from workbench.errors import InputError
from workbench.schema import UNKNOWN
from workbench.trace import read_monitoring
from workbench.units import GIB, KIB, NANOSECONDS, PAGE_BYTES

FREE_KIB = [3 << 20, 2 << 20, (2 << 20) - 8, 1 << 20]
ABSENT = 2**64 - 1


def block(free_kib, update, **others):
    """Write one answer as virsh does."""
    values = {
        "actual": 4 << 20,
        "swap_in": 0,
        "swap_out": 0,
        "major_fault": 812,
        "minor_fault": 190_022,
        "unused": free_kib,
        "available": (4 << 20) - 99_000,
        "usable": 3 << 20,
        "last_update": update,
        "disk_caches": 150_000,
        "hugetlb_pgalloc": 0,
        "hugetlb_pgfail": 0,
        "rss": 2 << 20,
    } | others
    return "".join(f"{name} {value}\n" for name, value in values.items() if value is not None)


def virsh(*blocks, between="\n"):
    return between.join(blocks)


BLOCKS = [block(free, BEGIN_S + STEP_S * row) for row, free in enumerate(FREE_KIB)]


def stats(free_bytes, update, **others):
    """Write one answer as QEMU does."""
    values = {
        "stat-swap-in": 0,
        "stat-free-memory": free_bytes,
        "stat-minor-faults": 190_022,
        "stat-major-faults": 812,
        "stat-total-memory": 4 * GIB,
        "stat-swap-out": 0,
        "stat-available-memory": 3 * GIB,
        "stat-disk-caches": 150_000 * KIB,
        "stat-htlb-pgalloc": ABSENT,
        "stat-htlb-pgfail": ABSENT,
    } | {f"stat-{name.replace('_', '-')}": value for name, value in others.items()}
    return json.dumps({"return": {"stats": values, "last-update": update}})


REPLIES = [stats(free * KIB, BEGIN_S + STEP_S * row) for row, free in enumerate(FREE_KIB)]


def expected(*, resident):
    return {
        "time_ns": [(BEGIN_S + STEP_S * row) * NANOSECONDS for row in range(4)],
        "free_pages": [free * KIB // PAGE_BYTES for free in FREE_KIB],
        "free_huge_pages": [UNKNOWN] * 4,
        "total_bytes": [4 * GIB] * 4,
        "resident_bytes": [resident] * 4,
        "cached_bytes": [150_000 * KIB] * 4,
    }


def columns_of(series):
    return {name: values.tolist() for name, values in series.columns.items()}


@pytest.mark.parametrize("between", ["\n", "", "\n\n"], ids=["a line", "nothing", "two lines"])
def test_virsh_gives_every_column_but_huge_pages(tmp_path, between):
    (series,) = read_monitoring(write(tmp_path, virsh(*BLOCKS, between=between), "web.log"))

    assert columns_of(series) == expected(resident=2 * GIB)
    assert series.name == "web"
    assert series.remarks == ()


@pytest.mark.parametrize(
    "text", ["\n".join(REPLIES), "".join(REPLIES), "\n\n".join(REPLIES), f"[{','.join(REPLIES)}]"]
)
def test_guest_stats_give_all_but_huge_pages_and_the_resident_set(tmp_path, text):
    (series,) = read_monitoring(write(tmp_path, text, "web.log"))

    assert columns_of(series) == expected(resident=UNKNOWN)
    assert series.remarks == ()


def test_answers_laid_out_over_several_lines_and_qemus_other_words(tmp_path):
    greeting = {"QMP": {"version": {}, "capabilities": []}}
    event = {"timestamp": {"seconds": 5, "microseconds": 4}, "event": "BALLOON_CHANGE", "data": {}}
    words = [greeting, {"return": {}}, *(json.loads(reply) for reply in REPLIES), event]
    (series,) = read_monitoring(write(tmp_path, "\n".join(json.dumps(w, indent=4) for w in words)))

    assert columns_of(series) == expected(resident=UNKNOWN)
    assert series.remarks == ("3 of QEMU's words are not guest-stats",)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (virsh(BLOCKS[0], BLOCKS[0], *BLOCKS[1:]), virsh(block(5, 0, unused=None), *BLOCKS)),
        (
            "\n".join([REPLIES[0], *REPLIES]),
            "\n".join([stats(ABSENT, 0), *REPLIES[:2], stats(-1, 5), *REPLIES[2:]]),
        ),
    ],
    ids=["virsh", "QEMU"],
)
def test_what_the_guest_did_not_answer_anew_is_counted_and_not_taken(tmp_path, one, two):
    (stale,) = read_monitoring(write(tmp_path, one))
    assert columns_of(stale)["free_pages"] == expected(resident=0)["free_pages"]
    assert stale.remarks == ("1 answers were those before again, and were not taken",)
    (empty,) = read_monitoring(write(tmp_path, two))
    assert columns_of(empty)["free_pages"] == expected(resident=0)["free_pages"]
    assert empty.remarks[0].split(" have no ")[0] in {"1 answers", "2 answers"}


def test_without_the_balloons_size_the_guests_own_is_taken(tmp_path):
    blocks = [block(1 << 20, BEGIN_S + row, actual=None) for row in range(2)]
    (series,) = read_monitoring(write(tmp_path, virsh(*blocks)))
    assert series.columns["total_bytes"].tolist() == [((4 << 20) - 99_000) * KIB] * 2


def test_lines_of_a_shell_are_counted_and_the_first_is_shown(tmp_path):
    text = f"Fri Jan 30\n{BLOCKS[0]}error: no domain\n\nSat Jan 31\n{virsh(*BLOCKS[1:])}"
    (series,) = read_monitoring(write(tmp_path, text))
    assert series.remarks == ("lines of something else: 3, the first is line 1: Fri Jan 30",)


WRONG = {
    "no balloon driver": (
        virsh(*(block(None, None, available=None, usable=None) for _ in range(3))),
        "line 1: none of 3 answers has both unused and the time of an update, expected them",
    ),
    "no period": (virsh(block(5, 0)), "guest asked with `virsh dommemstat DOMAIN --period"),
    "half a number": (virsh(BLOCKS[0], block("1.5", BEGIN_S + 9)), "line 20: unused is '1.5'"),
    "negative": (virsh(BLOCKS[0], block(-5, BEGIN_S + 9)), "line 15: unused is -5, expected"),
    "one answer": (BLOCKS[0], "no guest has a series: export (it has 1 sample,"),
    "a clock set back": (virsh(BLOCKS[1], BLOCKS[0]), "line 15: unused: time is"),
    "bytes": (
        virsh(*(block(free << 10, BEGIN_S + free) for free in (1 << 20, 2 << 20))),
        "is 1099511627776 bytes and all memory 4294967296, expected no more than actual",
    ),
    "another unit from then on": (
        virsh(BLOCKS[0], block(1 << 20, BEGIN_S + 9, actual=4 << 30)),
        "line 15: unused: actual, 1,024 times another, is 4398046511104 bytes",
    ),
    "QEMU: nothing": ('{"QMP": {}}\n{"return": {}}', "none of 0 answers has both stat-free-memory"),
    "QEMU: no polling": (stats(ABSENT, 0), "set the balloon's guest-stats-polling-interval"),
    "QEMU: truncated": (REPLIES[0] + REPLIES[1][:-3], "line 1, column"),
    "QEMU: a word": (stats("much", 5), "stat-free-memory is 'much', expected a whole"),
    "QEMU: negative": (
        "\n".join([REPLIES[0], stats(-5, BEGIN_S + 9)]), "line 2: stat-free-memory is -5",
    ),
    "QEMU: a clock set back": (
        "\n".join(REPLIES[::-1]), "line 2: stat-free-memory: time is 1700000120.000 s after",
    ),
    "QEMU: KiB": (
        "\n".join(stats(f, BEGIN_S + f) for f in FREE_KIB[::-1]),
        "line 1: stat-free-memory: free memory, never a 1,024th of all, is 1048576 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, expected):
    path = write(tmp_path, text)

    with pytest.raises(InputError) as caught:
        read_monitoring(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
