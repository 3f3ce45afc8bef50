"""Curves over the host's memory, as frames and as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import UsageError
from workbench.measure.required import require_curve
from workbench.spelling import on_one_line
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from workbench.replay import Curve

COUNTS: Final = (
    "swap_in_pages",
    "swap_in_dead_pages",
    "swap_out_pages",
    "swap_out_dead_pages",
)

RECENCY: Final = {True: "by accesses", False: "by last fault"}
"""What tells which pages are old: recorded accesses, or where there are none the faults."""

_POINTS: Final = 256
"""Sizes in a document; a frame has them all."""


def curve_frame(curve: Curve) -> pd.DataFrame:
    """Give a curve over the host's memory, exactly: each row holds up to the next one.

    Returns
    -------
    One row per size at which anything changes: memory_bytes, the counts of `COUNTS`, and
    swap_in_pages_per_second and swap_out_pages_per_second, on average over the trace.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    require_curve(curve)
    counts = np.array([getattr(curve.counts, name) for name in COUNTS])
    changes = np.flatnonzero((np.diff(counts, axis=1) != 0).any(axis=0)) + 1
    row = np.concatenate(([0], changes))
    frame = pd.DataFrame({"memory_bytes": (row + 1) * PAGE_BYTES})
    for name, column in zip(COUNTS, counts, strict=True):
        frame[name] = column[row]
    for way in ("in", "out"):
        frame[f"swap_{way}_pages_per_second"] = frame[f"swap_{way}_pages"] / curve.duration_s
    manifest = curve.trace.manifest
    frame.attrs = {
        "title": on_one_line(manifest.scenario or curve.trace.name),
        "label": curve.settings.label,
        "caption": on_one_line(
            f"trace {curve.trace.name} {curve.trace.digest[:8]}, model "
            f"{str(curve.lineage['model'])[:8]}"
        ),
        "lost_events": manifest.lost_events,
        "recency": RECENCY[curve.has_recency],
        "stop_bytes": curve.counts.swap_in_pages.size * PAGE_BYTES,
    }
    return frame


def io_avoided_over_memory(with_reporting: Curve, without: Curve) -> pd.DataFrame:
    """Say what reporting spares hosts of every size, in pages read from swap and written to it.

    Returns
    -------
    One row per size at which either changes, exactly; each row holds up to the next: memory_bytes,
    with_pages_per_second and without_pages_per_second (read and written, on average over the
    trace), and avoided_share (1: all of it, below 0: reporting adds; missing where nothing is
    swapped without it).

    Raises
    ------
    UsageError
        The curves are of two traces.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    for curve in (with_reporting, without):
        require_curve(curve)
    if with_reporting.trace.digest != without.trace.digest:
        raise UsageError(
            f"{with_reporting.trace.name} and {without.trace.name} are two traces; what reporting "
            "avoids is told by two curves of one, with and without it"
        )
    frames = [curve_frame(curve) for curve in (with_reporting, without)]
    memory_bytes = np.unique(np.concatenate([frame["memory_bytes"] for frame in frames]))
    columns = {"memory_bytes": memory_bytes}
    for name, frame in zip(("with", "without"), frames, strict=True):
        rate = frame["swap_in_pages_per_second"] + frame["swap_out_pages_per_second"]
        row = np.searchsorted(frame["memory_bytes"], memory_bytes, side="right") - 1
        columns[f"{name}_pages_per_second"] = rate.to_numpy()[row]
    frame = pd.DataFrame(columns)
    before = frame["without_pages_per_second"]
    frame["avoided_share"] = 1 - frame["with_pages_per_second"] / before.where(before > 0)
    frame.attrs = {
        **frames[0].attrs,
        "with_label": frames[0].attrs["label"],
        "without_label": frames[1].attrs["label"],
        "stop_bytes": max(each.attrs["stop_bytes"] for each in frames),
    }
    return frame


def memory_needed(curves: Sequence[Curve], pages_per_second: Sequence[float]) -> pd.DataFrame:
    """Say how much memory the guests' RAM needs for no more swap than that.

    Returns
    -------
    One row per rate: pages_per_second (read and written, on average over the trace), then the
    bytes, one column per curve named by its settings; none where no memory is enough.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    frame = pd.DataFrame({"pages_per_second": list(pages_per_second)})
    for curve in curves:
        require_curve(curve)
        label = curve.settings.label
        if len({other.trace.digest for other in curves}) > 1:
            label = f"{curve.trace.name}: {label}"
        sizes = [curve.bytes_for(rate) for rate in pages_per_second]
        frame[label] = pd.Series(sizes, dtype="Int64")
    return frame


def curve_document(curves: Sequence[Curve], pages_per_second: Sequence[float]) -> dict[str, Any]:
    """Give what `workbench curve --json` prints: equal inputs give equal documents.

    Parameters
    ----------
    pages_per_second
        Of each it says how much memory is enough.
    """
    return {
        "recency": RECENCY[curves[0].has_recency],
        "duration_seconds": curves[0].duration_s,
        "memory_needed": [
            {
                "pages_per_second": rate,
                "memory_bytes": [curve.bytes_for(rate) for curve in curves],
            }
            for rate in pages_per_second
        ],
        "curves": [_one_document(curve) for curve in curves],
    }


def _one_document(curve: Curve) -> dict[str, Any]:
    sizes = curve.counts.swap_in_pages.size
    pages = np.unique(np.linspace(1, sizes, min(_POINTS, sizes)).astype(np.int64))
    points = {name: getattr(curve.counts, name)[pages - 1].tolist() for name in COUNTS}
    return {
        "lineage": curve.lineage,
        "settings": curve.settings.model_dump(),
        "label": curve.settings.label,
        "identifiable": curve.identifiable.to_dict(),
        "model_error": curve.model_error,
        "memory_bytes": (pages * PAGE_BYTES).tolist(),
        **points,
    }
