"""What a study asks of swap, page by page: how many guests keep its limit, and what so many swap.

Both are *swap jobs*: guests of traces on one host, under one variant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.spelling import on_one_line
from workbench.study.lineage import key_of, swaps_content
from workbench.study.rules import MOST_GUESTS
from workbench.study.swap import HostSwap, swap_frame
from workbench.trace import Trace
from workbench.units import GIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

    from workbench.study.study import HostKind, Study, Variant

SEEDS_MOST: Final = 2
"""Draws of which it is said what they swap: two take ten seconds of a processor for a host of 6 GiB
and guests like the one of churn-order0, up to 40 of them."""

RAM_BYTES_MOST: Final = 256 * GIB
"""Of all guests that are followed together: their pages take 1.6 GB then."""

ONCE: Final = (
    "swap: each guest does once what was recorded, from a moment of its own on, and keeps what it "
    "ends with"
)

UNSEEN: Final = "swap: accesses were not recorded, so what comes back from swap is at least so much"

_NAMED: Final = ("host", "variant")
"""What of a row may be called otherwise in another study."""

_NOTES: Final = "notes"


class SwapQuestion(NamedTuple):
    """What is asked of guests on one host.

    Attributes
    ----------
    key
        Of the answer.
    most
        How many keep the limit of what is read back, if as many are looked at; or None, then:
    guests, seed
        What so many of this draw swap.
    """

    key: str
    host: HostKind
    most: int | None = None
    guests: int = 0
    seed: int = 0


class SwapJob(NamedTuple):
    """Answer some questions about the guests of a study under one variant."""

    variant: Variant
    questions: tuple[SwapQuestion, ...]


class SwapIO(NamedTuple):
    """What a study says of swap.

    Attributes
    ----------
    rows
        As `swap_frame`.
    notes
        What that leaves open, and what was not asked: a sentence each.
    """

    rows: pd.DataFrame
    notes: tuple[str, ...]


def limit_questions(
    study: Study, most: Mapping[tuple[int, int], int]
) -> dict[tuple[int, int], SwapQuestion]:
    """Ask how many guests keep the limit, by host and variant (indexes).

    Parameters
    ----------
    most
        How many are looked at.
    """
    found = {}
    for (place, number), count in most.items():
        host = study.hosts[place]
        asked = {
            "seeds": list(study.seeds),
            "limit": study.limit.swap_in_pages_per_second,
            "most": count,
        }
        key = key_of(swaps_content(study, study.variants[number], host, asked))
        found[place, number] = SwapQuestion(key, host, most=count)
    return found


def swap_questions(
    study: Study, answers: pd.DataFrame
) -> tuple[dict[tuple[int, int], tuple[SwapQuestion, ...]], tuple[str, ...]]:
    """Ask what guests swap without reporting and under the variant with which most fit.

    Parameters
    ----------
    answers
        The frame of that name.

    Returns
    -------
    By host and variant (indexes): as many guests as fit without reporting, as with it, and a
    quarter more, in each of the first draws.  Nothing of hosts without swap, and nothing at all if
    any guest is a series.  And a sentence for each thing that was not asked.
    """
    found: dict[tuple[int, int], tuple[SwapQuestion, ...]] = {}
    notes: list[str] = []
    of_traces = all(isinstance(each, Trace) for kind in study.guests for each in kind.members)
    for place, host in enumerate(study.hosts):
        if host.swap is None or not of_traces:
            continue
        guests = answers.loc[answers["host"] == host.name, "guests"].tolist()
        # Of those under which as many fit, what is named first; no reporting is before all of them.
        compared = guests[1:]
        numbers = [0, 1 + compared.index(max(compared))] if compared else [0]
        counts = _counts(guests)
        fitting = [count for count in counts if count * _ram_bytes(study) <= RAM_BYTES_MOST]
        if len(fitting) < len(counts):
            notes.append(
                f"swap: {counts[len(fitting)]:,} guests and more on {on_one_line(host.name)} were "
                f"not followed page by page, as they have more than {format_bytes(RAM_BYTES_MOST)} "
                "of RAM together"
            )
        for number in numbers:
            variant = study.variants[number]
            found[place, number] = tuple(
                _question(study, variant, host, count, seed)
                for seed in study.seeds[:SEEDS_MOST]
                for count in fitting
            )
    if found and len(study.seeds) > SEEDS_MOST:
        notes.append(f"swap: of the first {SEEDS_MOST} of {len(study.seeds):,} draws")
    return found, tuple(notes)


def swap_jobs(
    study: Study, questions: Mapping[tuple[int, int], tuple[SwapQuestion, ...]]
) -> list[SwapJob]:
    """Make a job for each host and variant (indexes) of which something is asked."""
    return [
        SwapJob(study.variants[number], asked) for (_, number), asked in questions.items() if asked
    ]


def swap_record(row: HostSwap | None, notes: tuple[str, ...]) -> dict[str, Any]:
    """Give an answer as it is kept: without names; no row where there is a sentence why not."""
    kept = {} if row is None else row._asdict()
    return {
        **{name: kept.get(name) for name in HostSwap._fields if name not in _NAMED},
        _NOTES: list(notes),
    }


def swap_io(
    study: Study,
    answers: pd.DataFrame,
    answer_of: Callable[[SwapQuestion], dict[str, Any]],
) -> SwapIO:
    """Put together what was answered.

    Parameters
    ----------
    answer_of
        Gives what `swap_record` made.
    """
    questions, unasked = swap_questions(study, answers)
    rows: list[HostSwap] = []
    notes: list[str] = []
    for (place, number), asked in questions.items():
        for question in asked:
            record = answer_of(question)
            notes += record.pop(_NOTES)
            if record["guests"] is not None:
                host, label = study.hosts[place].name, study.variants[number].label
                rows.append(HostSwap(host=host, variant=label, **record))
    said = [ONCE] if rows else []
    if rows and any(each.manifest.access_interval_ns is None for each in _traces(study)):
        said.append(UNSEEN)
    return SwapIO(swap_frame(rows), tuple(dict.fromkeys((*said, *unasked, *notes))))


def _counts(guests: list[int]) -> list[int]:
    """Numbers of guests that fit without reporting, with what fits most, and a quarter more."""
    most = max(guests)
    return sorted({guests[0], most, min(most + -(-most // 4), MOST_GUESTS)} - {0})


def _question(
    study: Study, variant: Variant, host: HostKind, guests: int, seed: int
) -> SwapQuestion:
    content = swaps_content(study, variant, host, {"guests": guests, "seed": seed})
    return SwapQuestion(key_of(content), host, guests=guests, seed=seed)


def _ram_bytes(study: Study) -> int:
    """Give the RAM of the largest guest."""
    return max(
        sum(block.used_bytes for machine in machines for block in machine.ram_blocks)
        for machines in (trace.manifest.virtual_machines for trace in _traces(study))
    )


def _traces(study: Study) -> Iterator[Trace]:
    members = (member for kind in study.guests for member in kind.members)
    return (member for member in members if isinstance(member, Trace))
