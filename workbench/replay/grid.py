"""Many settings of one trace, on all processors."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from workbench.errors import UsageError
from workbench.replay.door import Replay, replay
from workbench.replay.question import as_captured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.replay.settings import Settings
    from workbench.trace import Trace


def replay_all(
    trace: Trace,
    settings: Iterable[Settings],
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Replay]:
    """Replay `trace` with each of these settings: read and replayed as captured only once.

    Parameters
    ----------
    workers
        Threads; by default one for each processor.  Kernels run beside each other, and are compiled
        by whoever needs one first.
    progress
        Told how many are done, after each.

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
    as_captured(trace)
    runs = []
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        try:
            for task in [pool.submit(replay, trace, settings=each) for each in settings]:
                runs.append(task.result())
                if progress is not None:
                    progress(len(runs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return runs
