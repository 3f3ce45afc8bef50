"""Files that were cut or changed anywhere: a series that can be, or one sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.monitoring_files import FREE, matrix, metric, node
from workbench.errors import InputError
from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.trace import read_monitoring
from workbench.units import GIB, PAGE_BYTES

PROMETHEUS = matrix(
    *node(FREE, Cached=[GIB] * 4),
    (metric("node_buddyinfo_blocks", node="0", zone="Normal", size="10"), [5, 6, 7, 8]),
    (metric("node_boot_time_seconds"), [1_600_000_000] * 4),
)
WHOLE = {
    "Prometheus": PROMETHEUS,
    "wide": (
        'Time,"node_memory_MemTotal_bytes{instance=""a""}","node_memory_MemFree_bytes{instance=""a""}"\n'
        "1700000000,8589934592,4294967296\n1700000060,8589934592,\n1700000120,8589934592,8589934\n"
    ),
    "long": (
        "timestamp,__name__,domain,value\n"
        "2026-01-31T00:00:00Z,libvirt_domain_memory_stats_unused_bytes,a,4294967296\n"
        "2026-01-31T00:00:00Z,libvirt_domain_memory_stats_available_bytes,a,8589934592\n"
        "2026-01-31T00:01:00Z,libvirt_domain_memory_stats_unused_bytes,a,4294967296\n"
        "2026-01-31T00:01:00Z,libvirt_domain_memory_stats_available_bytes,a,8589934592\n"
    ),
    "sadf -d": (
        "# hostname;interval;timestamp;kbmemfree;kbmemused;%memused;kbbuffers;kbcached;kbslab\n"
        "a;60;2026-01-31 00:00:00 UTC;400000;600000;60.00;9000;9000;9000\n"
        "a;-1;2026-01-31 00:00:30 UTC;LINUX-RESTART\t(2 CPU)\n"
        "a;60;2026-01-31 00:01:00 UTC;300000;700000;70.00;9000;9000;9000\n"
    ),
    "sadf -j": (
        '{"sysstat": {"hosts": [{"nodename": "a", "statistics": ['
        '{"timestamp": {"date": "2026-01-31", "time": "00:00:00", "utc": 1}, "memory": '
        '{"memfree": 400000, "memused": 600000, "memused-percent": 60.00, "buffers": 9000, '
        '"cached": 9000}}, '
        '{"timestamp": {"date": "2026-01-31", "time": "00:01:00", "utc": 1}, "memory": '
        '{"memfree": 300000, "memused": 700000, "memused-percent": 70.00, "buffers": 9000, '
        '"cached": 9000}}],'
        '"restarts": [{"boot": {"date": "2026-01-31", "time": "00:00:30", "utc": 1}}]}]}}'
    ),
    "sar": (
        "Linux 6.1.0 (a) \t01/31/26 \t_x86_64_\t(2 CPU)\n\n"
        "11:59:00 PM kbmemfree kbmemused  %memused kbbuffers  kbcached\n"
        "11:59:30 PM    400000    600000     60.00      9000      9000\n"
        "12:00:00 AM    300000    700000     70.00      9000      9000\n"
        "Average:       350000    650000     65.00      9000      9000\n"
    ),
    "virsh": (
        "actual 1000000\nunused 400000\navailable 990000\nlast_update 1700000000\nrss 500000\n\n"
        "actual 1000000\nunused 300000\navailable 990000\nlast_update 1700000060\nrss 600000\n"
    ),
    "guest-stats": (
        '{"return": {"stats": {"stat-free-memory": 400000000, "stat-total-memory": 1000000000, '
        '"stat-disk-caches": 18446744073709551615}, "last-update": 1700000000}}\n'
        '{"return": {"stats": {"stat-free-memory": 300000000, "stat-total-memory": 1000000000, '
        '"stat-disk-caches": 5}, "last-update": 1700000060}}\n'
    ),
}  # fmt: skip


def check(series):
    """Whatever was read can be, and another reader would take it."""
    columns = series.columns
    assert list(columns) == list(GUEST_SERIES.column_names)
    free, huge, total = (columns[name] for name in ("free_pages", "free_huge_pages", "total_bytes"))
    assert columns["time_ns"].size >= 2
    assert (np.diff(columns["time_ns"]) > 0).all()
    assert (columns["time_ns"] >= 0).all()
    assert ((free >= 0) & (free * PAGE_BYTES <= total)).all()
    assert (huge <= free // 512).all()
    for name in ("free_huge_pages", "resident_bytes", "cached_bytes"):
        is_unknown = columns[name] == UNKNOWN
        assert is_unknown.all() or (not is_unknown.any() and (columns[name] >= 0).all())


def read(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        path.write_bytes(content)
        try:
            return read_monitoring(path)
        except InputError as error:
            said = str(error)
    assert said.startswith(str(path))
    assert "expected" in said
    return []


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_whole_files_are_read(text):
    (series,) = read(text.encode())
    check(series)


@given(
    st.sampled_from(sorted(WHOLE)),
    st.integers(0, 10**6),
    st.integers(0, 60),
    st.one_of(
        st.sampled_from(
            [b"", b"-", b"e9", b"NaN", b"\n", b",", b'"', b"{", b"}", b"[", b"]", b";"]
        ),
        st.binary(max_size=3),
        st.integers(-(10**20), 10**20).map(lambda number: str(number).encode()),
    ),
)
@example("Prometheus", 0, 0, b"\xef\xbb\xbf")
@example("sar", 0, 0, b"\n\n")
def test_damaged_files_are_read_or_refused_in_a_sentence(form, begin, length, instead):
    content = WHOLE[form].encode()
    begin %= len(content)
    for series in read(content[:begin] + instead + content[begin + length :]):
        check(series)


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 10**6))
def test_cut_files_are_read_or_refused_in_a_sentence(form, length):
    content = WHOLE[form].encode()
    for series in read(content[: length % len(content)]):
        check(series)
