"""Small studies of traces: guests of single pages whose every touch is known."""

from __future__ import annotations

from tests.synthetic import given_back, machine, report, started, touch, trace
from workbench.replay import Settings
from workbench.study import WITHOUT_REPORTING, GuestKind, HostKind, Phase, Study, Variant
from workbench.units import GIB, MIB, NANOSECONDS, PAGE_BYTES

AS_CAPTURED = Variant(settings=Settings())

RAM = machine().ram_blocks[0].model_copy(update={"transparent_huge_page": False})
PLAIN = started().model_copy(update={"ram_blocks": (RAM,)})


def pages_touched(*pages, second=1):
    """Touches of pages of 4 KiB, a thousand a second."""
    return [touch(second + n / 1000, page * PAGE_BYTES, PAGE_BYTES) for n, page in enumerate(pages)]


def plain_trace(*rows):
    """A guest of ten seconds without huge pages, whose last 2 MiB are free and reported."""
    return trace([*given_back(report(0.2, 6 * MIB)), *rows], machines=[PLAIN])


TWICE = plain_trace(*pages_touched(*range(500), *range(500)))
"""A guest that touches 500 pages, and then the same again, within one second, of ten."""


def study_of(*kinds, memory=GIB, swap="zram", **others):
    """A study of traces with one host."""
    return Study(
        name="made",
        guests=kinds,
        hosts=(HostKind(name="host", memory_bytes=memory, swap=swap),),
        variants=(WITHOUT_REPORTING, AS_CAPTURED),
        step_ns=NANOSECONDS,
        **others,
    )


def kind_of(*members, name="guest", **others):
    return GuestKind(name=name, members=members, **others)


def at_once(*members, **others):
    """Guests that all begin when they were seen to, which is the same moment for all of these."""
    return kind_of(*members, phase=Phase.RECORDED, **others)
