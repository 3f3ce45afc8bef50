"""Where the jobs of a study run: in this process, in others of this machine, or on a cluster.

Nothing else knows Dask but `engine`, which hands jobs to the client that this module gives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import workbench
from workbench.errors import HostError, UsageError, WorkbenchError
from workbench.spelling import on_one_line
from workbench.study.lineage import made_here
from workbench.study.work import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from distributed import Client
    from distributed.utils import LoopRunner

_REACHED_WITHIN_S: Final = 10
"""A scheduler that answers at all does so in milliseconds; after this nobody waits any longer."""

_STARTED_WITHIN_S: Final = 120
"""A worker imports what it needs in some five seconds; on a busy machine it takes longer."""

_ENDED_WITHIN_S: Final = 5
"""Then a worker that was told to end is made to."""

_WORKERS_RETURN_WITHIN_S: Final = 30
"""A cluster that restarts its workers has them back by then."""

AGAIN: Final = "what was finished by then is kept, if a folder was named: run this again to go on"
"""Of what can end a study in its midst."""

_LOGGERS: Final = ("distributed", "tornado", "asyncio", "bokeh")
"""And all below them: Dask gives some of those handlers of their own."""

_PROFILE: Final = "distributed.worker.profile.enabled"

_OURS: Final = {
    "distributed.admin.large-graph-warning-threshold": "16 GiB",  # Inputs are sent once, and large.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.diagnostics.computations.nframes": 0,  # Nobody asks which line submitted a job.
    # Nor which line is at work; and to look for it stops a process for ever where garbage is
    # collected just then (sys._current_frames() before Python 3.11.9: python/cpython#106883).
    _PROFILE: False,
}


_NO_PAGES: Final[dict[str, Any]] = {
    "dashboard_address": None,
    "scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
}
"""Dask always serves pages over HTTP: on port 8787 of every interface, if it is not told.  What
listens for us does so on loopback, where anybody who has a login here can reach it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Workers that compute what this process would.

    Attributes
    ----------
    name
        For messages.
    patience_s
        How long to wait, where all workers are gone, for one to come.
    """

    client: Client
    name: str
    patience_s: float

    @property
    def thread_count(self) -> int:
        """How many jobs are done at once."""
        return sum(self.client.nthreads().values())

    @contextlib.contextmanager
    def asked(self) -> Iterator[None]:
        """Say in a sentence what the client raises where the cluster is of no use any more.

        Raises
        ------
        HostError
            The scheduler is gone, or a job ends every worker that tries it.
        """
        from distributed import KilledWorker  # noqa: PLC0415 - it takes a second to import.

        try:
            yield
        except KilledWorker as error:
            raise HostError(
                f"{self.name}: a job ended each of the workers that tried it, most likely for lack "
                f"of memory ({on_one_line(str(error))}); {AGAIN}"
            ) from None
        except (CancelledError, OSError) as error:
            raise self._gone(error) from None
        except Exception as error:
            # A client that has given up has no scheduler to ask, and fails in ways of its own.
            if isinstance(error, WorkbenchError) or self.client.status == "running":
                raise
            raise self._gone(error) from None

    def _gone(self, error: BaseException) -> HostError:
        reason = on_one_line(str(error)) or type(error).__name__
        return HostError(f"{self.name}: the scheduler is gone ({reason}); {AGAIN}")


@contextlib.contextmanager
def open_cluster(*, workers: int | None = None, scheduler: str | None = None) -> Iterator[Cluster]:
    """Give workers: of this process, of this machine or of others.

    Parameters
    ----------
    workers
        So many processes of this machine; None: threads of this process, one for each processor.
    scheduler
        The address of a scheduler of Dask that has workers; then there can be no `workers`.

    Raises
    ------
    UsageError
        Both were given, or no worker.
    HostError
        The scheduler cannot be reached, has no workers, or they have something else installed.
    """
    import dask  # noqa: PLC0415 - it takes a second to import.

    if workers is not None and scheduler is not None:
        raise UsageError("workers of this machine and a scheduler were named; leave out one")
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}, expected 1 or more")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_silence())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workbench-study-")))
        stack.enter_context(dask.config.set({**_OURS, "temporary-directory": str(folder)}))
        if scheduler is not None:
            yield stack.enter_context(_remote(scheduler))
        elif workers is not None:
            client = stack.enter_context(_processes(workers, folder))
            yield Cluster(client, "this machine", 0)
        else:
            yield Cluster(stack.enter_context(_threads()), "this process", 0)


@contextlib.contextmanager
def _threads() -> Iterator[Client]:
    from distributed import Client, LocalCluster  # noqa: PLC0415 - as above.

    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=len(os.sched_getaffinity(0)),
            processes=False,
            **_NO_PAGES,
            worker_dashboard_address="127.0.0.1:0",
            memory_limit=0,  # What is in flight is bounded; this process holds other things too.
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextlib.contextmanager
def _processes(count: int, folder: Path) -> Iterator[Client]:
    """Start workers that hear of no Ctrl-C (we do, and end them), and that end if we vanish."""
    from distributed import Client, LocalCluster  # noqa: PLC0415 - as above.

    warm_up()
    with (
        LocalCluster(
            n_workers=0,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            **_NO_PAGES,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        started: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(count):
                log = folder / f"worker-{number}.log"
                started.append(_start_worker(cluster.scheduler_address, folder, log))
            _wait_for_workers(client, started, folder)
            yield client
        except BaseException:
            for worker in started:
                worker.kill()
            raise
        finally:
            _end(started, lambda: client.close(timeout=_ENDED_WITHIN_S))


def _start_worker(address: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    home = str(Path(workbench.__file__).resolve().parent.parent)
    paths = [home, os.environ.get("PYTHONPATH", "")]
    options = {
        "--host": "127.0.0.1",
        "--dashboard-address": "127.0.0.1:0",
        "--nthreads": "1",
        "--memory-limit": "0",
        "--local-directory": str(folder),
        "--death-timeout": str(_STARTED_WITHIN_S),
    }
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "distributed.cli.dask_worker", address),
                *("--no-nanny", "--no-dashboard"),
                *(word for option in options.items() for word in option),
            ],
            # What a worker that is killed leaves behind is in our folder, and goes with it.
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "TMPDIR": str(folder),
                f"DASK_{_PROFILE.replace('.', '__').upper()}": "False",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_for_workers(
    client: Client, started: Sequence[subprocess.Popen[bytes]], folder: Path
) -> None:
    """Wait until all are there, as long as all are alive.

    Raises
    ------
    HostError
        One ended, or it takes too long.
    """
    for _ in range(_STARTED_WITHIN_S):
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(len(started), timeout=1)
            return
        if any(worker.poll() is not None for worker in started):
            break
    logs = [log.read_text("utf-8", "replace") for log in sorted(folder.glob("worker-*.log"))]
    last = next((text.strip().splitlines()[-1] for text in logs if text.strip()), "it said nothing")
    raise HostError(
        f"a worker process did not start ({on_one_line(last)}); if memory is short, try fewer "
        "with --workers"
    )


def _end(started: Sequence[subprocess.Popen[bytes]], tell: Callable[[], None]) -> None:
    """Tell workers that it is over, and wait until they are gone."""
    with contextlib.suppress(Exception):
        tell()
    for worker in started:
        worker.terminate()
    for worker in started:
        try:
            worker.wait(_ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


@contextlib.contextmanager
def _remote(address: str) -> Iterator[Cluster]:
    from distributed import Client  # noqa: PLC0415 - as above.

    shown = on_one_line(address)
    with _loop() as runner:
        try:
            _knock(runner, address)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # That versions differ is said below.
                client = Client(
                    address, timeout=_REACHED_WITHIN_S, set_as_default=False, loop=runner.loop
                )
        except (OSError, ValueError, ImportError, TimeoutError) as error:
            reason = on_one_line(str(error)) or type(error).__name__
            raise HostError(
                f"{shown}: no scheduler of Dask can be reached there ({reason}), expected an "
                "address such as tcp://10.0.0.1:8786; `dask scheduler` prints it"
            ) from None
        cluster = Cluster(client, shown, _WORKERS_RETURN_WITHIN_S)
        try:
            with cluster.asked():
                _check_workers(client, shown)
            yield cluster
        finally:
            # What is to be said of a scheduler that is gone has been said.
            with contextlib.suppress(Exception):
                client.close()


@contextlib.contextmanager
def _loop() -> Iterator[LoopRunner]:
    """Give a loop for a client, which tells nobody what its futures hold that nobody asked for.

    That would be told when they are collected: whenever that is, and at the latest at the end.
    """
    from distributed.utils import LoopRunner  # noqa: PLC0415 - as above.

    runner = LoopRunner()
    runner.start()
    runner.loop.asyncio_loop.set_exception_handler(lambda *_: None)
    try:
        yield runner
    finally:
        runner.stop()


def _knock(runner: LoopRunner, address: str) -> None:
    """Find out whether a scheduler answers, for a client would wait for its first word for ever."""
    from distributed.comm.core import connect  # noqa: PLC0415 - as above.
    from distributed.security import Security  # noqa: PLC0415 - likewise.

    async def knock() -> None:
        secrets = Security().get_connection_args("client")
        talk = await asyncio.wait_for(connect(address, **secrets), _REACHED_WITHIN_S)
        talk.abort()

    runner.run_sync(knock)


def _check_workers(client: Client, shown: str) -> None:
    """Refuse workers that would compute something else.

    Raises
    ------
    HostError
        There are none, or one has another version of what decides about results.
    """
    if not client.nthreads():
        raise HostError(
            f"{shown}: the scheduler has no workers; start some with `dask worker {shown}`"
        )
    ours = made_here()
    for worker, theirs in sorted(client.run(made_here, on_error="return").items()):
        if isinstance(theirs, Exception):
            text = on_one_line(str(theirs))
            raise HostError(
                f"{shown}: worker {worker} has no workbench like this one ({text}); install the "
                "same version there"
            )
        for name, value in ours.items():
            if theirs.get(name) != value:
                raise HostError(
                    f"{shown}: worker {worker} has {name} {theirs.get(name)}, expected {value} as "
                    "here; install the same versions there"
                )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to ourselves what Dask logs: what matters of it is raised, in sentences."""
    import distributed  # noqa: F401, PLC0415 - it sets up its loggers when it is imported.

    known = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]
    loggers = [logging.getLogger(name) for name in (*_LOGGERS, *known)]
    before = [(logger, logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for logger, handlers, propagates in before:
            logger.handlers, logger.propagate = handlers, propagates
