"""Studies on a real cluster: the same bytes, whoever dies; and clusters that are of no use."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time

import numpy as np
import pytest
from distributed import Client

from tests.study.dask_cluster import ROOT, scheduler, wait_for, workers
from tests.study.made_studies import GIB, kind_of, series_needing, study_of
from tests.study.test_sweep import a_study, contents
from workbench.errors import HostError
from workbench.replay import Guest, Settings
from workbench.study import cluster, engine
from workbench.study.study import Variant
from workbench.study.sweep import sweep
from workbench.study.work import pack


def long_study():
    """Whose jobs take long enough for somebody to die in the midst of them."""
    random = np.random.default_rng(1)
    kinds = [
        kind_of(
            *(
                series_needing(*random.integers(1, GIB, 20_000), name=f"g{number}", total_bytes=GIB)
                for number in range(4)
            ),
            name=f"kind {kind}",
        )
        for kind in range(4)
    ]
    variants = [
        Variant(settings=Settings(guest=Guest(reporting_order=9, reporting_delay_ns=delay)))
        for delay in ("1ms", "10ms", "100ms", "1s")
    ]
    return study_of(*kinds, hosts=(8 * GIB,), variants=variants, seeds=(1, 2))


def test_a_worker_that_is_killed_in_the_midst_of_a_study_changes_nothing(tmp_path, monkeypatch):
    """Not the result, and not that recordings are sent once, however many jobs ask for them."""
    study, alone, together = long_study(), tmp_path / "alone", tmp_path / "together"
    sweep(study, alone)
    killed, packed = [], []

    def packing(members):
        packed.append(len(members))
        return pack(members)

    monkeypatch.setattr(engine, "pack", packing)

    @contextlib.contextmanager
    def counting(_, total):
        assert total == 25
        yield kill_one_that_works

    def kill_one_that_works(_):
        busy = [worker for worker, tasks in client.processing().items() if tasks]
        if not killed and busy:
            os.kill(pids[busy[0]], signal.SIGKILL)
            killed.append(busy[0])

    with (
        scheduler(tmp_path) as address,
        workers(address, tmp_path, 2),
        Client(address, set_as_default=False) as client,
    ):
        pids = client.run(os.getpid)
        made = sweep(study, together, scheduler=address, counting=counting)
        left = list(client.nthreads())

    assert made.done == {"profiles": 20, "sums": 5, "swaps": 0}
    assert packed == [4] * 4
    assert len(killed) == 1
    assert killed[0] not in left
    assert contents(together) == contents(alone)


@pytest.mark.parametrize("workers", [None, 1])
def test_no_worker_of_ours_looks_which_line_is_at_work(workers):
    """That can stop a process for ever (python/cpython#106883)."""
    with cluster.open_cluster(workers=workers) as opened:
        callbacks = opened.client.run(lambda dask_worker: set(dask_worker.periodic_callbacks))

    assert len(callbacks) == 1
    assert all(
        names and not any("profile" in name for name in names) for names in callbacks.values()
    )


def refused(tmp_path, address):
    """What is said of a cluster that is of no use, after how long."""
    begun_s = time.monotonic()
    with pytest.raises(HostError) as caught:
        sweep(a_study(), tmp_path / "result", scheduler=address)
    return str(caught.value), time.monotonic() - begun_s


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "nonsense", "ftp://a:1"])
def test_a_scheduler_that_is_not_there_is_named_in_a_sentence(tmp_path, monkeypatch, address):
    monkeypatch.setattr(cluster, "_REACHED_WITHIN_S", 1)
    said, seconds = refused(tmp_path, address)

    assert said.startswith(f"{address}: no scheduler of Dask can be reached there (")
    assert "expected an address such as tcp://" in said
    assert "\n" not in said
    assert seconds < 10


def test_something_else_that_listens_is_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_REACHED_WITHIN_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        said, seconds = refused(tmp_path, f"tcp://127.0.0.1:{server.getsockname()[1]}")

    assert "no scheduler of Dask can be reached there" in said
    assert seconds < 10


def test_a_cluster_without_workers_is_refused(tmp_path):
    with scheduler(tmp_path) as address:
        said, _ = refused(tmp_path, address)

    assert said.startswith(f"{address}: the scheduler has no workers; start some with")


def test_workers_with_another_version_are_refused(tmp_path):
    """Their results would be others, and nobody would know."""
    other = tmp_path / "other"
    shutil.copytree(ROOT / "workbench", other / "workbench")
    with (other / "workbench" / "study" / "together.py").open("a") as source:
        source.write("\n_CHANGED = 1\n")

    with scheduler(tmp_path) as address, workers(address, tmp_path, 1, pythonpath=other):
        said, _ = refused(tmp_path, address)

    assert ": worker tcp://127.0.0.1:" in said
    assert " has sources " in said
    assert "as here; install the same versions there" in said


def test_workers_without_a_workbench_are_refused(tmp_path):
    other = tmp_path / "other" / "workbench"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('nothing here')")

    with scheduler(tmp_path) as address, workers(address, tmp_path, 1, pythonpath=other.parent):
        said, _ = refused(tmp_path, address)

    assert "has no workbench like this one (ImportError('nothing here'))" in said


def results_held(client):
    """How many jobs are finished, whose results workers have."""
    kinds = ("profiles-", "sums-")
    return sum(key.startswith(kinds) for key, holders in client.who_has().items() if holders)


def test_a_cluster_that_loses_all_workers_is_not_waited_for(tmp_path, monkeypatch):
    """What was finished is kept, and is not computed again."""
    monkeypatch.setattr(cluster, "_WORKERS_RETURN_WITHIN_S", 1)
    study, folder = long_study(), tmp_path / "result"

    with (
        scheduler(tmp_path) as address,
        workers(address, tmp_path, 2) as processes,
        Client(address, set_as_default=False) as client,
    ):

        @contextlib.contextmanager
        def counting(_, total):
            assert total == 25
            yield kill_all

        def kill_all(_):
            """With all that is under way finished, and results that nobody else has."""
            under_way = len(processes) * engine._JOBS_PER_THREAD
            wait_for(lambda: results_held(client) == under_way, "not all was finished")
            for process in processes:
                process.kill()
                process.wait()

        with pytest.raises(HostError, match="all workers are gone") as caught:
            sweep(study, folder, scheduler=address, counting=counting)

    assert "run this again to go on" in str(caught.value)
    done = sweep(study, folder).done
    assert 0 < sum(done.values()) < 25


def test_a_scheduler_that_vanishes_is_not_waited_for(tmp_path):
    with contextlib.ExitStack() as stack:
        gone = contextlib.ExitStack()
        address = gone.enter_context(scheduler(tmp_path))
        stack.enter_context(workers(address, tmp_path, 1))

        @contextlib.contextmanager
        def counting(*_):
            yield lambda _: gone.close()

        with pytest.raises(HostError, match="the scheduler is gone"):
            sweep(long_study(), tmp_path / "result", scheduler=address, counting=counting)


def test_a_scheduler_that_vanishes_before_it_is_asked_who_works_is_said_to_be_gone(
    tmp_path, monkeypatch
):
    """Each look for results may be followed by that question."""
    monkeypatch.setattr(cluster, "_REACHED_WITHIN_S", 1)
    monkeypatch.setattr(engine, "_LOOKS_EVERY_S", 0.01)
    asked = []
    thread_count = cluster.Cluster.thread_count.fget

    with contextlib.ExitStack() as stack:
        gone = contextlib.ExitStack()
        address = gone.enter_context(scheduler(tmp_path))
        stack.enter_context(workers(address, tmp_path, 1))

        def asking(self):
            asked.append(1)
            if len(asked) == 3:
                gone.close()
            return thread_count(self)

        monkeypatch.setattr(cluster.Cluster, "thread_count", property(asking))
        with pytest.raises(HostError, match="the scheduler is gone") as caught:
            sweep(long_study(), tmp_path / "result", scheduler=address)

    assert len(asked) == 3
    assert "run this again to go on" in str(caught.value)
