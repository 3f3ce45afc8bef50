"""The course of a run, with guests that are only played."""

import queue
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.errors import HostError
from workbench.lab import LabSettings, Transcript, parse_scenario, run
from workbench.lab.interrupt import Interruptions
from workbench.lab.kernel import GuestKernel
from workbench.lab.machine import Line
from workbench.lab.run import guest_facts, origin

SCENARIO = parse_scenario("idle 1\nmark here\nidle 1", name="test")
KERNEL = GuestKernel("6.1.0-1-cloud-amd64", Path("vmlinuz"), Path("modules"))

LIFE = [
    "FACT reporting_order 9",
    "READY 1.00",
    "MARK 1 1.00 begin idle",
    "BUDDY 1.50 0 1 2 3 4 5 6 7 8 9 10",
    "MARK 1 2.00 end idle",
    "MARK 2 2.00 begin mark here",
    "MARK 3 2.00 begin idle",
    "DONE 3.00",
    "QUIET 4.00",
]


class Recording:
    """Takes down what it is told."""

    def __init__(self):
        self.marks = []
        self.samples = []
        self.open = False

    @contextmanager
    def opened(self):
        self.open = True
        yield self
        self.open = False

    def mark(self, vm, step, time_ns):
        self.marks.append((vm, step, time_ns))

    def guest_sample(self, vm, time_ns, guest_time_ns, free_blocks):
        self.samples.append((vm, time_ns, guest_time_ns, tuple(free_blocks)))


class Guest:
    """Says some lines when it is let go, and some more when it is woken."""

    def __init__(self, vm, lines, said, after_waking=()):
        self.vm, self.lines, self.said, self.after_waking = vm, lines, said, after_waking
        self.name = f"test-{vm}"
        self.folder = Path()
        self.process = SimpleNamespace(returncode=-9)
        self.qmp = SimpleNamespace(execute=lambda _: self.say(self.said))

    def say(self, texts):
        for text in texts:
            self.lines.put(Line(self.vm, self.lines.qsize(), text))

    def wake(self):
        self.say(self.after_waking)

    def is_alive(self):
        return False

    def last_words(self):
        return "nothing good"


@pytest.fixture(autouse=True)
def no_quiet_time(monkeypatch):
    monkeypatch.setattr(run, "QUIET_S", 0.0)


def play(*lives, after_waking=(), **settings):
    """Run the lives of some guests; return what was recorded."""
    lines = queue.SimpleQueue()
    guests = [Guest(vm, lines, life, after_waking) for vm, life in enumerate(lives)]
    recording = Recording()
    session = run._Session(
        LabSettings(scenario=SCENARIO, guest_count=len(guests), **settings),
        guests,
        lines,
        Interruptions(),
        lambda _: None,
    )
    session.run(recording.opened)
    return recording


def test_the_begin_of_every_step_and_the_end_of_all_are_marked():
    assert [step for _, step, _ in play(LIFE).marks] == [1, 2, 3, 4]


def test_free_blocks_are_handed_over_with_both_clocks():
    assert play(LIFE).samples == [(0, 3, 1_500_000_000, tuple(range(11)))]


def test_a_run_ends_when_the_last_guest_is_quiet():
    recording = play(LIFE, LIFE)
    assert sorted((vm, step) for vm, step, _ in recording.marks) == [
        (vm, step) for vm in (0, 1) for step in (1, 2, 3, 4)
    ]


def test_a_capture_in_mid_life_knows_nothing_of_what_was_before():
    before, after = LIFE[:6], LIFE[6:]
    recording = play([*before, "WAIT 2.00"], after_waking=after, attach_after="here")

    assert [step for _, step, _ in recording.marks] == [3, 4]
    assert recording.samples == []


def test_a_qemu_that_ends_by_itself_is_an_error_with_its_last_words():
    with pytest.raises(HostError, match=r"test-0 ended by itself .*nothing good"):
        play(LIFE[:4])


def test_a_guest_that_cannot_do_a_step_ends_the_run():
    with pytest.raises(HostError, match="could not do what it should: take a"):
        play([*LIFE[:4], "FAIL take a (no space)"])


def test_a_setting_that_did_not_take_effect_ends_the_run():
    with pytest.raises(HostError, match="has reporting_order 9 instead of 0"):
        play(LIFE, reporting_order=0)


def test_a_guest_that_falls_silent_ends_the_run(monkeypatch):
    monkeypatch.setattr(run, "SILENCE_SECONDS_MAX", -1.0)
    monkeypatch.setattr(Guest, "is_alive", lambda _: True)
    with pytest.raises(HostError, match="has said nothing"):
        play(LIFE[:4])


def test_facts_are_known_before_the_guest_runs():
    facts = guest_facts(LabSettings(scenario=SCENARIO, reporting_order=0, poison=7), KERNEL)

    assert (facts.kernel, facts.init_on_free) == ("6.1.0-1-cloud-amd64", True)
    assert (facts.reporting_order, facts.reporting_capacity) == (0, 32)
    assert facts.reporting_delay_ns == 2_000_000_000


def test_a_guest_that_does_not_report_has_no_reporting_facts():
    facts = guest_facts(LabSettings(scenario=SCENARIO, reporting=False), KERNEL)
    assert facts.reporting_order is facts.reporting_delay_ns is facts.reporting_capacity is None


def test_the_trace_learns_where_it_comes_from():
    whole = origin(LabSettings(scenario=SCENARIO), "workbench lab run test")
    part = origin(LabSettings(scenario=SCENARIO, attach_after="here"), "")

    assert (whole.scenario, whole.scenario_text) == ("test", SCENARIO.text)
    assert (whole.mid_life, part.mid_life) == (False, True)


def test_a_transcript_holds_what_the_guests_said(tmp_path):
    targets = [SimpleNamespace(name="test-0")]
    with Transcript(targets, tmp_path / "out", SimpleNamespace(command="made by")) as transcript:
        transcript.mark(0, 1, 1_500_000_000)
        transcript.guest_sample(0, 2_000_000_000, 250_000_000, [1, 2])

    text = (tmp_path / "out" / "transcript.txt").read_text(encoding="utf-8")
    assert "made by" in text
    assert "1.500 test-0 step 1\n2.000 test-0 uptime 0.25 free 1 2\n" in text
