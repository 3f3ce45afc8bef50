"""Studies as they are held: settings of a kind, cards, a digest, and what was found on the way."""

from __future__ import annotations

import dataclasses
import pickle
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.study.study_files import GUEST, HOST, study_of, write_series
from workbench.replay import Device, Guest, Settings
from workbench.study import WITHOUT_REPORTING, GuestKind, HostKind, Limit, Phase, Variant
from workbench.trace import Reporting
from workbench.units import GIB, MIB, NANOSECONDS

QUERY = """{{"status": "success", "data": {{"resultType": "matrix", "result": [{}]}}}}"""


@pytest.fixture
def study(tmp_path):
    write_series(tmp_path, cached_bytes=GIB)
    return study_of(tmp_path, GUEST + HOST)


def test_a_kinds_own_settings_win(study):
    kind = dataclasses.replace(
        study.guests[0], device=Device(discard_inhibited=True), guest=Guest(reporting_order=0)
    )
    asked = Settings(guest=Guest(reporting_order=9, reporting_capacity=8))

    assert kind.settings_under(Variant(settings=asked)) == Settings(
        device=Device(discard_inhibited=True), guest=Guest(reporting_order=0, reporting_capacity=8)
    )
    assert kind.settings_under(WITHOUT_REPORTING).device == Device(
        free_page_reporting=False, discard_inhibited=True
    )


def test_without_reporting_there_is_one_variant_whatever_reports_would_be_like(tmp_path):
    write_series(tmp_path)
    compared = "[compare]\ninhibited_share = [0.0, 0.5]\n"
    compared += "guest.reporting_order = [0, 9]\ndevice.free_page_reporting = [false, true]\n"
    variants = study_of(tmp_path, GUEST + HOST + compared).variants

    assert variants[0] == WITHOUT_REPORTING
    assert [each.reports for each in variants] == [False, True, True, True, True]


def test_a_file_of_many_guests_gives_a_member_for_each(tmp_path):
    series = [
        f'{{"metric": {{"__name__": "{name}", "instance": "{guest}"}}, '
        f'"values": [[60, "{value}"], [120, "{value}"], [180, "{value}"]]}}'
        for guest in ("b", "a")
        for name, value in (
            ("node_memory_MemTotal_bytes", 4 * GIB),
            ("node_memory_MemFree_bytes", GIB),
        )
    ]
    (tmp_path / "web-1.json").write_text(QUERY.format(", ".join(series)), encoding="utf-8")
    kind = GUEST.replace(".csv", ".json") + "huge_share = 0.5\nclock_offset = '1h'\n"
    made = study_of(tmp_path, kind + HOST)
    first, second = made.guests[0].members

    assert ("a" in first.name, "b" in second.name) == (True, True)
    assert first.columns["time_ns"][0] == (60 + 3600) * NANOSECONDS
    assert any("is the same as" in remark for remark in made.remarks)
    assert any("clock offset" in remark for remark in made.remarks)


def test_the_digest_is_of_the_content_and_not_of_the_place(study, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    write_series(folder, cached_bytes=GIB)
    moved = study_of(folder, GUEST + HOST)
    others = [
        dataclasses.replace(study, seeds=(5,)),
        dataclasses.replace(study, limit=Limit(share_of_time=0.5)),
        dataclasses.replace(study, variants=study.variants[:2]),
        dataclasses.replace(study, hosts=(HostKind(name="x", memory_bytes=64 * GIB),)),
        dataclasses.replace(study, guests=(dataclasses.replace(study.guests[0], weight=2),)),
    ]

    assert moved.digest == study.digest == pickle.loads(pickle.dumps(study)).digest  # noqa: S301 - our own.
    assert len({study.digest, *(each.digest for each in others)}) == 6


def test_how_a_guest_was_recorded_to_report_is_part_of_the_content(study):
    """It decides where a variant leaves the order, the delay or the capacity open."""
    kind = study.guests[0]
    digests = {
        dataclasses.replace(
            study,
            guests=(
                dataclasses.replace(
                    kind, members=(dataclasses.replace(kind.members[0], reporting=each),)
                ),
            ),
        ).digest
        for each in (None, Reporting(0, NANOSECONDS, 32), Reporting(9, 2 * NANOSECONDS, 32))
    }

    assert len(digests) == 3


def test_cards_say_what_a_colleague_would_ask(study):
    text = " ".join(repr(study).split())

    assert "web: 1 series, weight 1, random phase" in text
    assert "64 GiB: 64.00 GiB for guests, no swap" in text
    assert "page cache given back" in text
    assert "web-1" in repr(study.guests[0])
    assert "memory is enough 99.5 % of the time, 90 % of a freed GiB is reported within 60 s" in (
        " ".join(
            repr(
                dataclasses.replace(study, limit=Limit(share_of_time=0.995, drain_seconds=60))
            ).split()
        )
    )
    assert repr(study.variants[1]) == "Variant: reporting as Linux has it"


def test_the_card_of_guests_says_what_is_their_own(study):
    kind = dataclasses.replace(
        study.guests[0],
        phase=Phase.RECORDED,
        shift_ns=-90 * NANOSECONDS,
        guest=Guest(reporting_order=0),
    )
    text = repr(kind)

    assert "recorded phase" in text
    assert re.search(r"shift +-90 s", text)
    assert re.search(r"own settings +reporting_order 0", text)
    assert "web-1" in text


TIMES = st.sampled_from(
    [("m", 60 * 10**9), ("min", 60 * 10**9), ("h", 3600 * 10**9), ("d", 86_400 * 10**9)]
)
"""Whole steps of a minute."""


@st.composite
def kinds(draw):
    """Keys of a kind of guests, as text, and what they become."""
    number, (unit, unit_ns) = draw(st.integers(-1000, 1000)), draw(TIMES)
    weight, together = draw(st.integers(1, 1000)), draw(st.integers(1, 100))
    is_recorded, inhibited = draw(st.booleans()), draw(st.booleans())
    lines = [f"weight = {weight}", f"device.discard_inhibited = {str(inhibited).lower()}"]
    facts = {"weight": weight, "device": Device(discard_inhibited=inhibited)}
    if is_recorded:
        lines += ["phase = 'recorded'", f'shift = "{number} {unit}"']
        facts |= {"phase": Phase.RECORDED, "shift_ns": number * unit_ns}
    else:
        lines += [f"guests_per_phase = {together}"]
        facts |= {"phase": Phase.RANDOM, "guests_per_phase": together}
    return "\n".join(draw(st.permutations(lines))), facts


@st.composite
def hosts(draw):
    """Keys of a host, as text, and what they become."""
    size, (unit, unit_bytes) = (
        draw(st.integers(5, 900)),
        draw(st.sampled_from([("G", GIB), ("GiB", GIB), (" gb", GIB), ("T", 1024 * GIB)])),
    )
    reserved = draw(st.integers(0, 900))
    swap = draw(st.sampled_from(["zram", "ssd", "disk"]))
    lines = [
        f'memory = "{size}{unit}"',
        f'reserved = "{reserved}M"',
        f'swap = "{swap}"',
        f'swap_room = "{reserved}G"',
    ]
    facts = {
        "memory_bytes": size * unit_bytes,
        "reserved_bytes": reserved * MIB,
        "swap": swap,
        "swap_bytes": reserved * GIB,
    }
    return "\n".join(draw(st.permutations(lines))), facts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(kinds(), min_size=1, max_size=3),
    hosts=st.lists(hosts(), min_size=1, max_size=3),
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5, unique=True),
)
def test_what_is_written_is_what_is_read(tmp_path, kinds, hosts, seeds):
    write_series(tmp_path)
    text = f"seeds = {seeds}\n"
    for index, (lines, _) in enumerate(kinds):
        text += f"[[guest]]\nname = 'g{index}'\nseries = 'web-1.csv'\n{lines}\n"
    for index, (lines, _) in enumerate(hosts):
        text += f"[[host]]\nname = 'h{index}'\n{lines}\n"
    made = study_of(tmp_path, text)
    expected = [
        GuestKind(name=f"g{index}", members=made.guests[index].members, **facts)
        for index, (_, facts) in enumerate(kinds)
    ]

    assert made.seeds == tuple(seeds)
    assert [_plain(kind) for kind in made.guests] == [_plain(kind) for kind in expected]
    assert list(made.hosts) == [
        HostKind(name=f"h{index}", **facts) for index, (_, facts) in enumerate(hosts)
    ]


def _plain(kind):
    return {field.name: getattr(kind, field.name) for field in dataclasses.fields(kind)} | {
        "members": len(kind.members)
    }
