"""What a prediction from a guest's series says, and how far it is from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.measure import series
from workbench.measure.drain import DRAINED
from workbench.replay import predict_series
from workbench.spelling import on_one_line
from workbench.units import HUGE_PAGE_BYTES, NANOSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from workbench.replay import SeriesPrediction

LARGE_FREE: Final = 1 / 32
"""Of the guest's memory, freed in huge pages between two samples."""

RETAKEN: Final = 0.1
"""Of what was freed.  Once as much is taken again, the drain can no longer be told."""


def series_document(prediction: SeriesPrediction) -> dict[str, Any]:
    """Give what `workbench import series --json` prints: equal inputs give equal documents."""
    columns = prediction.series.columns
    time_ns = columns["time_ns"]
    memory = {"resident": prediction.resident_bytes}
    if _is_comparable(prediction):
        memory["measured_resident"] = columns["resident_bytes"]
    metrics: dict[str, dict[str, float | int | str]] = {}
    for name, values in memory.items():
        over_time = series.Series(time_ns, values)
        metrics |= {
            f"{name}_bytes_mean": {"value": series.mean(over_time), "unit": "bytes"},
            f"{name}_bytes_peak": {"value": int(values.max()), "unit": "bytes"},
            f"{name}_bytes_final": {"value": int(values[-1]), "unit": "bytes"},
            f"{name}_byte_seconds": {
                "value": series.integral(over_time) / NANOSECONDS,
                "unit": "byte-seconds",
            },
        }
    return {
        "lineage": prediction.lineage,
        "settings": prediction.lineage["settings"],
        "samples": int(time_ns.size),
        "notes": list(prediction.notes),
        "metrics": metrics,
        "drains": drains(prediction),
        "model_error": series_error(as_sampled(prediction)),
    }


def as_sampled(prediction: SeriesPrediction) -> SeriesPrediction:
    """Predict the same series for the reporting it was sampled with."""
    if prediction.is_as_sampled:
        return prediction
    return predict_series(prediction.series, sampling=prediction.sampling)


def series_error(prediction: SeriesPrediction) -> dict[str, Any]:
    """Compare a prediction as sampled with the measured resident set.

    Returns
    -------
    ``mean_absolute_bytes`` over the samples, and ``byte_seconds``, the predicted minus the
    measured as a fraction of the measured; both None, with a ``reason``, if nothing was measured.
    """
    if not prediction.series.is_measured:
        return {
            "mean_absolute_bytes": None,
            "byte_seconds": None,
            "reason": "the series has no column rss",
        }
    time_ns = prediction.series.columns["time_ns"]
    measured_bytes = prediction.series.columns["resident_bytes"]
    difference_bytes = prediction.resident_bytes - measured_bytes
    measured = series.integral(series.Series(time_ns, measured_bytes))
    difference = series.integral(series.Series(time_ns, difference_bytes))
    return {
        "mean_absolute_bytes": float(np.abs(difference_bytes).mean()),
        "byte_seconds": difference / measured if measured else None,
        "reason": None if measured else "nothing was resident",
    }


def drains(prediction: SeriesPrediction) -> list[dict[str, Any]]:
    """Say of every large free how long it took until 90 % of it had left host memory.

    Returns
    -------
    One entry for each: ``time_s`` of the first sample after it, ``freed_bytes``, then
    ``predicted_s`` and ``measured_s`` from there, and ``samples_apart`` (predicted minus
    measured); None where the guest took memory again before that, where the series ends, and
    where the guest reported otherwise when it was measured.
    """
    columns = prediction.series.columns
    time_ns = columns["time_ns"]
    free_bytes = columns["free_huge_pages"] * HUGE_PAGE_BYTES
    freed_bytes = np.diff(free_bytes)
    found = []
    for before in np.flatnonzero(freed_bytes >= LARGE_FREE * columns["total_bytes"][1:]):
        row = int(before) + 1
        freed = int(freed_bytes[before])
        retaken = np.flatnonzero(free_bytes[row:] < free_bytes[row] - RETAKEN * freed)
        stop = row + int(retaken[0]) if retaken.size else time_ns.size
        predicted = _drained_row(prediction.resident_bytes, row, stop, freed)
        measured = None
        if _is_comparable(prediction):
            measured = _drained_row(columns["resident_bytes"], row, stop, freed)
        known = predicted is not None and measured is not None
        found.append(
            {
                "time_s": int(time_ns[row] - time_ns[0]) / NANOSECONDS,
                "freed_bytes": freed,
                "predicted_s": _seconds(time_ns, row, predicted),
                "measured_s": _seconds(time_ns, row, measured),
                "samples_apart": (predicted or 0) - (measured or 0) if known else None,
            }
        )
    return found


def series_frame(prediction: SeriesPrediction) -> pd.DataFrame:
    """Give the prediction over time.

    Returns
    -------
    One row per sample: time_s, resident_bytes and, if it was measured with these settings,
    measured_resident_bytes.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    columns = prediction.series.columns
    frame = pd.DataFrame(
        {
            "time_s": (columns["time_ns"] - columns["time_ns"][0]) / NANOSECONDS,
            "resident_bytes": prediction.resident_bytes,
        }
    )
    if _is_comparable(prediction):
        frame["measured_resident_bytes"] = columns["resident_bytes"]
    lineage = prediction.lineage
    frame.attrs = {
        "title": on_one_line(prediction.series.name),
        "label": prediction.label,
        "caption": on_one_line(
            f"series {prediction.series.name} {lineage['series'][:8]}, model {lineage['model'][:8]}"
        ),
    }
    return frame


def _is_comparable(prediction: SeriesPrediction) -> bool:
    return prediction.series.is_measured and prediction.is_as_sampled


def _drained_row(
    resident_bytes: npt.NDArray[np.int64], row: int, stop: int, freed_bytes: int
) -> int | None:
    """Find the first sample at which 90 % of a free is gone, from before it."""
    target_bytes = resident_bytes[row - 1] - DRAINED * freed_bytes
    drained = np.flatnonzero(resident_bytes[row:stop] <= target_bytes)
    return row + int(drained[0]) if drained.size else None


def _seconds(time_ns: npt.NDArray[np.int64], row: int, drained_row: int | None) -> float | None:
    if drained_row is None:
        return None
    return int(time_ns[drained_row] - time_ns[row]) / NANOSECONDS
