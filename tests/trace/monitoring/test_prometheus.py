"""Answers of Prometheus: what becomes of them, and what is refused in a sentence."""

from __future__ import annotations

import json

import pytest

from tests.monitoring_files import BEGIN_S, FREE, STEP_S, matrix, metric, node, pairs, write
from workbench.errors import InputError
from workbench.schema import UNKNOWN
from workbench.trace import read_monitoring
from workbench.units import GIB, MIB, NANOSECONDS, PAGE_BYTES


def read(folder, *series, **options):
    """Read one answer with these series."""
    return read_monitoring(write(folder, matrix(*series)), **options)


def columns_of(series):
    return {name: values.tolist() for name, values in series.columns.items()}


def test_a_node_exporter_gives_every_column(tmp_path):
    (series,) = read(
        tmp_path,
        *node(
            FREE,
            Cached=[GIB // 2] * 4,
            Buffers=[MIB, MIB, 2 * MIB, MIB],
            SReclaimable=[4 * MIB] * 4,
        ),
        (metric("node_buddyinfo_blocks", node="0", zone="Normal", size="9"), [10, 20, 30, 40]),
        (metric("node_buddyinfo_blocks", node="0", zone="Normal", size="10"), [1, 2, 3, 4]),
        (metric("node_buddyinfo_blocks", node="1", zone="DMA32", size="10"), [5, 5, 5, 5]),
        (metric("node_buddyinfo_blocks", node="0", zone="Normal", size="8"), [99] * 4),
    )

    assert columns_of(series) == {
        "time_ns": [(BEGIN_S + STEP_S * row) * NANOSECONDS for row in range(4)],
        "free_pages": [free // PAGE_BYTES for free in FREE],
        "free_huge_pages": [10 + 2 + 10, 20 + 4 + 10, 30 + 6 + 10, 40 + 8 + 10],
        "total_bytes": [4 * GIB] * 4,
        "resident_bytes": [UNKNOWN] * 4,
        "cached_bytes": [GIB // 2 + buffers * MIB + 4 * MIB for buffers in (1, 1, 2, 1)],
    }
    assert series.name == "web"
    assert series.remarks == ()


@pytest.mark.parametrize(
    ("prefix", "total", "cached"),
    [
        ("memory_stats", "memory_stats_actual_balloon", "memory_stats_disk_cache"),
        ("memory_stats", "memory_stats_current_balloon", "memory_stats_disk_caches"),
        ("stat_memory", "info_memory_usage", None),
    ],
)
def test_exporters_of_libvirt_name_their_guests(tmp_path, prefix, total, cached):
    values = {
        f"{prefix}_unused": FREE,
        f"{prefix}_available": [4 * GIB - 99 * MIB] * 4,
        f"{prefix}_usable": [3 * GIB] * 4,
        f"{prefix}_rss": [2 * GIB] * 4,
        total: [4 * GIB] * 4,
    }
    if cached:
        values[cached] = [GIB] * 4
    found = read(
        tmp_path,
        *(
            (metric(f"libvirt_domain_{name}_bytes", "host:9177", domain=domain), column)
            for domain in ("zebra", "ant")
            for name, column in values.items()
        ),
    )

    assert [series.name for series in found] == ["ant", "zebra"]
    columns = columns_of(found[0])
    assert columns["free_pages"] == [free // PAGE_BYTES for free in FREE]
    assert columns["total_bytes"] == [4 * GIB] * 4
    assert columns["resident_bytes"] == [2 * GIB] * 4
    assert columns["cached_bytes"] == [GIB if cached else UNKNOWN] * 4
    assert columns["free_huge_pages"] == [UNKNOWN] * 4
    assert found[0].remarks == (
        f"2 series of metrics that are not used: libvirt_domain_{prefix}_usable_bytes",
    )


def test_all_memory_is_what_the_balloon_leaves_before_what_the_guest_says(tmp_path):
    prefix = "libvirt_domain_memory_stats"
    named = {
        f"{prefix}_available_bytes": 3 * GIB,
        "libvirt_domain_info_memory_usage_bytes": 4 * GIB,
    }
    free = (metric(f"{prefix}_unused_bytes", domain="web"), FREE[:2])
    both = [(metric(name, domain="web"), [value] * 2) for name, value in named.items()]

    (series,) = read(tmp_path, free, *both)
    assert series.columns["total_bytes"].tolist() == [4 * GIB] * 2
    (series,) = read(tmp_path, free, both[0])
    assert series.columns["total_bytes"].tolist() == [3 * GIB] * 2


def test_answers_may_stand_in_a_list_or_follow_each_other(tmp_path):
    one = matrix(*node(FREE)[:1])
    two = matrix(*node(FREE)[1:])
    expected = columns_of(read(tmp_path, *node(FREE))[0])

    for text in (f"[{one},{two}]", f"{one}\n{two}\n", f" [{two}]\n{one}", "\ufeff" + one + two):
        (series,) = read_monitoring(write(tmp_path, text))
        assert columns_of(series) == expected


def test_a_series_may_come_in_parts_that_overlap(tmp_path):
    whole = pairs([3 * GIB + row * MIB for row in range(9)])
    total = matrix((metric("node_memory_MemTotal_bytes"), [4 * GIB] * 9))
    parts = [
        matrix((metric("node_memory_MemFree_bytes"), [tuple(pair) for pair in part]))
        for part in (whole[5:], whole[:4], whole[3:6])
    ]
    (series,) = read_monitoring(write(tmp_path, "\n".join([total, *parts])))

    free = [int(text) // PAGE_BYTES for _, text in whole]
    assert series.columns["free_pages"].tolist() == free
    assert series.remarks == ("2 samples came twice with the same values, and were taken once",)


def test_a_guest_whose_labels_change_goes_on(tmp_path):
    """The pod of a node exporter has another name once it was updated."""
    parts = []
    for labels, values in node(FREE):
        stamped = [tuple(pair) for pair in pairs(values)]
        parts += [({**labels, "pod": "b"}, stamped[2:]), ({**labels, "pod": "a"}, stamped[:2])]
    (series,) = read(tmp_path, *parts)

    assert columns_of(series) == columns_of(read(tmp_path, *node(FREE))[0])
    assert series.remarks == ("labels that change in time, of what was taken for one guest: pod",)


def test_a_part_that_says_something_else_is_refused(tmp_path):
    text = matrix(*node(FREE)) + matrix(*node([*FREE[:2], GIB + MIB]))

    with pytest.raises(InputError) as caught:
        read_monitoring(write(tmp_path, text))
    assert "data.result[1].values at 1700000120.000 s: node_memory_MemFree_bytes" in str(
        caught.value
    )
    assert "is 1074790400 and 1073741824 at 1700000120.000 s" in str(caught.value)
    assert "expected one value at each time" in str(caught.value)


def test_ports_are_left_out_of_names_where_that_tells_the_guests_apart(tmp_path):
    names = [
        series.name
        for series in read(tmp_path, *node(FREE, instance="b:1"), *node(FREE, instance="a:1"))
    ]
    assert names == ["a", "b"]
    names = [
        series.name
        for series in read(tmp_path, *node(FREE, instance="a:2"), *node(FREE, instance="a:1"))
    ]
    assert names == ["a:1", "a:2"]


def test_without_an_instance_the_file_names_the_guest(tmp_path):
    bare = [({"__name__": labels["__name__"]}, values) for labels, values in node(FREE)]
    (series,) = read(tmp_path, *bare)
    assert series.name == "export"


def test_what_is_nan_is_left_out_and_counted(tmp_path):
    (series,) = read(tmp_path, *node([FREE[0], "NaN", FREE[2], FREE[3]], Cached=[5, "NaN", 5, 5]))

    assert series.columns["time_ns"].tolist() == [
        (BEGIN_S + STEP_S * row) * NANOSECONDS for row in (0, 2, 3)
    ]
    (remark,) = series.remarks
    assert remark.startswith("values that are NaN or missing were left out: node_memory_Cached")
    assert remark.endswith("_Cached_bytes 1, node_memory_MemFree_bytes 1")


def test_metrics_that_nobody_uses_are_counted_and_named(tmp_path):
    unused = [({"__name__": f"up{number}"}, [1]) for number in range(7)]
    (series,) = read(tmp_path, *node(FREE), *unused, *unused[:2])
    assert series.remarks == (
        "9 series of metrics that are not used: up0, up1, up2, up3, up4 and 2 more",
    )


def test_guests_without_a_series_are_named_with_the_others(tmp_path):
    (series,) = read(
        tmp_path,
        *node(FREE),
        *node(FREE, instance="old")[:1],
        *node(FREE, instance="odd")[1:],
        *node(FREE[:1], instance="new"),
    )
    (remark,) = series.remarks
    left_out = {
        "new": "it has 1 sample, and a series needs 2",
        "odd": "all memory is not known",
        "old": "free memory is not known",
    }
    assert remark == "guests of the same file that have no series: " + ", ".join(
        f"{name} ({reason})" for name, reason in left_out.items()
    )


def test_blocks_below_two_mebibytes_alone_tell_no_huge_pages(tmp_path):
    blocks = metric("node_buddyinfo_blocks", node="0", zone="Normal", size="8")
    (series,) = read(tmp_path, *node(FREE), (blocks, [5] * 4))

    assert set(series.columns["free_huge_pages"].tolist()) == {UNKNOWN}
    assert series.remarks == ("free huge pages are not known: all blocks are below order 9",)


def test_blocks_that_are_more_than_what_is_free_are_clipped_and_counted(tmp_path):
    blocks = metric("node_buddyinfo_blocks", node="0", zone="Normal", size="9")
    (series,) = read(tmp_path, *node(FREE), (blocks, [1030, 1, 2, 3]))

    assert series.columns["free_huge_pages"].tolist() == [1024, 1, 2, 3]
    (remark,) = series.remarks
    assert remark.startswith("1 samples have more free in blocks of 2 MiB than is free, by up to 6")


def test_a_later_time_of_booting_is_a_restart(tmp_path):
    booted = [BEGIN_S - 999, BEGIN_S - 998.5, BEGIN_S + 70, BEGIN_S + 70]
    (series,) = read(tmp_path, *node(FREE), (metric("node_boot_time_seconds"), booted))
    assert series.remarks == (
        "the guest was started again once; its memory is taken as its samples have it",
    )


def test_a_resize_is_said(tmp_path):
    (series,) = read(tmp_path, *node(FREE, total=[4 * GIB, 4 * GIB, 8 * GIB, 6 * GIB]))
    assert series.remarks == ("all memory changes 2 times, between 4.00 GiB and 8.00 GiB",)


def test_the_clock_offset_is_added_and_said(tmp_path):
    (plain,) = read(tmp_path, *node(FREE))
    (series,) = read(tmp_path, *node(FREE), clock_offset_ns=-90 * NANOSECONDS)

    assert (plain.columns["time_ns"] - series.columns["time_ns"]).tolist() == [90 * NANOSECONDS] * 4
    assert series.remarks == ("clock offset: -90.00 s were added to all times",)
    with pytest.raises(InputError, match=r"with a clock offset of -2,000,000,000\.00 s times go"):
        read(tmp_path, *node(FREE), clock_offset_ns=-2 * 10**9 * NANOSECONDS)


WRONG = {
    "nothing": ("", "is empty, expected an answer of Prometheus"),
    "blank": (" \n", "is empty"),
    "a list of nothing": ("[]", "begins with '[]', expected"),
    "lists in lists": ("[" * 99, "begins with '[[[["),
    "TOML": ("[[guest]]\nname = 'web'", "begins with '[[guest]]', expected an answer of"),
    "other JSON": ('{"weather": 3}', "is JSON that begins with 'weather', expected"),
    "truncated": (matrix(*node(FREE))[:-60], "line 1, column"),
    "cut between": (matrix(*node(FREE))[:-2], "is not JSON (it ends in the middle)"),
    "cut in a number": (matrix(*node(FREE)) + '{"status":', "is not JSON"),
    "rubbish behind": (matrix(*node(FREE)) + "x", "'{' is missing"),
    "an error": (
        '{"status":"error","errorType":"bad_data","error":"exceeded maximum"}',
        "answer 1: is an error of Prometheus (exceeded maximum)",
    ),
    "an instant query": (
        '{"status":"success","data":{"resultType":"vector","result":[]}}',
        "data.resultType: is 'vector', expected 'matrix'",
    ),
    "no result": (
        '{"status":"success","data":{"resultType":"matrix","result":[]}}',
        "has no metric of a guest's memory (it has no series), expected node_memory_MemTotal_bytes",
    ),
    "no metric": (
        '{"status":"success","data":{"resultType":"matrix","result":[{"values":[]}]}}',
        "data.result[0]: has no metric with labels",
    ),
    "no values": (
        json.dumps({"data": {"result": [{"metric": metric("node_memory_MemFree_bytes")}]}}),
        "data.result[0].values: is no list of [time, value]",
    ),
    "nothing that is used": (
        matrix(({"__name__": "up"}, [1])),
        "no metric of a guest's memory (1 series of metrics that are not used: up), expected",
    ),
    "only all memory": (matrix(*node(FREE)[:1]), "web (free memory is not known); expected"),
    "one sample": (matrix(*node(FREE[:1])), "no guest has a series: web (it has 1 sample,"),
    "not in order": (
        matrix(*node([(BEGIN_S + 60, "1"), (BEGIN_S, "1")])),
        '="node"}: time is 1700000000.000 s after 1700000060.000 s, expected times in order',
    ),
    "milliseconds": (
        matrix(*node([(BEGIN_S * 1000, "1")])),
        "data.result[1].values[0]: time is 1700000000000, expected seconds since 1970",
    ),
    "no time": (
        matrix(*node([("soon", "1")])), "values[0]: time is nan, expected seconds",
    ),
    "an endless time": (
        matrix(*node([(1 << 2000, "1")])), "expected seconds since 1970",
    ),
    "two values at one time": (
        matrix(*node([(BEGIN_S, "8"), (BEGIN_S, "9")])),
        'values[1]: node_memory_MemFree_bytes{instance="web:9100",job="node"} is 9 and 8 at',
    ),
    "no number": (matrix(*node([FREE[0], "many"])), "values[1]: is 'many', expected a number"),
    "a list": (matrix(*node([(BEGIN_S, [5])])), "values[0]: is [5], expected a number"),
    "three": (matrix(*node([(BEGIN_S, "5", "6")])), "is no list of [time, value]"),
    "negative": (matrix(*node([FREE[0], -4096])), "is -4096, expected a number from 0"),
    "infinite": (matrix(*node([FREE[0], "+Inf"])), "is inf, expected what memory can be"),
    "absurd": (matrix(*node([FREE[0], "1e30"])), "is 1e+30, expected what memory can be"),
    "free of more": (
        matrix(*node([FREE[0], 5 * GIB])),
        "free memory is 5368709120 bytes and all memory 4294967296, expected no more than",
    ),
    "free memory in kB": (
        matrix(*node([free // 1024 for free in FREE])),
        "free memory, never a 1,024th of all, is 2097152 bytes",
    ),
    "all memory in kB": (matrix(*node(FREE, total=4 << 20)), "expected no more than"),
    "another unit in between": (
        matrix(*node([GIB >> 10] * 4, total=[4 * GIB, 4 * GIB, 4 << 20, 4 << 20])),
        "values[2]: node_memory_MemFree_bytes",
    ),
    "all memory in GiB": (matrix(*node([1, 1], total=4)), "expected bytes, at least 2 MiB"),
    "cached of more": (
        matrix(*node(FREE, Cached=[5 * GIB] * 4)), "page cache is 5368709120 bytes",
    ),
    "another uuid": (
        matrix(
            *node(FREE),
            (metric("node_memory_MemFree_bytes", uuid="b"), FREE),
        ),
        "expected one guest of each name",
    ),
    "an order that is none": (
        matrix(*node(FREE), (metric("node_buddyinfo_blocks", size="big"), [1] * 4)),
        "data.result[2].values: label size is 'big', expected an order such as 9",
    ),
    "one name on two hosts": (
        matrix(
            *(
                (metric("libvirt_domain_memory_stats_unused_bytes", host, domain="web"), FREE)
                for host in ("a", "b")
            )
        ),
        "has two guests named 'web' (domain web, instance a; domain web, instance b)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_with_its_place(tmp_path, text, expected):
    path = write(tmp_path, text)

    with pytest.raises(InputError) as caught:
        read_monitoring(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    path = tmp_path / "export.json"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InputError, match="is not text, expected an answer of Prometheus"):
        read_monitoring(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_monitoring(tmp_path / "absent.json")


def test_names_from_a_file_cannot_break_a_message(tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, *node([FREE[0], -1], instance="a\n\x1b[31mb"))
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
