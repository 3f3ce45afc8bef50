"""Hypothesis strategies for sampled free memory, and the way into its kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from workbench.model.guest import (
    FreeShares,
    Instants,
    SeriesColumns,
    SeriesConstants,
    new_state,
    run_series,
)

Sample = dict[str, int]

HUGE_PAGES = 512


def settings(**changes: Any) -> dict[str, Any]:
    """Settings of a run, by the naive model's names."""
    chosen = {
        "order": 9,
        "delay": 100,
        "capacity": 2,
        "low_watermark": 0,
        "lag": 0,
        "freed": [1] * 9 + [7, 3],
        "free": [1] * 9 + [5, 5],
    }
    return chosen | changes


def instants(first_pass=50, change=500, swing=250):
    """When things happen that no sample tells."""
    return {"first_pass": first_pass, "change": change, "swing": swing}


def sample(time, large, *, small=0, swing=0, free=10_000_000):
    """One sample; `large` is in huge pages."""
    return {
        "time": time,
        "small": small,
        "large": large * HUGE_PAGES,
        "swing": swing,
        "free": free,
    }


def columns(samples):
    """Turn samples into the kernel's columns."""

    def column(name):
        return np.array([row[name] for row in samples], np.int64)

    return SeriesColumns(
        column("time"), column("free"), column("small"), column("large"), column("swing")
    )


def run_samples(samples, chosen, at):
    """Run the kernel.  Gives its answer, what was reported, and what still waits."""
    constants = SeriesConstants(
        chosen["order"],
        chosen["delay"],
        chosen["capacity"],
        chosen["low_watermark"],
        chosen["lag"],
        FreeShares(np.array(chosen["freed"], np.int64), np.array(chosen["free"], np.int64)),
    )
    state = new_state(len(samples))
    at = Instants(at["first_pass"], at["change"], at["swing"])
    answer = run_series(columns(samples), constants, at, state)
    return answer, state.reported_pages.tolist(), state.waiting_pages.tolist()


@st.composite
def series(draw: st.DrawFn, order: int | None = None) -> tuple[list[Sample], dict[str, Any]]:
    """Up to eight samples, and settings that fit them."""
    chosen_order = draw(st.integers(0, 10)) if order is None else order
    time = 0
    samples = []
    for _ in range(draw(st.integers(1, 8))):
        time += draw(st.integers(1, 400))
        small = draw(st.integers(0, 3000)) if chosen_order < 9 else 0
        large = draw(st.integers(0, 60)) * HUGE_PAGES
        samples.append(
            {
                "time": time,
                "small": small,
                "large": large,
                "swing": draw(st.sampled_from([0, 0, 100, 5000])),
                "free": small + large + draw(st.sampled_from([0, 3000])),
            }
        )
    return samples, settings(
        order=chosen_order,
        delay=draw(st.sampled_from([1, 40, 100, 700])),
        capacity=draw(st.integers(1, 3)),
        low_watermark=draw(st.sampled_from([0, 0, 2000])),
        lag=draw(st.sampled_from([0, 30, 500])),
    )


INSTANTS = st.fixed_dictionaries(
    {
        "first_pass": st.integers(0, 700),
        "change": st.integers(0, 999),
        "swing": st.integers(0, 999),
    }
)
