"""Draw the pictures of docs/report.md: the report on a bundled pair, in a headless Chromium.

python tools/draw_report.py      writes docs/images/report.png and report_phone_dark.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from workbench.replay import Settings
from workbench.report import find, render, report_on
from workbench.trace import read_trace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tools.headless import chromium, screenshot, show  # noqa: E402 - found where this says.

IMAGES = ROOT / "docs" / "images"

PICTURES = {
    "report.png": (1000, "light", 2320),
    "report_phone_dark.png": (360, "dark", 1750),
}
"""Width, colour scheme and height of each."""


def main() -> None:
    """Draw them."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_bytes(pair_report())
        driver = chromium(Path(folder) / "profile")
        try:
            for name, (width, scheme, height) in PICTURES.items():
                show(driver, page, width=width, scheme=scheme)
                screenshot(driver, IMAGES / name, height)
        finally:
            driver.quit()


def pair_report() -> bytes:
    """Give the report on the bundled pair under memory pressure."""
    on, off = (read_trace(ROOT / "traces" / f"pressure-{name}.trace") for name in ("on", "off"))
    return render(report_on(find(on, Settings(), off)))


if __name__ == "__main__":
    main()
