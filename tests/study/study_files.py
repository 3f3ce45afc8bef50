"""Study files and recordings of a few lines, in a folder."""

from __future__ import annotations

from workbench.study import read_study
from workbench.units import GIB

GUEST = """\
[[guest]]
name = "web"
series = "web-*.csv"
"""

HOST = """\
[[host]]
memory = "64G"
"""

HUGE_PAGE_PAGES = 512


def write_series(
    folder,
    name="web-1",
    *,
    start_s=0,
    step_s=60,
    huge=(1700, 1690, 1690, 1600),
    cached_bytes=None,
    total_bytes=4 * GIB,
):
    """Write a CSV of samples; what is free is free in huge pages."""
    header = ["time", "small", "huge", "total", *([] if cached_bytes is None else ["cached"])]
    lines = [",".join(header)]
    for row, pages in enumerate(huge):
        cells = [start_s + row * step_s, pages * HUGE_PAGE_PAGES, pages, total_bytes]
        cells += [] if cached_bytes is None else [cached_bytes]
        lines.append(",".join(map(str, cells)))
    path = folder / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_study(folder, text, name="spring.toml"):
    """Write a study file."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def study_of(folder, text=GUEST + HOST):
    """Write a study file and read it."""
    return read_study(write_study(folder, text))
