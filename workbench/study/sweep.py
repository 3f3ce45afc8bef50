"""Compute a study: what is missing of it, into a folder that keeps what was computed before."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.measure import RESULT_NAME
from workbench.progress import counting
from workbench.study.answers import answers
from workbench.study.cluster import open_cluster
from workbench.study.engine import Missing, MissingSwaps, run_jobs
from workbench.study.jobs import Jobs
from workbench.study.store import KINDS, ROW_KEY, Store, from_bytes
from workbench.study.swap_jobs import limit_questions, swap_io, swap_jobs, swap_questions
from workbench.study.swap_limit import fitting_by_memory
from workbench.study.timeline import timeline_of
from workbench.whole_file import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pandas as pd

    from workbench.study.cluster import Cluster
    from workbench.study.study import Study
    from workbench.study.swap_jobs import SwapIO, SwapQuestion
    from workbench.study.timeline import Timeline

    Counting = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

TOGETHER_NAME: Final = "together.parquet"
"""What the first guest, the first two, ... need together: under each variant, for each seed."""

FACTS_NAME: Final = "facts.parquet"
"""What can be said of each guest alone, under each variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What was computed, and what was there already.

    Attributes
    ----------
    folder
        Where all of it is.
    done, kept
        How many jobs of each kind (`profiles`, `sums`, `swaps`) were done now, and how many of what
        they give an earlier study had left that this one has use for.
    answers
        As `workbench.study.answers.answers` gives them.
    swap_in_guests
        How many guests keep the limit of what is read back from swap, as that takes it.
    swap
        What guests swap, page by page.
    damaged
        Files of jobs that were not used, as they are not what their name says.
    """

    folder: Path
    timeline: Timeline
    done: Mapping[str, int]
    kept: Mapping[str, int]
    answers: pd.DataFrame
    swap_in_guests: Mapping[tuple[int, int], int] | None
    swap: SwapIO
    damaged: tuple[Path, ...]


def sweep(
    study: Study,
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    counting: Counting = counting,
) -> Sweep:
    """Compute what is missing of a study, and write what all of it adds up to.

    Parameters
    ----------
    folder
        Of this study, or of an earlier one of which something may be of use; it may be new.
    workers, scheduler
        See `open_cluster`.
    counting
        Makes, of what is counted and how many there are, what is called with 1 after each.

    Raises
    ------
    InputError
        A guest does not tell what the study asks for.
    UnidentifiableError
        A trace cannot answer for what is compared.
    UsageError
        There is something else in the folder, or another process is at work on it.
    HostError
        There are no workers, or not any more: what was finished is kept.
    """
    with Store(folder) as store:
        return sweep_into(store, study, workers=workers, scheduler=scheduler, counting=counting)


def sweep_into(
    store: Store,
    study: Study,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    counting: Counting = counting,
) -> Sweep:
    """Compute what is missing, as `sweep` does, into a folder that nobody else has meanwhile."""
    folder = store.folder.parent
    timeline = timeline_of(study)
    jobs = Jobs(study, timeline)
    done: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        # Opened for the first job, if there is one, and for all.
        cluster = functools.cache(
            lambda: stack.enter_context(open_cluster(workers=workers, scheduler=scheduler))
        )

        def ask(questions: Mapping[tuple[int, int], tuple[SwapQuestion, ...]]) -> None:
            asked = swap_jobs(study, questions)
            kept["swaps"] += sum(each.key in store.swaps for job in asked for each in job.questions)
            done.update(_run(MissingSwaps(study, asked, store), store, cluster, counting))

        kept = _kept(jobs, store)
        done += _run(Missing(study, timeline, jobs, store), store, cluster, counting)
        # The answer that is there was of other sums, or will be written again.
        (folder / RESULT_NAME).unlink(missing_ok=True)
        _write(_together(jobs, store), folder / TOGETHER_NAME)
        _write(_facts(jobs, store), folder / FACTS_NAME)
        together, facts = (
            pq.read_table(folder / name).to_pandas() for name in (TOGETHER_NAME, FACTS_NAME)
        )
        guests: dict[tuple[int, int], int] | None = None
        if study.limit.swap_in_pages_per_second is not None:
            limits = limit_questions(study, fitting_by_memory(study, together))
            ask({where: (each,) for where, each in limits.items()})
            guests = {where: _swap(store, each)["guests"] for where, each in limits.items()}
        found = answers(study, together, facts, swap_in_guests=guests)
        ask(swap_questions(study, found)[0])
        swap = swap_io(study, found, functools.partial(_swap, store))
    return Sweep(
        folder=folder,
        timeline=timeline,
        done={kind: done[kind] for kind in KINDS},
        kept=kept,
        answers=found,
        swap_in_guests=guests,
        swap=swap,
        damaged=tuple(store.damaged),
    )


def _run(
    missing: Missing | MissingSwaps,
    store: Store,
    cluster: Callable[[], Cluster],
    counting: Counting,
) -> Counter[str]:
    """Do what is missing, if anything is, and count it by kind."""
    if missing.tasks:
        there = cluster()
        with counting("jobs", len(missing.tasks)) as count:
            run_jobs(missing, there, store, count)
    return Counter(task.kind for task in missing.tasks)


def _kept(jobs: Jobs, store: Store) -> dict[str, int]:
    """Count what is there already of profiles and sums."""
    profiles = {key for job in jobs.sum_jobs for key in job.all_keys}
    sums = {key for job in jobs.sum_jobs for _, key in job.seeds}
    return {
        "profiles": sum(key in store.profiles for key in profiles),
        "sums": sum(key in store.sums for key in sums),
        "swaps": 0,
    }


def _swap(store: Store, question: SwapQuestion) -> dict[str, Any]:
    _, table = from_bytes(store.swaps[question.key].read_bytes())
    record: dict[str, Any]
    (record,) = table.to_pylist()
    return record


def _together(jobs: Jobs, store: Store) -> Iterator[pa.Table]:
    """Go through the sums of each variant and seed, in the study's order."""
    for number, job in enumerate(jobs.sum_jobs):
        for _, key in job.seeds:
            _, table = from_bytes(store.sums[key].read_bytes())
            yield _of_variant(number, table)


def _facts(jobs: Jobs, store: Store) -> Iterator[pa.Table]:
    """Go through the facts of each variant, kind and member, in the study's order."""
    facts: dict[str, dict[str, Any]] = {}
    for kept in {id(kept): kept for kept in store.profiles.values()}.values():
        facts.update((row.pop(ROW_KEY), row) for row in kept.about.to_pylist())
    for number, job in enumerate(jobs.sum_jobs):
        rows = [
            {"kind": kind, "member": member, "inhibited": inhibited, **facts[key]}
            for inhibited, keys in ((False, job.keys), (True, job.keys_inhibited or ()))
            for kind, members in enumerate(keys)
            for member, key in enumerate(members)
        ]
        yield _of_variant(number, pa.Table.from_pylist(rows))


def _of_variant(number: int, table: pa.Table) -> pa.Table:
    column = pa.array([number] * table.num_rows, pa.int64())
    return table.replace_schema_metadata().add_column(0, "variant", column)


def _write(parts: Iterator[pa.Table], path: Path) -> None:
    """Write a file part by part, none of which is in memory for longer."""
    first = next(parts)
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, first.schema, compression="zstd") as file,
    ):
        for part in itertools.chain([first], parts):
            file.write_table(part)
