"""Studies that contradict themselves: in a file with their lines, in Python with the same words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.study.study_files import GUEST, HOST, study_of, write_series
from tests.study.test_bad_files import FIRST, LAST, refusal
from tests.synthetic_series import series_of
from workbench.errors import UsageError
from workbench.replay import Device, Guest, Settings
from workbench.schema import UNKNOWN
from workbench.study import (
    WITHOUT_REPORTING,
    FaultCosts,
    GuestKind,
    HostKind,
    Limit,
    Phase,
    Study,
    Variant,
)
from workbench.trace import read_trace
from workbench.units import GIB, NANOSECONDS

CHURN = Path(__file__).resolve().parents[2] / "traces" / "churn-on.trace"

SECOND = GUEST.replace('"web"', '"other"').replace("web-*", "other")
AS_LINUX_HAS_IT = Variant(settings=Settings())


@pytest.fixture
def folder(tmp_path):
    write_series(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "lines", "words"),
    [
        (f"{GUEST}{GUEST}{HOST}", [2, 5], "two guests are called 'web'"),
        (f"{GUEST}{HOST}{HOST}", [4, 6], "two hosts are called '64 GiB'"),
        (f"{GUEST}trace = 'a.trace'\n{HOST}", [FIRST], "has both series and trace"),
        (f"{HOST}\n[[guest]]\nname = 'x'\n", [4], "has neither series nor trace"),
        (f"{GUEST}shift = '6h'\n{HOST}", [FIRST], "has a shift, expected none where"),
        (
            f"{GUEST}phase = 'recorded'\nshift = '-30s'\n{HOST}",
            [FIRST + 1],
            "has shift -30 s, and step is 1 min, expected a whole number of steps",
        ),
        (
            f"step = '40s'\n{GUEST}phase = 'recorded'\nshift = '1m'\n{HOST}",
            [1, FIRST + 2],
            "has shift 1 min, and step is 40 s",
        ),
        (
            f"{GUEST}phase = 'recorded'\nguests_per_phase = 2\n{HOST}",
            [FIRST + 1],
            "has guests_per_phase 2, expected 1 where the phase is recorded",
        ),
        (f"{GUEST}huge_share = 0.5\n{HOST}", [FIRST], "its series tell how much is free in huge"),
        (
            f"{GUEST}device = {{free_page_reporting = true}}\n{HOST}",
            [FIRST],
            "without reporting is what all is compared with",
        ),
        (f"{GUEST}{HOST}reserved = '64G'\n", [5, LAST], "expected less than all of it"),
        (f"{GUEST}{HOST}swap_room = '1G'\n", [LAST], "expected the device too; add swap"),
        (
            f"{GUEST}{HOST}[[host]]\nname = 'small'\nmemory = '6G'\nreserved = '2.5G'\n",
            [LAST + 3],
            "expected a size",
        ),
        (
            f"{GUEST}{HOST}[[host]]\nname = 'small'\nmemory = '6G'\nreserved = '2560M'\n",
            [3, LAST + 2],
            "has 4.00 GiB of memory (web-1), expected no more than the 3.50 GiB that host 'small'",
        ),
        (
            f"{GUEST}{HOST}swap = 'ssd'\n[limit]\nswap_in_pages_per_second = 100\n",
            [3, LAST + 2],
            "expected traces only",
        ),
        (
            f"step = '5m'\n{GUEST}{HOST}",
            [1, 4],
            "step is 5 min, and web-1 of guest 'web' lasts 4 min, expected at least 1 of them",
        ),
        (f"step = '3m'\n{GUEST}{HOST}", [1, 4], "expected at least 2 of them; take a shorter step"),
        (f"step = '1us'\n{GUEST}{HOST}", [1, 4], "240,000,000 of web-1"),
        (
            f"{GUEST}guest.reporting_delay_ns = '2us'\n{HOST}",
            [FIRST],
            "expected at least 1000000 (1 ms)",
        ),
        (
            f"{GUEST}{HOST}[compare.guest]\nreporting_delay_ns = ['2s', '2us']\n",
            [LAST + 1],
            "expected at least 1000000 (1 ms)",
        ),
    ],
)
def test_what_contradicts_itself(folder, text, lines, words):
    found, sentence = refusal(folder, text)

    assert found == lines
    assert words in sentence


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GUEST.replace("web-*", "wbe-*"), 3, "nothing matches 'wbe-*.csv'"),
        (GUEST.replace("web-*", "web_1"), 3, "did you mean 'web-1.csv'?"),
        (GUEST.replace("web-*", "zz"), 3, "folder of the study file; correct it"),
        (GUEST.replace("web-*", "x" * 9999), 3, "nothing matches 'xxx"),
        (GUEST.replace("web-*", "/**/web"), 3, "'/**/web.csv' goes through all folders"),
        (GUEST.replace("web-*", "../" * 99 + "**/web"), 3, "goes through all folders"),
        (GUEST.replace("web-*", "/*/**/web"), 3, "goes through all folders"),
        (GUEST.replace("web-*.csv", "\\u0000"), 3, "nothing matches '\\x00'"),
        (GUEST.replace("web-*.csv", ""), 3, "guest.series is '', expected a path or a pattern"),
        (GUEST.replace('"web-*.csv"', "[]"), 3, "a list of them; correct it"),
        (GUEST.replace('"web-*.csv"', '[\n"web-*.csv",\n3]'), 5, "guest.series is 3, expected"),
        (GUEST.replace('"web-*.csv"', '["web-*.csv",\n"bad.csv"]'), 4, "bad.csv, line 3: time is"),
        (GUEST.replace("web-*", "empty"), 3, "empty.csv: is empty"),
        (GUEST.replace("web-*", "nowhere/web"), 3, "nothing matches 'nowhere/web.csv'"),
        (GUEST.replace("web-*.csv", "churn.trace"), 3, "is a trace; if it is meant"),
        (GUEST.replace("web-*.csv", "monitoring"), 3, "give a pattern such as monitoring/*.json"),
        ("[[guest]]\nname = 'x'\ntrace = 'web-1.csv'\n", 3, "web-1.csv: is no trace; if it is"),
        ("[[guest]]\nname = 'x'\ntrace = 'chrn.trace'\n", 3, "did you mean 'churn.trace'?"),
    ],
)
def test_recordings_that_are_none(folder, text, line, words):
    (folder / "bad.csv").write_text("time,small,huge,total\n0,9,0,4294967296\n-1,9,0,4294967296\n")
    (folder / "empty.csv").write_text("")
    write_series(folder, "B")
    (folder / "churn.trace").mkdir()
    (folder / "monitoring").mkdir()
    (folder / "churn.trace" / "manifest.json").write_text("{}")
    lines, sentence = refusal(folder, text + HOST)

    assert lines == [line]
    assert words in sentence


RECORDED = "phase = 'recorded'\n"


@pytest.mark.parametrize(
    ("start_s", "words"),
    [
        (1_700_000_000, "count from a start of their own, and those of other of guest 'other' are"),
        (125, "web-1 of guest 'web' ends at 240 s and other of guest 'other' begins at 125 s"),
    ],
)
def test_recorded_guests_need_a_time_in_common(folder, start_s, words):
    """Two steps of a minute: those at 120 s are enough, for the last sample holds a minute too."""
    text = GUEST + RECORDED + SECOND + RECORDED + HOST
    write_series(folder, "other", start_s=120)
    study_of(folder, text)
    write_series(folder, "other", start_s=start_s)
    lines, sentence = refusal(folder, text)

    assert lines == [3, 7]
    assert words in sentence
    assert "clock_offset" in sentence


def test_dates_are_told_as_dates_and_an_offset_mends_a_clock(folder):
    write_series(folder, "web-1", start_s=1_700_000_000)
    write_series(folder, "other", start_s=1_700_003_600)
    text = GUEST + RECORDED + SECOND + RECORDED

    assert "ends at 2023-11-14T22:17:20Z and" in refusal(folder, text + HOST)[1]
    assert study_of(folder, f"{text}clock_offset = '-1h'\n{HOST}").guests[1].clock_offset_ns < 0


def of_unknown_huge_pages(series):
    """Let a series be of a monitoring that does not ask for buddyinfo."""
    unknown = np.full_like(series.columns["time_ns"], UNKNOWN)
    return dataclasses.replace(series, columns=series.columns | {"free_huge_pages": unknown})


def kind(**changes):
    """Guests of one kind, made in Python."""
    facts = {"name": "web", "members": (series_of([4, 4, 4]),)}
    return GuestKind(**(facts | changes))


def study(*kinds, **changes):
    """A study that was made in Python."""
    facts = {
        "name": "made",
        "guests": kinds or (kind(),),
        "hosts": (HostKind(name="big", memory_bytes=64 * GIB),),
        "variants": (WITHOUT_REPORTING, AS_LINUX_HAS_IT),
        "step_ns": NANOSECONDS,
    }
    return Study(**(facts | changes))


def test_orders_above_0_need_to_know_what_is_free_in_huge_pages():
    member = of_unknown_huge_pages(series_of([4, 4, 4]))
    order_0 = Variant(settings=Settings(guest=Guest(reporting_order=0)))
    with pytest.raises(UsageError, match=r"for reporting order 9; .*buddyinfo.* or set huge_share"):
        study(kind(members=(member,)))

    study(kind(members=(member,)), variants=(WITHOUT_REPORTING, order_0))
    study(kind(members=(member,), huge_share=0.5))
    study(kind(members=(member,), device=Device(free_page_reporting=False)))
    study(kind(members=(member,), guest=Guest(poison_val=0xAA)))
    study(kind(members=(member, series_of([4, 4])), huge_share=0.5))


def very_many():
    """More than anybody compares."""
    shares = (number / 200_000 for number in range(100_002))
    return (
        WITHOUT_REPORTING,
        *(dataclasses.replace(AS_LINUX_HAS_IT, inhibited_share=share) for share in shares),
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kind(members=()), "guest 'web' has no recordings"),
        (lambda: kind(weight=0), "GuestKind.weight is 0, expected a whole number from 1"),
        (lambda: kind(weight=1.5), "GuestKind.weight is 1.5, expected a whole number"),
        (lambda: kind(name=""), "GuestKind.name is ''"),
        (lambda: kind(shift_ns=1), "has a shift, expected none"),
        (lambda: kind(huge_share=0.5), "has a huge_share, expected none"),
        (lambda: HostKind(name="x", memory_bytes=0), "HostKind.memory_bytes is 0, expected"),
        (lambda: HostKind(name="x", memory_bytes=GIB, reserved_bytes=GIB), "less than all of it"),
        (lambda: HostKind(name="x", memory_bytes=GIB, swap="nvme"), "zram or ssd or disk"),
        (lambda: Limit(share_of_time=2), "Limit.share_of_time is 2, expected"),
        (lambda: FaultCosts(fault_ns=-1), "FaultCosts.fault_ns is -1, expected"),
        (lambda: dataclasses.replace(WITHOUT_REPORTING, inhibited_share=2), "inhibited_share is 2"),
        (lambda: study(seeds=()), "Study.seeds is (), expected 1 to 1,000"),
        (lambda: study(step_ns=0), "Study.step_ns is 0, expected a time above 0"),
        (lambda: study(guests=()), "the study has no guest"),
        (lambda: study(hosts=()), "the study has no host"),
        (lambda: study(variants=()), "put it first"),
        (lambda: study(variants=(AS_LINUX_HAS_IT,)), "put it first"),
        (lambda: study(variants=(WITHOUT_REPORTING,) * 2), "a variant is there twice"),
        (lambda: study(variants=very_many()), "100,003 combinations are compared"),
        (
            lambda: kind(members=(series_of([4, 4]), read_trace(CHURN))),
            "has both series and traces, expected one of them; make two kinds of it",
        ),
        (lambda: study(kind(), kind()), "two guests are called 'web'"),
        (lambda: study(limit=Limit(swap_in_pages_per_second=1)), "has no swap, expected a device"),
        (
            lambda: study(
                variants=(
                    WITHOUT_REPORTING,
                    Variant(settings=Settings(device=Device(free_page_hint=True))),
                )
            ),
            "'device.free_page_hint' is compared",
        ),
        (
            lambda: study(hosts=(HostKind(name="small", memory_bytes=2 * GIB),)),
            "has 4.00 GiB of memory (made), expected no more than the 2.00 GiB",
        ),
    ],
)
def test_python_is_held_to_the_same(make, words):
    with pytest.raises(UsageError) as refused:
        make()

    assert words in str(refused.value)


def test_names_are_kept_harmless(folder):
    text = GUEST.replace('"web"', '"\\u001b[31m\\nweb\\u202e"') + HOST
    made = study_of(folder, text)

    assert made.guests[0].name == r"\x1b[31m\nweb\u202e"
    assert "\x1b" not in repr(made)


def test_a_recorded_kind_may_be_shifted():
    assert kind(phase=Phase.RECORDED, shift_ns=5).is_recorded
