"""Do the jobs of a study that are missing, on whatever Dask has, and keep each as it is finished.

At any time a few jobs for each thread are under way, and what they need and what they gave is held
by the workers, packed.  What is not needed any more is let go at once, here and there.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections import Counter
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from workbench.errors import HostError
from workbench.study.cluster import AGAIN
from workbench.study.lineage import key_of, made_here, member_content
from workbench.study.work import (
    ProfileRequest,
    Refusal,
    SumRequest,
    SwapRequest,
    answer,
    compute_profiles,
    compute_sums,
    compute_swaps,
    outline,
    pack,
    supply,
    without_members,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from distributed import Future

    from workbench.study.cluster import Cluster
    from workbench.study.jobs import Jobs, ProfileJob, SumJob
    from workbench.study.store import Store
    from workbench.study.study import Study
    from workbench.study.swap_jobs import SwapJob
    from workbench.study.timeline import Timeline
    from workbench.trace import GuestSeries, Trace

_JOBS_PER_THREAD: Final = 4
"""Under way at once: so that no thread waits for us while another's result is written."""

_LOOKS_EVERY_S: Final = 1.0
"""While nothing is finished: how often is looked whether there is anybody to wait for."""

_Found = TypeVar("_Found")


class Task(NamedTuple):
    """Something that is submitted: a job, or what jobs need.

    Attributes
    ----------
    name
        Names it on the cluster: who asks for the same gets the same.
    given
        Makes what `work` is called with, when the task is submitted and not before.
    needs
        Names of the tasks whose results `work` is given besides.
    keys
        Under which its results are kept: none for what is there already.
    """

    name: str
    kind: str
    work: Callable[..., object]
    given: Callable[[], object]
    needs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class Missing:
    """What of a study is not in a store yet: its profiles and sums.

    Attributes
    ----------
    tasks
        The jobs to do, in order; what one needs comes before it.
    supplies
        What they need and is there already, by name.
    """

    def __init__(self, study: Study, timeline: Timeline, jobs: Jobs, store: Store) -> None:
        self._study = study
        self._timeline = timeline
        self._store = store
        self.supplies: dict[str, Task] = {}
        self.tasks: list[Task] = []
        made_by = {key: self._kept(store.profiles[key].path) for key in store.profiles}
        to_do: dict[str, Task] = {}
        for job in jobs.profile_jobs:
            rows = tuple(row for row in job.rows if row[1] not in store.profiles)
            if rows:
                task = self._profile_task(job._replace(rows=rows))
                to_do[task.name] = task
                made_by.update((key, task.name) for _, key in rows)
        self._outline = outline(study)
        known = set(store.sums)  # Variants that differ in nothing for these guests share sums.
        for each in jobs.sum_jobs:
            needs = tuple(dict.fromkeys(made_by[key] for key in each.all_keys))
            self.tasks += [to_do.pop(name) for name in needs if name in to_do]
            seeds = tuple(seed for seed in each.seeds if seed[1] not in known)
            known.update(key for _, key in seeds)
            if seeds:
                self.tasks.append(self._sum_task(each._replace(seeds=seeds), needs))

    def _kept(self, path: Path) -> str:
        name = f"kept-{path.stem}"
        self.supplies.setdefault(name, Task(name, "kept", supply, path.read_bytes))
        return name

    def _profile_task(self, job: ProfileJob) -> Task:
        kind = self._study.guests[job.batch.kind]
        members = job.batch.members(self._study)
        source = recordings_task(members)
        self.supplies.setdefault(source.name, source)
        key = key_of(job.rows)
        request = ProfileRequest(key, without_members(kind), job.variant, self._timeline, job.rows)
        name = f"profiles-{key}"
        return Task(name, "profiles", compute_profiles, lambda: request, (source.name,), (key,))

    def _sum_task(self, job: SumJob, needs: tuple[str, ...]) -> Task:
        request = SumRequest(
            self._outline,
            self._timeline,
            job.variant.inhibited_share,
            job.seeds,
            job.keys,
            job.keys_inhibited,
        )
        keys = tuple(key for _, key in job.seeds)
        return Task(f"sums-{key_of(keys)}", "sums", compute_sums, lambda: request, needs, keys)


class MissingSwaps:
    """What of the answers about swap is not in a store yet.

    Attributes
    ----------
    tasks, supplies
        As in `Missing`.
    """

    def __init__(self, study: Study, jobs: Sequence[SwapJob], store: Store) -> None:
        sources = [recordings_task([member]) for kind in study.guests for member in kind.members]
        self.supplies = {source.name: source for source in sources}
        self.tasks: list[Task] = []
        needs = tuple(source.name for source in sources)
        for job in jobs:
            missing = tuple(each for each in job.questions if each.key not in store.swaps)
            if missing:
                request = SwapRequest(outline(study), job.variant, missing)
                keys = tuple(each.key for each in missing)
                name = f"swaps-{key_of(keys)}"
                given = partial(_same, request)
                self.tasks.append(Task(name, "swaps", compute_swaps, given, needs, keys))


def recordings_task(members: Sequence[GuestSeries | Trace]) -> Task:
    """Make what sends recordings, packed."""
    name = f"recordings-{key_of([member_content(member) for member in members])}"
    return Task(name, "recordings", supply, partial(pack, members))


def _same(request: SwapRequest) -> SwapRequest:
    return request


def run_jobs(
    missing: Missing | MissingSwaps, cluster: Cluster, store: Store, count: Callable[[int], None]
) -> None:
    """Do what is missing, and keep each job's result as soon as it is there.

    Parameters
    ----------
    count
        Called with 1 after each.

    Raises
    ------
    WorkbenchError
        What a job cannot do.
    HostError
        All workers are gone, or a job ends every worker that tries it.
    """
    flow = _Flow(missing, cluster)
    for task in missing.tasks:
        while flow.is_full:
            _keep(*flow.next_result(), store, count)
        flow.submit(task)
    while flow.is_busy:
        _keep(*flow.next_result(), store, count)


def _keep(task: Task, result: object, store: Store, count: Callable[[int], None]) -> None:
    contents = result if isinstance(result, list) else [result]
    for key, content in zip(task.keys, contents, strict=True):
        store.keep(task.kind, key, content)
    count(1)


class _Flow:
    """Jobs on their way: submitted in order, finished in any."""

    def __init__(self, missing: Missing | MissingSwaps, cluster: Cluster) -> None:
        self._supplies = missing.supplies
        self._uses = Counter(name for task in missing.tasks for name in task.needs)
        self._cluster = cluster
        self._made = made_here()
        self._futures: dict[str, Future[Any]] = {}
        self._pending: dict[str, Task] = {}
        self._finished: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._submitted = 0
        self._most = _JOBS_PER_THREAD * max(self._thread_count(), 1)

    @property
    def is_full(self) -> bool:
        """Whether as many are under way as should be."""
        return len(self._pending) >= self._most

    @property
    def is_busy(self) -> bool:
        """Whether any is under way."""
        return bool(self._pending)

    def submit(self, task: Task) -> None:
        """Send a job, and what it needs that was not sent before."""
        for name in task.needs:
            if name not in self._futures:
                self._send(self._supplies[name])
        self._pending[task.name] = task
        future = self._send(task)
        with self._cluster.asked():
            future.add_done_callback(self._finished.put)

    def _send(self, task: Task) -> Future[Any]:
        needs = [self._futures[name] for name in task.needs]
        self._submitted += 1
        given = task.given()
        with self._cluster.asked():
            future = self._cluster.client.submit(
                answer,
                *(self._made, task.work, given, *needs),
                key=task.name,
                priority=-self._submitted,
            )
        self._futures[task.name] = future
        return future

    def next_result(self) -> tuple[Task, object]:
        """Wait for the next job that is finished, let go what nobody needs, and give its result."""
        future = self._patiently(self._next_finished)
        task = self._pending.pop(str(future.key))
        result = self._result(future)
        if isinstance(result, Refusal):
            raise result.error()
        for name in task.needs:
            self._uses[name] -= 1
        for name in (*task.needs, task.name):
            if not self._uses[name]:
                self._futures.pop(name, None)
        return task, result

    def _next_finished(self) -> Future[Any] | None:
        try:
            return self._finished.get(timeout=_LOOKS_EVERY_S)
        except queue.Empty:
            return None

    def _result(self, future: Future[Any]) -> object:
        """Fetch a result, which is computed again first if all who had it have died.

        It is asked for once, and waited for as often as it takes: an attempt that was given up
        after a while would never succeed where results are large and the way is slow.
        """
        client = self._cluster.client
        with self._cluster.asked():
            loop: Any = client.loop
            fetched = asyncio.run_coroutine_threadsafe(
                client.gather(future, asynchronous=True), loop.asyncio_loop
            )
        try:
            self._patiently(lambda: wait([fetched], timeout=_LOOKS_EVERY_S).done or None)
            with self._cluster.asked():
                return fetched.result()
        finally:
            fetched.cancel()

    def _patiently(self, look: Callable[[], _Found | None]) -> _Found:
        """Look for something again and again, as long as there is anybody who may give it."""
        alone_since_s: float | None = None
        while (found := look()) is None:
            if self._thread_count():
                alone_since_s = None
                continue
            now_s = time.monotonic()
            alone_since_s = now_s if alone_since_s is None else alone_since_s
            if now_s - alone_since_s >= self._cluster.patience_s:
                raise HostError(
                    f"{self._cluster.name}: all workers are gone; if memory was short there, try "
                    f"fewer of them; {AGAIN}"
                )
        return found

    def _thread_count(self) -> int:
        with self._cluster.asked():
            return self._cluster.thread_count
