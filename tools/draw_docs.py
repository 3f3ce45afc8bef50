"""Draw the pictures of the documentation from the bundled traces.

python tools/draw_docs.py      writes docs/images/*.png
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import workbench as wb
from workbench.measure import curve_frame, measured_pair, reclaimed_over_time

if TYPE_CHECKING:
    from workbench.trace import Trace

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Draw all of them."""
    IMAGES.mkdir(exist_ok=True)
    on, off = read("churn-on"), read("churn-off")
    wb.plot.save(wb.plot.resident_memory(wb.replay(on)), IMAGES / "resident_memory.png")
    figure = wb.plot.memory_reclaimed(reclaimed_over_time(on, off))
    wb.plot.save(figure, IMAGES / "memory_reclaimed.png")
    figure = wb.plot.io_avoided(measured_pair(read("pressure-on"), read("pressure-off")))
    wb.plot.save(figure, IMAGES / "io_avoided.png")
    pressure = read("pressure-order0")
    without = wb.Device(free_page_reporting=False)
    curves = [wb.curve(pressure), wb.curve(pressure, device=without)]
    figure = wb.plot.swap_over_memory(*map(curve_frame, curves))
    wb.plot.save(figure, IMAGES / "swap_over_memory.png")


def read(name: str) -> Trace:
    """Read a bundled trace."""
    return wb.read_trace(ROOT / "traces" / f"{name}.trace")


if __name__ == "__main__":
    main()
