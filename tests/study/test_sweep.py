"""Computing a study: nothing twice, the same bytes however, and nothing that is damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from tests.study.made_studies import GIB, SOON, kind_of, series_needing, study_of
from tests.study.made_studies import computed as computed_alone
from workbench.errors import HostError, InputError, UsageError
from workbench.replay import Guest, Settings
from workbench.study import engine
from workbench.study.jobs import VALUES_AT_ONCE, Jobs
from workbench.study.of_trace import ask_study
from workbench.study.store import Store, short_digest, to_bytes
from workbench.study.study import HostKind, Variant
from workbench.study.sweep import sweep
from workbench.study.timeline import span_of, timeline_of
from workbench.study.work import outline, pack, unpacked
from workbench.trace import Trace, read_trace

ROOT = Path(__file__).resolve().parents[2]

TRACES = ROOT / "traces"

AS_RECORDED = Variant(settings=Settings())

LATER = Variant(settings=Settings(guest=Guest(reporting_order=9, reporting_delay_ns="10s")))

USED = ((1, 2, 3, 2), (2, 1, 1, 3), (1, 1, 1, 2), (3, 2, 1, 1))


def members(count):
    """Guests that all need something else."""
    return [
        series_needing(
            *(used * GIB // 8 for used in USED[number]), name=f"g{number}", total_bytes=GIB
        )
        for number in range(count)
    ]


def a_study(guests=3, **others):
    """Of one kind, on one host, for two seeds, under three variants."""
    given = {"hosts": (GIB,), "variants": (SOON, LATER), "seeds": (1, 2), **others}
    return study_of(kind_of(*members(guests)), **given)


def computed(study, folder, **others):
    """How many jobs of each kind there were to do."""
    made = sweep(study, folder, **others)
    assert made.swap_in_guests is None  # No limit of swap is to be kept.
    return made.done["profiles"], made.done["sums"]


def contents(folder):
    """All files of a result."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_was_computed_is_not_computed_again(tmp_path):
    folder = tmp_path / "result"
    assert computed(a_study(), folder) == (3, 3)
    before = contents(folder)

    assert computed(a_study(), folder) == (0, 0)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("larger", "jobs"),
    [
        ({"seeds": (1, 2, 3)}, (0, 3)),
        ({"hosts": (GIB, 2 * GIB)}, (0, 3)),
        ({"share_of_time": 0.5}, (0, 0)),
        ({"variants": (SOON, dataclasses.replace(LATER, inhibited_share=0.5), LATER)}, (0, 1)),
        ({"variants": (LATER, SOON)}, (0, 0)),
        ({"guests": 4}, (3, 3)),
    ],
    ids=["a seed", "a host", "a limit", "inhibited guests", "another order", "a guest"],
)
def test_a_study_that_has_grown_computes_what_is_new(tmp_path, larger, jobs):
    """Guests whose discards are inhibited need what they need without reporting: no profile."""
    folder, fresh = tmp_path / "result", tmp_path / "fresh"
    computed(a_study(), folder)

    assert computed(a_study(**larger), folder) == jobs

    computed(a_study(**larger), fresh)
    for name in ("together.parquet", "facts.parquet"):
        assert (folder / name).read_bytes() == (fresh / name).read_bytes()


class StopError(Exception):
    """Whatever ends a study."""


def stopping_after(count):
    """Count jobs, and stop at so many."""

    def counts():
        for _ in range(count - 1):
            yield
        raise StopError

    @contextlib.contextmanager
    def counting(what, total):
        assert (what, total) == ("jobs", 6)
        stops = counts()
        yield lambda _: next(stops)

    return counting


@pytest.mark.parametrize("finished", [1, 4, 5])
def test_a_study_that_was_stopped_goes_on_where_it_was(tmp_path, finished):
    folder, fresh = tmp_path / "result", tmp_path / "fresh"
    with pytest.raises(StopError):
        sweep(a_study(), folder, counting=stopping_after(finished))

    profiles, sums = computed(a_study(), folder)

    assert profiles + sums == 6 - finished
    computed(a_study(), fresh)
    assert contents(folder) == contents(fresh)


def cut(path):
    """Lose the end of a file."""
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    """Change a byte in the midst of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def claim(path):
    """Put another job's result under this name."""
    other = next(each for each in sorted(path.parent.iterdir()) if each.name != path.name)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [cut, flip, claim, Path.unlink])
@pytest.mark.parametrize("kind", ["profiles", "sums"])
def test_a_damaged_job_is_done_again(tmp_path, damage, kind):
    folder = tmp_path / "result"
    computed(a_study(), folder)
    before = contents(folder)
    path = min((folder / "jobs").glob(f"{kind}-*"))
    damage(path)

    made = sweep(a_study(), folder)

    assert made.done == {each: int(each == kind) for each in ("profiles", "sums", "swaps")}
    assert made.damaged == (() if damage is Path.unlink else (path,))
    assert contents(folder) == before


def test_a_file_that_names_itself_rightly_and_holds_another_job_is_not_used(tmp_path):
    """Whoever renames a file so that its digest is right has not made it another job's result."""
    folder = tmp_path / "result"
    computed(a_study(), folder)
    one, other = sorted((folder / "jobs").glob("sums-*"))[:2]
    _, key, _ = one.stem.split("-")
    _, _, digest = other.stem.split("-")
    one.unlink()
    other.rename(other.with_name(f"sums-{key}-{digest}.parquet"))

    profiles, sums = computed(a_study(), folder)
    assert profiles == 0
    # One job sums all seeds that are missing of a variant, and both may be of one.
    assert sums in {1, 2}


def test_a_file_of_profiles_that_are_nobodys_is_damaged(tmp_path):
    """Its name is right: its key, and its digest."""
    folder, key = tmp_path / "result", "0" * 32
    content = to_bytes(pa.table({"mean_bytes": [1]}), key)
    path = folder / "jobs" / f"profiles-{key}-{short_digest(content)}.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    with Store(folder) as store:
        assert store.damaged == [path]
        assert store.profiles == {}


def test_other_files_beside_the_jobs_are_left_alone(tmp_path):
    folder = tmp_path / "result"
    computed(a_study(), folder)
    (folder / "jobs" / "notes.txt").write_text("mine")
    (folder / "jobs" / ".sums-0.parquet.partial").write_text("of a process that was killed")

    assert computed(a_study(), folder) == (0, 0)
    assert (folder / "jobs" / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")

    with pytest.raises(UsageError, match=f"{tmp_path}: exists and is no earlier study"):
        sweep(a_study(), tmp_path)


def test_two_studies_are_not_computed_into_one_folder_at_once(tmp_path):
    with Store(tmp_path), pytest.raises(UsageError, match="is being computed into it"):
        sweep(a_study(), tmp_path)


def test_settings_that_the_guests_own_make_equal_are_computed_once(tmp_path):
    """Whatever is compared, these report at order 0."""
    orders = (Settings(guest=Guest(reporting_order=order)) for order in (0, 9))
    kind = kind_of(*members(2), guest=Guest(reporting_order=0))
    variants = tuple(Variant(settings=settings) for settings in orders)
    study = study_of(kind, hosts=(GIB,), variants=variants)

    assert computed(study, tmp_path / "result") == (2, 2)
    answers = pd.read_parquet(tmp_path / "result" / "together.parquet")
    first, second = (answers[answers["variant"] == number] for number in (1, 2))
    assert first.drop(columns="variant").to_numpy().tolist() == (
        second.drop(columns="variant").to_numpy().tolist()
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_give_the_same_bytes_as_threads(tmp_path, workers):
    threads, processes = tmp_path / "threads", tmp_path / "processes"
    computed(a_study(), threads)

    assert computed(a_study(), processes, workers=workers) == (3, 3)
    assert contents(processes) == contents(threads)


def test_what_a_job_cannot_do_is_said_in_its_own_words(tmp_path):
    """Of a guest nobody asked how free memory lies in blocks, and it was not said either."""
    unknown = members(1)[0]
    unknown.columns["free_huge_pages"][:] = -1
    study = study_of(kind_of(unknown, huge_share=0.5))
    object.__setattr__(study.guests[0], "huge_share", None)  # No study can be made like this.

    with pytest.raises(InputError, match="g0 does not tell how much is free in huge pages"):
        sweep(study, tmp_path / "result")


def test_a_worker_without_room_is_not_taken_for_a_scheduler_that_is_gone(tmp_path, monkeypatch):
    def write_where_there_is_no_room(*_):
        Path("/dev/full").write_bytes(b"recordings")

    monkeypatch.setattr(engine, "compute_profiles", write_where_there_is_no_room)

    with pytest.raises(HostError) as caught:
        sweep(a_study(), tmp_path / "result")

    said = str(caught.value)
    assert said.startswith(f"{tempfile.gettempdir()}: a worker on {platform.node()} cannot use it ")
    assert "(No space left on device); free some room there" in said


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ({"workers": 0}, "workers is 0, expected 1 or more"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "leave out one"),
    ],
)
def test_a_place_to_compute_that_makes_no_sense_is_refused(tmp_path, where, sentence):
    with pytest.raises(UsageError, match=sentence):
        sweep(a_study(), tmp_path / "result", **where)


def test_traces_are_sent_with_all_that_is_in_them(tmp_path):
    """A worker has no folder of ours."""
    trace = read_trace(TRACES / "churn-on.trace")
    host = HostKind(name="host", memory_bytes=8 * GIB)
    (study,) = ask_study(trace, [AS_RECORDED], hosts=[host], seeds=[1]).answers
    threads, processes = tmp_path / "threads", tmp_path / "processes"

    assert computed(study, threads) == (2, 2)
    assert computed(study, processes, workers=1) == (2, 2)

    assert contents(processes) == contents(threads)
    with unpacked(pack([trace])) as (sent,):
        assert sent.path != trace.path
        assert (sent.digest, sent.name) == (trace.digest, trace.name)


def test_a_trace_that_was_made_is_sent_as_it_is_and_not_as_files_of_its_name(tmp_path):
    """What lies where it would be written to is another trace."""
    shutil.copytree(TRACES / "churn-on.trace", tmp_path / "churn-on.trace")
    trace = read_trace(tmp_path / "churn-on.trace")
    events = trace.columns("events")
    kept = {name: values[: values.size // 2] for name, values in events.items()}
    made = Trace(trace.path, trace.manifest, {"events": kept, "state": trace.columns("state")})

    with unpacked(pack([made, trace])) as (sent_made, sent):
        assert sent_made.digest == made.digest == made.files_digest
        assert sent.digest == trace.digest != made.digest


def test_a_trace_that_has_changed_since_it_was_read_is_refused(tmp_path):
    """Its results would be kept as those of what it was."""
    path = tmp_path / "churn-on.trace"
    shutil.copytree(TRACES / "churn-on.trace", path)
    host = HostKind(name="host", memory_bytes=8 * GIB)
    (study,) = ask_study(read_trace(path), [AS_RECORDED], hosts=[host], seeds=[1]).answers
    shutil.rmtree(path)
    shutil.copytree(TRACES / "churn-off.trace", path)

    with pytest.raises(InputError, match=r"churn-on\.trace: has changed since the study was read"):
        sweep(study, tmp_path / "result")


def test_a_trace_whose_discards_are_inhibited_still_reports(tmp_path):
    """What it reports it takes later, so that it touches more than a guest without reporting."""
    (study,) = ask_study(
        read_trace(TRACES / "churn-on.trace"),
        [dataclasses.replace(AS_RECORDED, inhibited_share=1.0)],
        hosts=[HostKind(name="host", memory_bytes=8 * GIB)],
        seeds=[1],
    ).answers
    folder = tmp_path / "result"
    sweep(study, folder)

    together, facts = computed_alone(study)
    for name, expected in (("together", together), ("facts", facts)):
        swept = pd.read_parquet(folder / f"{name}.parquet")
        pd.testing.assert_frame_equal(swept[list(expected)], expected, check_dtype=False)
    peaks = facts.groupby("variant")["peak_bytes"].max()
    assert peaks[1] > peaks[0]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_job_is_no_larger_for_steps_that_are_shorter_than_the_samples(recorded):
    """What comes out counts as what goes in does: a value for each step."""
    seen = [series_needing(1, 2, 1, name=f"g{number}", total_bytes=GIB) for number in range(7)]
    study = study_of(kind_of(*seen, recorded=recorded), hosts=(8 * GIB,), step_ns=600_000)
    timeline = timeline_of(study)
    assert timeline.moments == 300_000

    jobs = Jobs(study, timeline).profile_jobs

    assert [job.batch[1:] for job in jobs[:3]] == [(0, 3), (3, 6), (6, 7)]
    assert all(len(job.rows) * timeline.moments <= VALUES_AT_ONCE for job in jobs)


@pytest.mark.parametrize("samples", [2, 3, 50])
def test_what_sums_are_sent_of_a_guest_tells_when_it_was_seen(samples):
    """All else of its samples is left out, and draws go by nothing else."""
    seen = series_needing(*[1] * samples, start_ns=7, total_bytes=GIB)
    study = study_of(kind_of(seen), hosts=(8 * GIB,))
    (sent,) = outline(study).guests[0].members

    assert span_of(sent) == span_of(seen)
    assert list(sent.columns) == ["time_ns"]
    assert sent.columns["time_ns"].size <= 3


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled")
def test_what_is_compiled_beforehand_is_what_jobs_call():
    """A signature that differed in one array would be compiled once more, in every worker."""
    code = (
        "from tests.study.test_sweep import LATER, members, kind_of, study_of, Variant\n"
        "from workbench.model.guest import run_series\n"
        "from workbench.study.profiles import profile\n"
        "from workbench.study.timeline import timeline_of\n"
        "from workbench.study.work import pack, unpacked, warm_up\n"
        "warm_up()\n"
        "before = list(run_series.signatures)\n"
        "study = study_of(kind_of(*members(1)))\n"
        "slow = Variant(settings=LATER.settings.model_validate("
        "{'guest': {'reporting_order': 9, 'reporting_delay_ns': '5m'}}))\n"
        "with unpacked(pack(study.guests[0].members)) as (sent,):\n"
        "    profile(sent, study.guests[0], slow, timeline_of(study))\n"
        "assert before and run_series.signatures == before, run_series.signatures\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
