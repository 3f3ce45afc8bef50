"""A difference is traced to a short program, which is stored, and replayed ever after."""

import json
from dataclasses import replace

import pytest

from tests.validation.wrong_models import WRONG
from workbench.errors import InputError
from workbench.units import MIB
from workbench.validation import conform as conform_module
from workbench.validation.conform import run_job
from workbench.validation.corpus import store_program, stored_programs
from workbench.validation.difference import Difference
from workbench.validation.finding import (
    Finding,
    Trial,
    read_finding,
    shrink,
    trace_down,
    trial_of,
)
from workbench.validation.kinds import KINDS
from workbench.validation.model_machine import model_machine
from workbench.validation.plan import Job
from workbench.validation.setup import Backend, Setup
from workbench.validation.wire import MachineDiedError

QEMU = "qemu-system-x86_64"
SEED = "finding"
REPORT = 3
PAGE = 0x480000

FOUND = Finding(
    kind_name="queue sizes",
    setup=Setup(memory=(Backend(size_bytes=8 * MIB),)),
    steps=(("start", 1 << 32, [(0, 0)]), ("poke", PAGE, "00ff"), ("kick", 0)),
    difference=Difference(what="stderr, entry 0", expected="nothing", found="oops", step=2),
)
"""What needs no QEMU to be stored."""


def finding_of(kind_name, make_model=model_machine, *, program_count=100, machine=0):
    """Run programs of a kind, and give what was found; a wrong model is found at once."""
    job = Job(seed=SEED, kind_name=kind_name, machine=machine, program_count=program_count)
    return run_job(job, QEMU, make_model, explain=True).finding


def trial_on(setup, make_model=model_machine):
    """Prepare to run programs, each on a machine of its own; waiting for no late event."""
    return Trial(setup, (), QEMU, make_model, patient=False)


def replay_finding(finding, **options):
    """Run a stored program again."""
    return trial_of(finding, qemu=QEMU, **options).run(finding.steps, each=True)


class _Late(list):
    """Changes of the balloon of which the third is wrong."""

    def append(self, change):
        super().append(change + (len(self) == 2))


class Trials:
    """Stands in for machines: counts the programs that are tried."""

    def __init__(self):
        self.count = 0

    def needing(self, *needed):
        """Make a judge: a program differs if these steps are in it, in this order."""

        def differs(steps):
            self.count += 1
            left = iter(steps)
            return all(step in left for step in needed)

        return differs


class TestShrinking:
    @pytest.mark.parametrize("needed", [(0,), (63,), (0, 63), (17, 18), (1, 30, 31, 60), (5, 50)])
    def test_what_is_not_needed_is_left_out(self, needed):
        trials = Trials()
        program = [("status", number) for number in range(64)]
        wanted = [("status", number) for number in needed]

        assert shrink(program, trials.needing(*wanted), trials) == wanted

    def test_descriptors_are_left_out_until_only_those_are_left_that_matter(self):
        trials = Trials()
        long = [(PAGE + 4096 * number, 4096, 1) for number in range(5)]

        def differs(steps):
            trials.count += 1
            return any(step[0] == "element" and long[3] in step[2] for step in steps)

        assert shrink([("element", REPORT, long, 1), ("kick", REPORT)], differs, trials) == [
            ("element", REPORT, [long[3]], 0)
        ]

    def test_a_program_is_never_shrunk_to_nothing(self):
        trials = Trials()

        assert len(shrink([("kick", 0)] * 8, trials.needing(), trials)) == 1

    def test_a_long_program_costs_a_bounded_number_of_trials(self):
        trials = Trials()
        program = [("status", number) for number in range(3000)]
        shorter = shrink(program, trials.needing(*program[::2]), trials)

        assert trials.count <= 400
        assert set(program[::2]) <= set(shorter)


@pytest.mark.qemu
class TestTracing:
    @pytest.mark.parametrize(
        ("name", "steps_max", "named"),
        [
            ("poison_is_ignored", 6, "trace"),
            ("used_length_is_that_of_the_ranges", 4, "memory"),
            ("event_index_is_forgotten_by_nobody", 6, "answer"),
        ],
    )
    def test_a_wrong_model_is_shown_by_a_short_program(
        self, name, steps_max, named, monkeypatch, tmp_path
    ):
        """It still differs, also when it was stored; and it does not with the right model."""
        make_wrong, kind_names = WRONG[name]
        with monkeypatch.context() as patch:
            make_wrong(patch)
            finding = finding_of(kind_names[0])
            again = read_finding(store_program(finding, tmp_path))
            difference = replay_finding(again)

        assert finding.reproduced
        assert len(finding.steps) <= steps_max
        assert finding.difference.what.startswith(named)
        assert difference == finding.difference
        assert replay_finding(again) is None

    def test_every_step_that_is_left_is_needed_and_the_one_that_shows_it_is_named(
        self, monkeypatch
    ):
        """It is the kick, whether that stands last or not."""
        WRONG["poison_is_ignored"][0](monkeypatch)
        finding = finding_of("poison")
        steps = finding.steps
        trial = trial_on(finding.setup)
        shorter = [steps[:number] + steps[number + 1 :] for number in range(len(steps))]
        longer = (*steps, ("observe",))

        assert [trial.run(each) for each in shorter] == [None] * len(steps)
        assert longer[trial.run(longer, each=True).step][0] == "kick"

    def test_a_late_event_is_waited_for_again(self):
        """QEMU tells of the last of three changes a second later: the kind's patience is kept."""

        def make_model(setup, **options):
            machine = model_machine(setup, **options)
            told = machine.balloon.balloon_changes
            machine.balloon.balloon_changes = _Late(told)
            return machine

        changes = [("config_write", 4, 4, actual) for actual in (1, 2, 3)]
        steps = (("start", 1 << 32, []), *changes)
        finding = replace(FOUND, kind_name="operator", steps=steps)

        assert replay_finding(finding) is None
        assert replay_finding(finding, make_model=make_model).sort == "BALLOON_CHANGE"

    def test_a_prologue_is_part_of_the_program(self):
        """Without it the program would mean something else: it runs, and it is stored."""
        kind = KINDS["inhibited by COLO"]

        def make_model(setup, **options):
            machine = model_machine(setup, **options)
            machine.balloon.is_inhibited = lambda: False
            return machine

        finding = finding_of(kind.name, make_model, program_count=20)

        assert finding.reproduced
        assert finding.steps[: len(kind.prologue)] == kind.prologue
        assert replay_finding(finding, make_model=make_model) is not None
        assert replay_finding(finding) is None

    def test_what_a_fresh_machine_does_not_show_keeps_all_steps_and_says_so(self):
        """As a race would be, or a host that ran out of something."""
        made = []

        def wrong_once(setup, **options):
            machine = model_machine(setup, **options)
            made.append(machine)
            if len(made) == 1:
                machine.balloon.num_pages = 77
            return machine

        job = Job(seed=SEED, kind_name="config space", machine=0, program_count=60)
        finding = run_job(job, QEMU, wrong_once, explain=True).finding
        programs = [program for batch in job.begin()[1] for program in batch][:50]

        assert len(made) == 2
        assert not finding.reproduced
        assert finding.to_json()["reproduced"] is False
        assert finding.steps == tuple(step for program in programs for step in program)
        assert finding.difference.what == "answer to config_read"

    def test_what_takes_two_programs_is_shown_by_both(self):
        """A device remembers things over resets; the second program alone shows nothing."""
        remember = [("config_write", 4, 4, 5)]
        unrelated = [("fill", PAGE, 4096, 1)]
        recall = [("status_read",), ("config_read", 4, 4)]

        def forgetful(setup, **options):
            machine = model_machine(setup, **options)
            machine.balloon.get_config = lambda: bytes(16)
            return machine

        setup = FOUND.setup
        programs = [remember, unrelated, recall]
        finding = trace_down("poison", trial_on(setup, forgetful), setup, programs)

        assert finding.steps == (*remember, recall[1])

    def test_a_program_that_ends_qemu_is_traced_like_any_other(self):
        """QEMU is not asked to: the model says so, at the access that would have done it."""

        def fatal(setup, **options):
            machine = model_machine(setup, **options)
            execute = machine.execute

            def die(accesses):
                if ("memset", PAGE, 1, 66) in accesses:
                    raise MachineDiedError("QEMU has ended: exit code -6")
                return execute(accesses)

            machine.execute = die
            return machine

        program = [("status_read",), ("fill", PAGE, 1, 66), ("observe",)]
        setup = FOUND.setup
        programs = [[("status_read",)], program]
        finding = trace_down("poison", trial_on(setup, fatal), setup, programs)

        assert finding.steps == (("fill", PAGE, 1, 66),)
        assert finding.difference.what == "QEMU"
        assert "exit code -6" in finding.difference.found


class TestStoring:
    def test_a_program_survives_being_stored(self, tmp_path):
        path = store_program(FOUND, tmp_path)
        read = read_finding(path)
        again = store_program(read, tmp_path)

        assert read.setup == FOUND.setup
        assert json.dumps(read.steps) == json.dumps(FOUND.steps)
        assert read.kind_name == FOUND.kind_name
        assert again == path
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    def test_why_it_was_stored_can_be_read_in_it(self, tmp_path):
        document = json.loads(store_program(FOUND, tmp_path).read_text("utf-8"))

        assert document["difference"] == FOUND.difference.sentence()
        assert document["kind"] == "queue sizes"

    def test_its_name_tells_the_kind_and_nothing_needs_quoting(self, tmp_path):
        path = store_program(FOUND, tmp_path / "new" / "folder")

        assert path.parent == tmp_path / "new" / "folder"
        assert path.name.startswith("queue-sizes-")
        assert " " not in path.name

    def test_another_program_has_another_name(self, tmp_path):
        paths = {
            store_program(
                Finding(kind_name="a", setup=setup, steps=steps, difference=FOUND.difference),
                tmp_path,
            )
            for setup in (Setup(), FOUND.setup)
            for steps in (FOUND.steps, FOUND.steps[1:])
        }

        assert len(paths) == 4

    def test_ones_own_programs_follow_those_that_everybody_has(self, tmp_path):
        bundled = stored_programs(None)
        own = [store_program(FOUND, tmp_path)]
        (tmp_path / "notes.txt").write_text("not a program")

        assert stored_programs(tmp_path) == bundled + own
        assert stored_programs(tmp_path / "absent") == bundled

    def test_what_everybody_has_can_be_read(self):
        programs = [read_finding(path) for path in stored_programs(None)]

        assert all(program.kind_name in KINDS and program.steps for program in programs)


GOOD = FOUND.to_json()


def without(key):
    """Leave a key out of what is stored."""
    return json.dumps({name: value for name, value in GOOD.items() if name != key})


DAMAGED = {
    "empty": "",
    "cut": "{",
    "a list": "[]",
    "nothing": "null",
    "no text": b"\xff\xfe",
    "no steps": without("steps"),
    "no setup": without("setup"),
    "no kind": without("kind"),
    "steps null": json.dumps(GOOD | {"steps": None}),
    "steps a number": json.dumps(GOOD | {"steps": 7}),
    "steps a text": json.dumps(GOOD | {"steps": "start"}),
    "an empty step": json.dumps(GOOD | {"steps": [[]]}),
    "a step that is a text": json.dumps(GOOD | {"steps": [["kick", 0], "kick"]}),
    "an unknown step": json.dumps(GOOD | {"steps": [["dance", 1]]}),
    "a setup with an unknown key": json.dumps(GOOD | {"setup": {"machine_typ": "pc"}}),
    "a setup that cannot be": json.dumps(GOOD | {"setup": {"memory": [{"size_bytes": 5}]}}),
    "a setup that is none": json.dumps(GOOD | {"setup": []}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_named(content, tmp_path):
    """One sentence, and it says what to do."""
    path = tmp_path / "damaged.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(InputError, match=r"damaged\.json") as caught:
        read_finding(path)
    assert "remove" in str(caught.value)


@pytest.mark.qemu
def test_stored_programs_are_replayed_first(tmp_path, monkeypatch):
    """Whatever else a run is about."""
    monkeypatch.setattr("workbench.validation.corpus.BUNDLED", "absent")
    store_program(FOUND, tmp_path)
    seen = []
    wishes = conform_module.Wishes(
        seed=SEED, program_count=20, corpus=tmp_path, kind_names=("early",)
    )
    outcome = conform_module.conform(wishes, lambda so_far: seen.append(dict(so_far.programs)))

    assert seen[0] == {"stored": 1}
    assert outcome.programs == {"stored": 1, "early": 20}
    assert outcome.replayed == 1
    assert outcome.findings == []
