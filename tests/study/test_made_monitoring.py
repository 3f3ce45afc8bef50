"""The monitoring data that the project makes is what it says it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tools.make_monitoring import (
    CLOCK_AHEAD_S,
    KINDS,
    ORDERS,
    START_S,
    live,
    names,
    write_monitoring,
)
from workbench.units import PAGE_BYTES

HOURS = np.arange(7 * 1440) / 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a day of six guests."""
    made = tmp_path_factory.mktemp("made") / "monitoring"
    write_monitoring(made, guests=6, days=1, seed=1)
    return made


def values_of(path):
    """Give the values of a range query by their names and block sizes."""
    result = json.loads(path.read_text())["data"]["result"]
    return {
        (one["metric"]["__name__"], one["metric"].get("size")): np.array(one["values"], float)
        for one in result
    }


def test_equal_options_give_equal_bytes(folder, tmp_path):
    write_monitoring(tmp_path, guests=6, days=1, seed=1)
    paths = sorted(folder.iterdir())

    assert [path.name for path in paths] == sorted(path.name for path in tmp_path.iterdir())
    assert all(path.read_bytes() == (tmp_path / path.name).read_bytes() for path in paths)


def test_another_seed_makes_other_guests(folder, tmp_path):
    write_monitoring(tmp_path, guests=6, days=1, seed=2)

    assert (folder / "web-01.json").read_bytes() != (tmp_path / "web-01.json").read_bytes()


@pytest.mark.parametrize("guests", [5, 24, 100])
def test_there_are_so_many_guests_each_with_a_name(guests):
    assert len(set(names(guests))) == guests


def test_blocks_hold_what_is_free(folder):
    values = values_of(folder / "build-01.json")
    free = values["node_memory_MemFree_bytes", None][:, 1]
    blocks = [values["node_buddyinfo_blocks", str(order)][:, 1] for order in range(ORDERS)]

    assert (sum(count * 2**order for order, count in enumerate(blocks)) * PAGE_BYTES == free).all()


@pytest.mark.parametrize("index", range(24))
def test_no_guest_has_more_than_its_memory(index):
    name = names(24)[index]
    samples = live(name, HOURS, np.random.default_rng((1, index)))
    taken = samples.free_bytes + samples.cached_bytes + samples.buffers_bytes

    assert (samples.blocks >= 0).all()
    assert samples.free_bytes.min() > 0.02 * samples.memory_bytes
    assert taken.max() < samples.memory_bytes
    assert samples.memory_bytes == KINDS[name.partition("-")[0]].memory_bytes


def test_one_was_not_asked_for_four_hours_and_one_restarts():
    gap = live("web-02", HOURS, np.random.default_rng((1, 1)))
    restarted = live("build-01", HOURS, np.random.default_rng((1, 12)))
    large = restarted.blocks[-2:].sum(axis=0)
    (row,) = np.flatnonzero(np.diff(restarted.boot_time_s))

    assert np.diff(gap.time_s).max() == 4 * 3600 + 60
    # All that is free then lies in large blocks again.
    assert large[row + 1] > 1.5 * large[row]


def test_the_clock_of_one_is_fast(folder):
    line = (folder / "batch-sar.csv").read_text().splitlines()[1]

    assert START_S % 86_400 == 0
    assert f"00:{CLOCK_AHEAD_S // 60}:00 UTC" in line


def test_batch_machines_work_at_the_same_time():
    rows = [live(name, HOURS, np.random.default_rng(1)) for name in ("batch-01", "batch-02")]
    busy = [np.flatnonzero(one.free_bytes < one.free_bytes.mean() / 2) for one in rows]

    assert set((busy[0] // 60 % 24).tolist()) <= {1, 2, 3}
    assert np.intersect1d(*busy).size > 0.5 * busy[0].size
