"""The one door for samples: finds out what a file is, and gives a series for each of its guests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from workbench.errors import InputError
from workbench.spelling import on_one_line, shorten
from workbench.trace.guest_series import SERIES_NAME, STOP_S, GuestSeries, read_guest_series
from workbench.trace.monitoring.assembly import guest_series
from workbench.trace.monitoring.mending import mended
from workbench.trace.monitoring.recognise import sampled_guests
from workbench.units import NANOSECONDS, format_ns

_NAMED_AT_MOST: Final = 5
"""Guests without a series that are named."""

_NAME_CHARACTERS: Final = 200
"""Of a guest's name, in a message."""


def read_monitoring(path: Path | str, *, clock_offset_ns: int = 0) -> list[GuestSeries]:
    """Read the series of all guests that a file of another tool is about.

    What the file is, is told by its content: an answer of Prometheus to a range query or a CSV of
    one, what `sar` or `sadf` print, a log of `virsh dommemstat` or of QEMU's guest-stats; or what
    `read_guest_series` takes, also a folder of such folders.

    Parameters
    ----------
    path
        The file, or the folder of an imported series or of several.
    clock_offset_ns
        Added to all times, where the clock of the file is not that of the others.

    Returns
    -------
    One series for each guest, by name; what was mended is in its remarks.

    Raises
    ------
    InputError
        It is none of these, or something in it cannot be; the message says where.
    """
    path = Path(path)
    kept = sorted(path.glob(f"*/{SERIES_NAME}"))
    if kept and not (path / SERIES_NAME).exists():
        found = [mended(read_guest_series(file.parent)) for file in kept]
        return [_shifted(path, series, clock_offset_ns) for series in found]
    guests = sampled_guests(path)
    if isinstance(guests, GuestSeries):
        return [_shifted(path, mended(guests), clock_offset_ns)]
    found = []
    without: dict[str, str] = {}
    for sampled in guests:
        made = guest_series(path, sampled)
        sampled.tracks = []  # Of many guests all at once would be twice the file.
        if isinstance(made, GuestSeries):
            found.append(_shifted(path, made, clock_offset_ns))
        else:
            without[shorten(on_one_line(sampled.name), _NAME_CHARACTERS)] = made
    return _with_left_out(path, found, without)


def _with_left_out(
    path: Path, found: list[GuestSeries], without: dict[str, str]
) -> list[GuestSeries]:
    """Say with each series which guests have none, unless that is all of them."""
    if not without:
        return found
    named = [f"{name} ({reason})" for name, reason in without.items()]
    more = len(named) - _NAMED_AT_MOST
    listed = ", ".join(named[:_NAMED_AT_MOST]) + (f" and {more:,} more" if more > 0 else "")
    if not found:
        raise InputError(
            f"{path}: no guest has a series: {listed}; expected free memory and all memory at two "
            "times or more; export these for longer"
        )
    remark = f"guests of the same file that have no series: {listed}"
    return [replace(series, remarks=(*series.remarks, remark)) for series in found]


def _shifted(path: Path, series: GuestSeries, offset_ns: int) -> GuestSeries:
    if not offset_ns:
        return series
    time_ns = series.columns["time_ns"]
    first_ns, last_ns = int(time_ns[0]) + offset_ns, int(time_ns[-1]) + offset_ns
    if first_ns < 0 or last_ns >= STOP_S * NANOSECONDS:
        raise InputError(
            f"{path}: with a clock offset of {format_ns(offset_ns)} times go from "
            f"{first_ns / NANOSECONDS:.3f} s to {last_ns / NANOSECONDS:.3f} s, expected 0 to "
            f"{STOP_S:,}; correct the offset"
        )
    columns = {**series.columns, "time_ns": time_ns + offset_ns}
    remark = f"clock offset: {format_ns(offset_ns)} were added to all times"
    return replace(series, columns=columns, remarks=(*series.remarks, remark))
