"""Charts of the host: what it would swap at other sizes, and what other settings would change."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from workbench import plot
from workbench.measure import (
    BY_NAME,
    curve_frame,
    io_avoided_over_memory,
    quantity_text,
    with_settings,
)
from workbench.plot.chart import round_bytes
from workbench.replay import curve
from workbench.report.headline import SWAP
from workbench.report.images import figure_of, plain

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from workbench.replay import Curve
    from workbench.report.document import Figure
    from workbench.report.findings import Findings

_RATE: Final = 100.0
"""Pages a second of which the text says how much memory they take."""

_DRAWN: Final = ("reclaimed_bytes", "swap_out_pages")
"""Metrics of which the matrix is drawn: what comes back, and what goes to swap."""

_SIMPLER: Final = (
    "By a simpler model of the host, of every size at once, that takes what was used longest ago."
)


def host_figures(findings: Findings) -> Iterator[Figure]:
    """Draw what there is to see."""
    if findings.captured.run is not None and findings.captured.count(*SWAP):
        yield _swap_over_memory(findings)
    if findings.matrix is not None:
        yield from _matrices(findings)


def _swap_over_memory(findings: Findings) -> Figure:
    """Draw every size of the host, with reporting and without where the trace can tell."""
    captured, settings = curve(findings.trace), findings.baseline.answer.settings
    if findings.baseline.run is None or settings.device.free_page_reporting is not False:
        frame = plain(curve_frame(captured))
        return figure_of(
            "swap-over-memory",
            caption=f"What hosts of every memory size would swap. {_SIMPLER}",
            alt=f"Swap I/O by the memory of the host: {_enough([captured])}.",
            draw=lambda: plot.swap_over_memory(frame, below=_RATE),
        )
    without = curve(findings.trace, settings=settings)
    both = plain(io_avoided_over_memory(captured, without))
    return figure_of(
        "io-avoided-over-memory",
        caption="What hosts of every memory size would swap with reporting and without, and the "
        f"share of it that reporting avoids. {_SIMPLER}",
        alt="Swap I/O by the memory of the host, with reporting and without: "
        f"{_enough([captured, without])}.",
        draw=lambda: plot.io_avoided_over_memory(both),
    )


def _enough(curves: list[Curve]) -> str:
    """Say how much memory it takes to swap no more than so much."""
    needed = [(each.bytes_for(_RATE), with_settings(each.settings.label)) for each in curves]
    said = ", ".join(
        f"{'no memory' if size is None else round_bytes(size)} {label}" for size, label in needed
    )
    return f"{_RATE:.0f} pages a second or less take {said}"


def _matrices(findings: Findings) -> Iterator[Figure]:
    """Draw every combination of poison and reporting."""
    if findings.matrix is None:
        return
    frame = plain(findings.matrix)
    cells = frame.to_dict("records")
    refused = sum(not cell["answerable"] for cell in cells)
    for metric in _DRAWN:
        most = max(cells, key=functools.partial(_rank, metric))
        if not most["answerable"] or not most[metric] > 0:
            continue
        yield figure_of(
            f"matrix-{metric.replace('_', '-')}",
            caption=f"{metric} under every combination of how the guest poisons its free pages and "
            "how it reports them; hatched: what this trace cannot tell.",
            alt=f"{metric} under {len(cells)} combinations of settings, {refused} of which this "
            f"trace cannot answer: most, {quantity_text(most[metric], BY_NAME[metric].unit)}, with "
            f"{most['poison']} and reporting {most['reporting']}.",
            draw=functools.partial(plot.setting_matrix, frame, metric),
        )


def _rank(metric: str, cell: Mapping[Hashable, Any]) -> tuple[bool, float]:
    """Order cells by a metric; those without an answer come first."""
    return bool(cell["answerable"]), float(cell[metric]) if cell["answerable"] else 0.0
