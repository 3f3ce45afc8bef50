"""Which programs a run consists of: shares, seeds, and nothing that depends on the host."""

import itertools
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from workbench.model.balloon.offer import make_offer
from workbench.validation.driver import Driver
from workbench.validation.host_steps import HOST_STEPS
from workbench.validation.kinds import KINDS, Scene
from workbench.validation.migration_steps import MIGRATION_STEPS
from workbench.validation.plan import Job, make_plan

ALL = list(KINDS.values())
COUNTS = (1, 100, 2_000, 20_000)


def shares(plan):
    """Count the programs of each kind."""
    counts = dict.fromkeys(KINDS, 0)
    for job in plan:
        counts[job.kind_name] += job.program_count
    return counts


def programs_of(job):
    """Write all programs of a job, batch by batch, one after the other."""
    _, batches = job.begin()
    return [program for batch in batches for program in batch]


def job_of(kind_name, *, seed="s", machine=0, program_count=3):
    return Job(seed=seed, kind_name=kind_name, machine=machine, program_count=program_count)


def digest(seed, kind_name):
    """Say in a few letters what a job consists of, set-up included."""
    job = job_of(kind_name, seed=seed)
    content = json.dumps([job.begin()[0].to_json(), programs_of(job)])
    return sha256(content.encode()).hexdigest()


@pytest.mark.parametrize("count", COUNTS)
def test_every_kind_gets_one_program_at_least(count):
    assert min(shares(make_plan("s", count, ALL)).values()) >= 1


@pytest.mark.parametrize("count", COUNTS)
def test_the_total_is_near_the_count(count):
    """Rounding, and the one program that each kind gets at least, move it by one a kind."""
    total = sum(shares(make_plan("s", count, ALL)).values())

    assert abs(total - count) <= len(KINDS)


def test_programs_are_shared_out_by_weight():
    counts = shares(make_plan("s", 20_000, ALL))
    weights = sum(kind.weight for kind in ALL)

    for kind in ALL:
        assert abs(counts[kind.name] - 20_000 * kind.weight / weights) <= 1


def test_one_kind_alone_gets_all():
    assert shares(make_plan("s", 777, [KINDS["poison"]])) == dict.fromkeys(KINDS, 0) | {
        "poison": 777
    }


def test_no_machine_has_more_programs_than_its_kind_allows():
    plan = make_plan("s", 20_000, ALL)

    assert all(1 <= job.program_count <= job.kind.machine_programs for job in plan)


def test_the_machines_of_a_kind_are_numbered_in_the_order_of_the_run():
    plan = make_plan("s", 20_000, ALL)

    for name in KINDS:
        machines = [job.machine for job in plan if job.kind_name == name]
        assert machines == list(range(len(machines)))


def test_the_machines_of_a_kind_are_spread_over_the_run():
    """A run that is cut short has seen something of everything that has many machines."""
    plan = make_plan("s", 20_000, ALL)
    half = {job.kind_name for job in plan[: len(plan) // 2 + 1]}
    several = {job.kind_name for job in plan if job.machine}

    assert several <= half


def test_the_same_seed_gives_the_same_plan():
    assert make_plan("s", 500, ALL) == make_plan("s", 500, ALL)


@pytest.mark.parametrize("kind_name", KINDS)
def test_the_same_job_writes_the_same_programs(kind_name):
    job, again = job_of(kind_name), job_of(kind_name)

    assert job.begin()[0] == again.begin()[0]
    assert programs_of(job) == programs_of(again)


@pytest.mark.parametrize("kind_name", KINDS)
def test_other_seeds_and_other_machines_have_other_programs(kind_name):
    programs = programs_of(job_of(kind_name))

    assert programs_of(job_of(kind_name, seed="t")) != programs
    assert programs_of(job_of(kind_name, machine=1)) != programs


@pytest.mark.parametrize("kind_name", KINDS)
def test_a_longer_run_begins_like_a_shorter_one(kind_name):
    """So that a difference can be looked at again with fewer programs."""
    longer = programs_of(job_of(kind_name, program_count=7))

    assert programs_of(job_of(kind_name, program_count=3)) == longer[:3]


def test_a_job_does_not_depend_on_the_kinds_beside_it():
    alone = {job.machine: job for job in make_plan("s", 40, [KINDS["poison"]])}
    among = next(job for job in make_plan("s", 2_000, ALL) if job.kind_name == "poison")
    length = min(alone[0].program_count, among.program_count)

    assert programs_of(among)[:length] == programs_of(alone[0])[:length]


def test_nor_on_how_jobs_are_interleaved():
    """Two workers write programs at the same time, in whatever order."""
    jobs = [job_of("reporting"), job_of("packed rings")]
    batches = [job.begin()[1] for job in jobs]
    taken = [next(batches[0]), next(batches[1])]

    assert taken == [programs_of(job) for job in jobs]


def test_nor_on_how_python_hashes():
    """Sets of texts have another order in every process."""
    code = (
        "import sys; sys.path.insert(0, '');"
        "from tests.validation.test_plan import KINDS, digest;"
        "print([digest('s', name) for name in KINDS])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == f"{[digest('s', name) for name in KINDS]}\n"


@pytest.mark.parametrize("kind_name", KINDS)
def test_batches_are_as_long_as_the_kind_says(kind_name):
    kind = KINDS[kind_name]
    _, batches = job_of(kind_name, program_count=2 * kind.batch_programs + 1).begin()

    assert [len(batch) for batch in itertools.islice(batches, 4)] == [
        kind.batch_programs,
        kind.batch_programs,
        1,
    ]


@pytest.mark.parametrize("kind_name", KINDS)
def test_every_step_is_known_and_can_be_stored(kind_name):
    """A step goes into JSON and back without becoming another one for the driver."""
    for machine in range(5):
        job = job_of(kind_name, machine=machine, program_count=10)
        setup, _ = job.begin()
        written, stored = (Driver(Scene(setup).offer) for _ in range(2))
        for step in (*job.kind.prologue, *(step for steps in programs_of(job) for step in steps)):
            name, *operands = json.loads(json.dumps(step))
            accesses = written.compile(step)
            assert accesses == stored.compile((name, *operands))
            assert accesses is not None or name in {*HOST_STEPS, *MIGRATION_STEPS}


@pytest.mark.parametrize(
    "kind", [kind for kind in ALL if kind.variants], ids=lambda kind: kind.name
)
def test_variants_are_taken_in_turn_and_each_has_a_machine_in_a_usual_run(kind):
    jobs = [job for job in make_plan("s", 20_000, ALL) if job.kind_name == kind.name]
    turns = {job.machine % len(kind.variants) for job in jobs}

    assert turns == set(range(len(kind.variants)))


@pytest.mark.parametrize("machine", range(8))
def test_a_variant_is_what_it_says(machine):
    setup, _ = job_of("config space", machine=machine).begin()

    assert make_offer(setup.properties).config_bytes == (16, 16, 12, 8)[machine % 4]
