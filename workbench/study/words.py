"""The answers of a study in sentences."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from workbench.quantity import time_text
from workbench.spelling import on_one_line
from workbench.study.fits import NOTHING
from workbench.units import format_bytes, format_number

if TYPE_CHECKING:
    import pandas as pd

_NEARLY: Final = 0.95
"""Guests that ever need so much of the sum of their peaks need most at the same time; one that on
average needs so much of its peak needs it all the time."""


def sentences(answers: pd.DataFrame) -> list[str]:
    """Say for each host how many guests fit with reporting and without: a sentence each.

    Parameters
    ----------
    answers
        The frame of that name, of any hosts.
    """
    limit = _limit(float(answers.attrs["share_of_time"]))
    return [
        f"{_of_host(on_one_line(str(host)), rows)}; {limit}."
        for host, rows in answers.groupby("host", sort=False)
    ]


def _of_host(host: str, rows: pd.DataFrame) -> str:
    without = rows[~rows["reporting"]].iloc[0]
    compared = rows[rows["reporting"] & ~rows["page_cache_given_back"]]
    fitting = int(without["guests"])
    if compared.empty:
        return f"Into {host} fit {_counted(without)} without reporting"
    # Of those under which as many fit, what is named first.
    best = compared.iloc[int(compared["guests"].to_numpy().argmax())]
    with_reporting = int(best["guests"])
    if (rows["limited_by"] == "drain").all():
        return f"Into {host} fits no guest: what one frees never drains as soon as it has to"
    if with_reporting > fitting:
        at_least = "at least " if best["limited_by"] == NOTHING else ""
        more = f", {fitting:,} without: {at_least}{with_reporting - fitting:,} more"
        if without["limited_by"] == "drain":
            more = ", and none without, where nothing that one frees is free for another"
        at = _reporting(best, compared)
        return f"Into {host} fit {_counted(best)} with reporting {at}{more}"
    if without["limited_by"] == NOTHING:
        return (
            f"Into {host} fit {_counted(without)}, with reporting or without: no more are counted"
        )
    return (
        f"Into {host} fit {_counted(without)}, with reporting or without: reporting gains nothing"
        f"{_why(best, without)}"
    )


def _counted(row: Any) -> str:  # noqa: ANN401 - a row of the answers.
    guests = int(row["guests"])
    at_least = "at least " if row["limited_by"] == NOTHING else ""
    return f"{at_least}{guests:,} guest{'s' * (guests != 1)}"


def _reporting(best: Any, compared: pd.DataFrame) -> str:  # noqa: ANN401 - a row of the answers.
    """Say how guests report, as far as it is compared: ``at order 9 (delay 2 s)``."""
    more = []
    if varies(compared["reporting_delay_ns"]):
        more.append(f"delay {time_text(int(best['reporting_delay_ns']))}")
    if varies(compared["reporting_capacity"]):
        more.append(f"capacity {best['reporting_capacity']}")
    if varies(compared["inhibited_share"]) or best["inhibited_share"]:
        share = best["inhibited_share"]
        more.append(
            f"{format_number(100 * share, 12)} % of guests inhibited"
            if share
            else "no guest inhibited"
        )
    for name in compared.columns:
        setting = setting_named(name)
        if setting and varies(compared[name]):
            more.append(f"{setting} {said(best[name])}")
    return f"at order {best['reporting_order']}" + (f" ({', '.join(more)})" if more else "")


def varies(values: pd.Series[Any]) -> bool:
    """Tell whether a column has more than one value, of which a missing one is one."""
    return values.drop_duplicates().size > 1


def setting_named(column: str) -> str:
    """Give the setting that a column of the answers is of, such as ``guest.init_on_free``."""
    table, _, setting = column.partition(".")
    return setting if table in {"device", "guest"} else ""


def said(value: object) -> str:
    """Say the value of a setting: missing is as it was recorded."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "as recorded"
    if isinstance(value, bool):
        return "on" if value else "off"
    return format_number(value, 12) if isinstance(value, float) else str(value)


def _why(best: Any, without: Any) -> str:  # noqa: ANN401 - rows of the answers.
    """Say why reporting gains nothing, where the sums show it."""
    if not best["guests"]:
        return ""
    needs = "byte_seconds_per_guest_day"
    never_drains = best["inhibited_share"] == 1 or math.isinf(best["drain_90_seconds"])
    if never_drains and best[needs] == without[needs]:
        return ", because no guest gives anything back"
    if best["mean_bytes"] >= _NEARLY * best["peaks_bytes"]:
        return ", because guests need about the same all the time"
    if best["peak_bytes"] >= _NEARLY * best["peaks_bytes"]:
        together, apart = (format_bytes(best[name]) for name in ("peak_bytes", "peaks_bytes"))
        return (
            f", because guests need most at the same time ({together} together, of {apart} that "
            "their peaks sum to)"
        )
    return ""


def _limit(share_of_time: float) -> str:
    short = 1 - Fraction(str(share_of_time))
    if not short:
        return "memory is never short"
    return f"memory is short no more than {format_number(float(100 * short), 12)} % of the time"
