"""A guest's series against one that is put together of lists, sample by sample."""

from __future__ import annotations

import math
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring_files import matrix, metric, node, write
from workbench.errors import InputError
from workbench.trace import read_monitoring

MEBIBYTE = 1 << 20
SECOND = 10**9


def naive_interval(times):
    """Take the lower median of the intervals."""
    between = sorted(late - early for early, late in pairwise(times))
    return between[(len(between) - 1) // 2] if between else 0


def naive_value(samples, when, interval):
    """Look back for the last value that is no older than an interval."""
    before = [(second, value) for second, value in samples if second <= when]
    if not before or when - before[-1][0] > interval:
        return None
    return before[-1][1]


def naive_series(free, total, cached, blocks):
    """Give rows of time, free MiB, all MiB, cached MiB or -1, free huge pages or -1."""
    tracks = [
        [(second, value) for second, value in track if not math.isnan(value)]
        for track in (free, total, cached, blocks)
    ]
    free, *others = tracks
    step = naive_interval([second for second, _ in free])
    rows = []
    for second, value in free:
        found = [
            naive_value(track, second, max(step, naive_interval([when for when, _ in track])))
            for track in others
        ]
        rows.append([second, value, *found])
    rows = [row for row in rows if row[2] is not None]
    for column in (4, 3):  # Huge pages first, as they are looked at before the page cache.
        unknown = [row for row in rows if row[column] is None]
        if not others[column - 2] or (rows and 2 * len(unknown) >= len(rows)):
            for row in rows:
                row[column] = -1
        else:
            rows = [row for row in rows if row[column] is not None]
    for row in rows:
        row[4] = min(row[4], row[1] // 2)
    return naive_gaps(rows)


def naive_gaps(rows):
    """Let the end that uses more hold, one interval after the sample before a gap."""
    step = naive_interval([row[0] for row in rows])
    filled = rows[:1]
    for before, after in pairwise(rows):
        if after[0] - before[0] > 3 * step:
            worse = after if after[2] - after[1] > before[2] - before[1] else before
            row = [before[0] + step, *worse[1:4], min(before[4], after[4])]
            if row[1:] != before[1:]:
                filled.append(row)
        filled.append(after)
    return filled


def track(values):
    """Make samples at rising times, some of them NaN."""
    value = st.one_of(values, values, values, st.just(math.nan))
    return st.lists(st.tuples(st.integers(1, 9), value), max_size=12).map(
        lambda parts: [
            (sum(gap for gap, _ in parts[: row + 1]), value) for row, (_, value) in enumerate(parts)
        ]
    )


def text(samples, unit=MEBIBYTE):
    return [
        (second, "NaN" if math.isnan(value) else str(value * unit)) for second, value in samples
    ]


@given(
    track(st.integers(1, 64)),
    track(st.integers(64, 90)),
    track(st.integers(0, 64)),
    track(st.integers(0, 40)),
)
def test_a_series_is_as_one_that_is_put_together_by_hand(free, total, cached, blocks):
    named = {"Cached": text(cached)}
    block = metric("node_buddyinfo_blocks", node="0", zone="Normal", size="9")
    export = matrix(*node(text(free), total=text(total), **named), (block, text(blocks, 1)))
    expected = naive_series(free, total, cached, blocks)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), export)
        try:
            (series,) = read_monitoring(path)
        except InputError as error:
            said = str(error)
        else:
            said = ""
    if len(expected) < 2:
        assert "no guest has a series" in said
        return
    columns = series.columns
    found = zip(
        (columns["time_ns"] // SECOND).tolist(),
        (columns["free_pages"] * 4096 // MEBIBYTE).tolist(),
        (columns["total_bytes"] // MEBIBYTE).tolist(),
        [value if value < 0 else value // MEBIBYTE for value in columns["cached_bytes"].tolist()],
        columns["free_huge_pages"].tolist(),
        strict=True,
    )
    assert [list(row) for row in found] == expected
