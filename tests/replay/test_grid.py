"""Many settings at once give what each gives by itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import UsageError
from workbench.replay import (
    Device,
    Guest,
    Host,
    Settings,
    UnanswerableError,
    replay,
    replay_all,
)
from workbench.trace import read_trace

PRESSURE = Path(__file__).parents[2] / "traces" / "pressure-on.trace"
SETTINGS = [
    Settings(),
    Settings(device=Device(free_page_reporting=False)),
    Settings(host=Host(reclaim="least-recent")),
    Settings(guest=Guest(reporting_delay_ns="4s")),
    Settings(guest=Guest(poison_val=0xAA)),
]


def same(run, other):
    columns = [field.name for field in dataclasses.fields(run.ledger)]
    return (
        run.to_dict() == other.to_dict()
        and all((getattr(run.ledger, n) == getattr(other.ledger, n)).all() for n in columns)
        and all((run.columns[name] == other.columns[name]).all() for name in run.columns)
    )


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_any_number_of_workers_gives_the_same_answers_in_order(workers):
    done = []

    runs = replay_all(read_trace(PRESSURE), SETTINGS, workers=workers, progress=done.append)

    for run, settings in zip(runs, SETTINGS, strict=True):
        assert same(run, replay(read_trace(PRESSURE), settings=settings))
    assert done == [1, 1, 1, 1, 1]


def test_what_cannot_be_answered_ends_it():
    unanswerable = Settings(guest=Guest(reporting_order=0))

    with pytest.raises(UnanswerableError, match="finer"):
        replay_all(read_trace(PRESSURE), [SETTINGS[0], unanswerable, SETTINGS[1]])


def test_without_workers_nothing_is_done():
    with pytest.raises(UsageError, match="workers is 0"):
        replay_all(read_trace(PRESSURE), SETTINGS, workers=0)


def test_no_settings_are_no_replays():
    assert replay_all(read_trace(PRESSURE), []) == []


def test_a_trace_asked_twice_is_replayed_as_captured_once():
    trace = read_trace(PRESSURE)

    one, other = replay(trace), replay(trace, guest=Guest(poison_val=0))

    assert np.shares_memory(one.columns["time_ns"], other.columns["time_ns"])
