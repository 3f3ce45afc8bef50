"""Study files: what every key becomes."""

from __future__ import annotations

import pytest

from tests.study.study_files import GUEST, HOST, study_of, write_series
from workbench.replay import Device, Guest, Settings
from workbench.study import WITHOUT_REPORTING, FaultCosts, HostKind, Limit, Phase, Variant
from workbench.units import GIB, NANOSECONDS

ALL_KEYS = """\
name = "spring 2026"
seeds = [1, 2, 3]
step = "1m"

[[guest]]
name = "web"
series = "monitoring/web-*.csv"
weight = 3
phase = "random"
guests_per_phase = 2
clock_offset = "90s"
device = {discard_inhibited = true}
guest = {poison_val = "0xaa"}

[[guest]]
name = "batch"
series = ["monitoring/batch.csv"]
phase = "recorded"
shift = "-6h"

[[host]]
name = "big"
memory = "64G"
reserved = "2048 MiB"
swap = "zram"
swap_room = "8G"

[[host]]
memory = "1T"

[compare]
inhibited_share = [0.0, 0.1]
guest = {reporting_order = [0, 9], reporting_delay_ns = ["250ms", 2_000_000_000]}
device = {page_poison = [false]}

[limit]
share_of_time = 0.995
drain = "60s"

[cost]
fault_ns = 3000
huge_fault_ns = "300us"
"""


@pytest.fixture
def monitoring(tmp_path):
    folder = tmp_path / "monitoring"
    folder.mkdir()
    for name in ("web-2", "web-1", "batch"):
        write_series(folder, name)
    return tmp_path


def test_every_key_is_read(monitoring):
    study = study_of(monitoring, ALL_KEYS)
    web, batch = study.guests

    assert (study.name, study.seeds, study.step_ns) == ("spring 2026", (1, 2, 3), 60 * NANOSECONDS)
    assert [member.name for member in web.members] == ["web-1", "web-2"]
    assert (web.name, web.weight, web.phase, web.guests_per_phase) == ("web", 3, Phase.RANDOM, 2)
    assert web.members[0].columns["time_ns"][0] == web.clock_offset_ns == 90 * NANOSECONDS
    assert (web.device, web.guest) == (Device(discard_inhibited=True), Guest(poison_val=0xAA))
    assert [member.name for member in batch.members] == ["batch"]
    assert (batch.phase, batch.shift_ns) == (Phase.RECORDED, -6 * 3600 * NANOSECONDS)
    assert study.hosts == (
        HostKind(
            name="big",
            memory_bytes=64 * GIB,
            reserved_bytes=2 * GIB,
            swap="zram",
            swap_bytes=8 * GIB,
        ),
        HostKind(name="1,024 GiB", memory_bytes=1024 * GIB),
    )
    assert study.limit == Limit(share_of_time=0.995, drain_seconds=60.0)
    assert study.costs == FaultCosts(fault_ns=3_000, huge_fault_ns=300_000)


def test_every_combination_is_compared_in_one_order_after_without_reporting(monitoring):
    study = study_of(monitoring, ALL_KEYS)
    combined = [
        Variant(
            settings=Settings(
                device=Device(page_poison=False),
                guest=Guest(reporting_order=order, reporting_delay_ns=delay),
            ),
            inhibited_share=share,
        )
        for share in (0.0, 0.1)
        for order in (0, 9)
        for delay in ("250ms", "2s")
    ]

    assert study.variants == (WITHOUT_REPORTING, *combined)


def test_what_is_not_given_is_as_said(tmp_path):
    write_series(tmp_path, step_s=15)
    study = study_of(tmp_path)

    assert (study.name, study.seeds) == ("spring", (1, 2, 3, 4))
    assert study.step_ns == 15 * NANOSECONDS
    assert study.variants == (WITHOUT_REPORTING, Variant(settings=Settings()))
    assert (study.limit, study.costs) == (Limit(), FaultCosts())
    assert study.hosts == (HostKind(name="64 GiB", memory_bytes=64 * GIB),)
    assert study.guests[0].phase is Phase.RANDOM


def test_a_known_page_cache_adds_the_first_variant_with_reporting_that_gives_it_back(tmp_path):
    write_series(tmp_path, cached_bytes=GIB)
    study = study_of(tmp_path, GUEST + HOST + "[compare]\nguest = {reporting_order = [3, 9]}\n")
    order_3 = Settings(guest=Guest(reporting_order=3))

    assert study.variants[1] == Variant(settings=order_3)
    assert study.variants[3:] == (Variant(settings=order_3, page_cache_given_back=True),)


def test_a_recording_that_is_given_twice_is_taken_once_and_that_is_said(tmp_path):
    write_series(tmp_path)
    (tmp_path / "more").mkdir()
    patterns = '["web-*.csv", "more/../web-1.csv"]'
    study = study_of(tmp_path, GUEST.replace('"web-*.csv"', patterns) + HOST)

    assert [member.name for member in study.guests[0].members] == ["web-1"]
    (remark,) = study.remarks
    assert remark.endswith("web-1.csv: is given more than once, and taken once")


def test_a_link_to_a_recording_is_another_guest(tmp_path):
    (tmp_path / "web-2.csv").symlink_to(write_series(tmp_path))
    study = study_of(tmp_path)

    assert [member.name for member in study.guests[0].members] == ["web-1", "web-2"]


def test_of_swap_that_no_series_can_tell_of_it_is_said(tmp_path):
    write_series(tmp_path)
    study = study_of(tmp_path, f"{GUEST}{HOST}swap = 'ssd'\nswap_room = '8G'\n")

    (remark,) = study.remarks
    assert remark == (
        "host '64 GiB': its swap (ssd) changes nothing here: what is read back from swap only "
        "traces tell, and all guests are of series"
    )
