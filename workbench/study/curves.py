"""What a study adds up to over the number of guests, as frames for charts: all seeds together."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from workbench.study.fits import sums_of

if TYPE_CHECKING:
    import pandas as pd

    from workbench.study.study import Study


def risk(study: Study, together: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Say how often the memory of each host is short, by the number of guests.

    Parameters
    ----------
    together
        As `answers` takes it.
    answers
        The frame of that name.

    Returns
    -------
    A row for each host, variant and number of guests: host, label, page_cache_given_back, guests,
    over_share (of the moments of all seeds) and fits (whether so many do).
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    fitting = answers.set_index(["host", "variant"])["guests"]
    sums = sums_of(study, together)
    parts = []
    for (place, host), (number, variant) in itertools.product(
        enumerate(study.hosts), enumerate(study.variants)
    ):
        found = sums[place, number]
        over = found.over_moments.sum(axis=0)
        guests = np.arange(1, over.size + 1)
        part = {
            "host": host.name,
            "label": variant.label,
            "page_cache_given_back": variant.page_cache_given_back,
            "guests": guests,
            "over_share": over / found.columns["moments"].sum(axis=0),
            "fits": guests <= fitting[host.name, number],
        }
        parts.append(pd.DataFrame(part))
    frame: pd.DataFrame = pd.concat(parts, ignore_index=True)
    frame.attrs = dict(answers.attrs)
    return frame


def memory(study: Study, together: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Say what guests need together, by their number.

    Parameters
    ----------
    together, answers
        As in `risk`.

    Returns
    -------
    A row for each variant and number of guests that all seeds have: label, page_cache_given_back,
    guests; mean_bytes, p95_bytes and p99_bytes on the average of the seeds; peak_bytes and
    peaks_bytes (if all needed most at once), the highest of the seeds.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    sums = sums_of(study, together)
    parts = []
    for number, variant in enumerate(study.variants):
        found = sums[0, number]
        counted = int(found.counted.min())
        columns = {name: values[:, :counted] for name, values in found.columns.items()}
        part = {
            "label": variant.label,
            "page_cache_given_back": variant.page_cache_given_back,
            "guests": np.arange(1, counted + 1),
            **{name: columns[name].mean(axis=0) for name in ("mean_bytes", "p95_bytes")},
            "p99_bytes": columns["p99_bytes"].mean(axis=0),
            **{name: columns[name].max(axis=0) for name in ("peak_bytes", "peaks_bytes")},
        }
        parts.append(pd.DataFrame(part))
    frame: pd.DataFrame = pd.concat(parts, ignore_index=True)
    frame.attrs = dict(answers.attrs)
    return frame
