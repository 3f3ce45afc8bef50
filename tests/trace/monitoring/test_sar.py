"""What sar and sadf print, in every form, of one guest: the same series each time."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tests.monitoring_files import write
from workbench.errors import InputError
from workbench.schema import UNKNOWN
from workbench.trace import read_monitoring
from workbench.units import GIB, KIB, NANOSECONDS, PAGE_BYTES

TOTAL_KIB = 8 << 20
BEGIN = datetime(2026, 1, 30, 23, 40, tzinfo=UTC)
STEP = timedelta(minutes=10)


class Sample(NamedTuple):
    """What the kernel says, in KiB."""

    free: int
    buffers: int = 40_000
    cached: int = 700_000
    slab: int = 200_000

    def used(self, *, old):
        """What sysstat calls used: up to 11.7 all that is not free."""
        others = 0 if old else self.buffers + self.cached + self.slab
        return TOTAL_KIB - self.free - others


SAMPLES = [Sample(6 << 20), Sample(5 << 20), Sample(1 << 20), Sample((6 << 20) + 4), Sample(4096)]
OLD = ("kbmemfree", "kbmemused", "%memused", "kbbuffers", "kbcached", "kbcommit")
NEW = ("kbmemfree", "kbavail", "kbmemused", "%memused", "kbbuffers", "kbcached", "kbdirty")
ALL = (*NEW, "kbanonpg", "kbslab")


def cells(sample, columns):
    old = columns == OLD
    values = {
        "kbmemfree": sample.free,
        "kbmemused": sample.used(old=old),
        "%memused": f"{100 * sample.used(old=old) / TOTAL_KIB:.2f}",
        "kbbuffers": sample.buffers,
        "kbcached": sample.cached,
        "kbslab": sample.slab,
    }
    return [str(values.get(name, 7)) for name in columns]


def sadf_d(columns=ALL, *, zone=" UTC", epoch=False, host="web"):
    lines = [";".join(["# hostname", "interval", "timestamp", *columns])]
    for row, sample in enumerate(SAMPLES):
        when = BEGIN + row * STEP
        text = str(int(when.timestamp())) if epoch else f"{when:%Y-%m-%d %H:%M:%S}{zone}"
        lines.append(";".join([host, "600", text, *cells(sample, columns)]))
    return "\n".join(lines) + "\n"


def sadf_j(columns=ALL, *, utc=1):
    names = {"kbmemfree": "memfree", "kbmemused": "memused", "%memused": "memused-percent"}
    statistics = [
        {
            "timestamp": {
                "date": f"{BEGIN + row * STEP:%Y-%m-%d}",
                "time": f"{BEGIN + row * STEP:%H:%M:%S}",
                "utc": utc,
                "interval": 600,
            },
            "memory": {
                names.get(name, name.removeprefix("kb")): float(cell) if "." in cell else int(cell)
                for name, cell in zip(columns, cells(sample, columns), strict=True)
            },
        }
        for row, sample in enumerate(SAMPLES)
    ]
    host = {"nodename": "web", "statistics": statistics, "restarts": []}
    return json.dumps({"sysstat": {"hosts": [host]}}, indent="\t")


def sar(columns=ALL, *, day="01/30/26", clock="%H:%M:%S"):
    def line(when, words):
        return f"{when:{clock}}  " + "".join(f"{word:>11}" for word in words)

    lines = [f"Linux 6.1.0-18-amd64 (web) \t{day} \t_x86_64_\t(2 CPU)", ""]
    lines.append(line(BEGIN - STEP, columns))
    lines += [line(BEGIN + row * STEP, cells(each, columns)) for row, each in enumerate(SAMPLES)]
    lines.append("Average:   " + "".join(f"{word:>11}" for word in cells(SAMPLES[0], columns)))
    return "\n".join(lines) + "\n"


FORMS = {
    "sadf -d": (sadf_d(), ()),
    "sadf -d of old": (sadf_d(OLD), ()),
    "sadf -d -U": (sadf_d(epoch=True), ()),
    "sadf -d -t": (sadf_d(zone=""), ("no zone",)),
    "sadf -j": (sadf_j(), ()),
    "sadf -j of old": (sadf_j(OLD), ()),
    "sadf -j -t": (sadf_j(utc=0), ("no zone",)),
    "sar": (sar(), ("no zone",)),
    "sar of old": (sar(OLD), ("no zone",)),
    "sar with AM and PM": (sar(clock="%I:%M:%S %p"), ("no zone",)),
    "sar with an ISO date": (sar(day="2026-01-30"), ("no zone",)),
    "sar with a German date": (sar(day="30.01.2026"), ("no zone",)),
    "sar with a British date": (sar(day="30/01/26"), ("no zone",)),
    "sar with commas": (re.sub(r"(\d)\.(\d\d) ", r"\1,\2 ", sar()), ("no zone",)),
}


@pytest.mark.parametrize(("text", "remarks"), FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_series_past_midnight(tmp_path, text, remarks):
    (series,) = read_monitoring(write(tmp_path, text, "memory.txt"))

    assert {name: values.tolist() for name, values in series.columns.items()} == {
        "time_ns": [
            int((BEGIN + row * STEP).timestamp()) * NANOSECONDS for row in range(len(SAMPLES))
        ],
        "free_pages": [sample.free * KIB // PAGE_BYTES for sample in SAMPLES],
        "free_huge_pages": [UNKNOWN] * len(SAMPLES),
        "total_bytes": [8 * GIB] * len(SAMPLES),
        "resident_bytes": [UNKNOWN] * len(SAMPLES),
        "cached_bytes": [740_000 * KIB] * len(SAMPLES),
    }
    assert series.name == "web"
    assert len(series.remarks) == len(remarks)
    assert all(part in remark for part, remark in zip(remarks, series.remarks, strict=True))


@pytest.mark.parametrize("text", [sadf_d(NEW), sadf_j(NEW), sar(NEW)], ids=["-d", "-j", "sar"])
def test_without_slabs_all_memory_is_told_from_its_share(tmp_path, text):
    (series,) = read_monitoring(write(tmp_path, text, "memory.txt"))
    (total,) = set(series.columns["total_bytes"].tolist())
    found = re.match(
        r"all memory was taken from %memused as 8\.00 GiB, to within ([0-9.]+) (.)iB; `-r ALL`",
        series.remarks[0],
    )
    within = float(found[1]) * {"K": 1 << 10, "M": 1 << 20}[found[2]]

    rounded = [100 * sample.used(old=False) / TOTAL_KIB for sample in SAMPLES]
    part = [sample.used(old=False) for sample in SAMPLES]
    pairs = list(zip(part, [round(share, 2) for share in rounded], strict=True))
    least = max(100 * used / (share + 0.005) for used, share in pairs)
    most = min(100 * used / (share - 0.005) for used, share in pairs)

    assert least <= TOTAL_KIB <= most
    assert total == round((least + most) / 2) * KIB
    assert abs(within - (most - least) / 2 * KIB) < 0.01 * within


def test_a_resize_that_shares_cannot_tell_is_refused(tmp_path):
    lines = sadf_d(NEW).splitlines()
    lines[2] = lines[2].replace(cells(SAMPLES[1], NEW)[3], "0.50")
    with pytest.raises(InputError) as caught:
        read_monitoring(write(tmp_path, "\n".join(lines), "memory.csv"))
    assert "line 2: kbmemused is" in str(caught.value)
    assert "export it with `-r ALL`" in str(caught.value)


@pytest.mark.parametrize("form", ["-d", "-j", "sar"])
def test_a_restart_is_counted_and_sections_about_else_are_passed_over(tmp_path, form):
    when = BEGIN + 1.5 * STEP
    if form == "-d":
        lines = sadf_d().splitlines()
        restart = f"web;-1;{when:%Y-%m-%d %H:%M:%S} UTC;LINUX-RESTART\t(2 CPU)"
        comment = f"web;-1;{when:%Y-%m-%d %H:%M:%S} UTC;COM hello"
        other = [
            "# hostname;interval;timestamp;CPU;%user",
            "web;600;2026-01-30 23:40:00 UTC;-1;5.0",
        ]
        text = "\n".join([*lines[:3], restart, lines[0], comment, *lines[3:], *other])
    elif form == "-j":
        document = json.loads(sadf_j())
        host = document["sysstat"]["hosts"][0]
        boot = {"date": f"{when:%Y-%m-%d}", "time": f"{when:%H:%M:%S}", "utc": 1, "cpu_count": 2}
        host["restarts"] = [{"boot": boot}]
        host["statistics"].append({"timestamp": {}, "cpu-load": []})
        text = json.dumps(document)
    else:
        lines = sar().splitlines()
        other = ["", "23:30:00        CPU     %user", "23:40:00        all      5.00", ""]
        restart = ["", f"{when:%H:%M:%S}     LINUX RESTART\t(2 CPU)", ""]
        text = "\n".join([*lines[:2], *other, *lines[2:5], *restart, lines[2], *lines[5:], *other])
        # The header after a restart has the time of the restart's own record.
        text = text.replace(
            f"\n\n{lines[2]}", f"\n\n{when:%H:%M:%S}  " + lines[2].split("  ", 1)[1]
        )
        text = text.replace(f"{when:%H:%M:%S}  ", "23:30:00  ", 1)
    (series,) = read_monitoring(write(tmp_path, text, "memory.txt"))

    assert len(series.columns["time_ns"]) == len(SAMPLES)
    assert series.remarks[-1].startswith("the guest was started again once;")


def test_days_that_follow_each_other_and_hosts_beside_each_other(tmp_path):
    second = sar(day="01/31/26").replace("(web)", "(web)")
    later = [f"{when}".replace("23:", "05:") for when in second.splitlines()]
    text = sar() + "\n".join(later[:5]) + "\n" + sar().replace("(web)", "(db)")
    db, web = read_monitoring(write(tmp_path, text, "memory.txt"))

    assert (db.name, web.name) == ("db", "web")
    assert db.columns["time_ns"].tolist() == web.columns["time_ns"][:5].tolist()
    assert web.columns["time_ns"].size > 5


def test_json_of_several_days_goes_on(tmp_path):
    later = sadf_j().replace("2026-01-30", "2026-02-01").replace("2026-01-31", "2026-02-02")
    (series,) = read_monitoring(write(tmp_path, sadf_j() + later, "memory.json"))
    # The least is free at the end of the first, which holds in the gap between them.
    assert series.columns["time_ns"].size == 2 * len(SAMPLES)
    wrong = later.replace(f'"memfree": {SAMPLES[1].free}', '"memfree": -5')
    with pytest.raises(InputError, match="sample 7: kbmemfree is -5, expected"):
        read_monitoring(write(tmp_path, sadf_j() + wrong, "memory.json"))
    with pytest.raises(InputError, match="is not JSON"):
        read_monitoring(write(tmp_path, sadf_j() + "[", "memory.json"))


def test_a_date_that_could_be_read_both_ways_is_said(tmp_path):
    (series,) = read_monitoring(write(tmp_path, sar(day="01/02/26"), "memory.txt"))
    assert series.columns["time_ns"][0] == 1767397200 * NANOSECONDS
    assert series.remarks[1] == "its date was read with the month before the day"


def row(text, number, old, new):
    lines = text.splitlines()
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    return "\n".join(lines)


WRONG = {
    "--human": (row(sar(), 5, str(5 << 20), "5.0G"), "line 5: kbmemfree is '5.0G', expected a"),
    "a short line": (row(sar(), 5, " 700000", ""), "line 5: has 8 values, expected 9"),
    "no time of day": (row(sar(), 5, "23:50:00", "23:70:00"), "line 5: time is 23:70:00, expected"),
    "out of order": (row(sar(), 5, "23:50:00", "11:50:00"), "line 5: kbmemfree: time is"),
    "no date": (sar(day="today"), "line 1: date is 'today', expected one such as 2026-01-31"),
    "no such day": (sar(day="31.02.2026"), "line 1: date is '31.02.2026'"),
    "no percent": (sar().replace("%memused", "percents"), "line 3: has no column %memused"),
    "only processors": (
        "Linux 6.1 (web) \t01/30/26 \t_x86_64_\n\n23:30:00  CPU  %user\n23:40:00  all  5.0\n",
        "has no samples of memory, expected the columns kbmemfree",
    ),
    "negative": (row(sar(), 5, str(5 << 20), "-4"), "kbmemfree is -4"),
    "a table's short line": (row(sadf_d(), 3, ";700000", ""), "line 3: has 11 values, expected 12"),
    "a table's time": (
        row(sadf_d(), 3, "2026-01-30 23:50:00 UTC", "yesterday"),
        "line 3: timestamp is 'yesterday', expected a time such as",
    ),
    "a table out of order": (
        row(sadf_d(), 3, "23:50:00", "23:20:00"), "line 3: kbmemfree: time is",
    ),
    "a table of processors": (
        "# hostname;interval;timestamp;CPU;%user\nweb;600;2026-01-30 23:40:00 UTC;-1;5.0\n",
        "has no samples of memory",
    ),
    "no nodename": (sadf_j().replace("nodename", "name"), "not as sadf writes it (KeyError("),
    "no hosts": ('{"sysstat": []}', "sysstat.hosts: is not as sadf writes it"),
    "no buffers": (sadf_j().replace("buffers", "buff"), "sample 1: has no buffers, expected"),
    "a word": (sadf_j().replace(": 700000", ': "many"'), "sample 1: kbcached is 'many'"),
    "one time, two values": (
        row(sadf_d(), 3, "23:50:00", "23:40:00"), "line 3: kbmemfree is 5242880 and 6291456 at",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, expected):
    path = write(tmp_path, text, "memory.txt")

    with pytest.raises(InputError) as caught:
        read_monitoring(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
