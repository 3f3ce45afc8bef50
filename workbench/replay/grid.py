"""Many settings of one trace, on all processors."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from workbench.errors import UsageError
from workbench.progress import told
from workbench.replay.door import Replay, replay
from workbench.replay.question import as_captured
from workbench.spelling import checks_names
from workbench.trace import require_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.replay.settings import Settings
    from workbench.trace import Trace


@checks_names
def replay_all(
    trace: Trace,
    settings: Iterable[Settings],
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | bool = True,
) -> list[Replay]:
    """Replay `trace` with each of these settings: read and replayed as captured only once.

    Parameters
    ----------
    workers
        Threads; by default one for each processor.  Kernels run beside each other, and are compiled
        by whoever needs one first.
    progress
        Whether to show on a terminal or in a notebook, after a second, how many are done; or what
        is called with 1 after each.

    Returns
    -------
    The replays, in the order of the settings, whatever the workers.

    Raises
    ------
    UnanswerableError
        The trace cannot answer for one of them: the first such one.
    UsageError
        There is no worker.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}, expected 1 or more")
    require_trace(trace)
    asked, runs = list(settings), []
    threads = workers or len(os.sched_getaffinity(0))
    with (
        told("replays", len(asked), progress=progress) as count,
        ThreadPoolExecutor(threads) as pool,
    ):
        as_captured(trace)
        tasks = [pool.submit(replay, trace, settings=each, progress=False) for each in asked]
        try:
            for task in tasks:
                runs.append(task.result())
                count(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return runs
