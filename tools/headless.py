"""A headless Chromium that speaks to nobody but this host: for tests, and for pictures of docs."""

from __future__ import annotations

import base64
import shutil
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

if TYPE_CHECKING:
    from pathlib import Path

QUIET = (
    "--headless",
    "--no-sandbox",  # Chromium's own sandbox refuses root, and CI is root.
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def chromium(profile: Path) -> webdriver.Chrome:
    """Start a new Chromium, with a profile of its own; whoever asked for it ends it."""
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    # What the page says on its console and what it asks the network for can be read afterwards.
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(executable_path=shutil.which("chromedriver") or "")
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_window_size(1280, 900)
    return driver


def show(
    driver: webdriver.Chrome,
    page: Path,
    *,
    width: int,
    scheme: str = "light",
    media: str = "screen",
) -> None:
    """Open a page as wide as this, on a light or dark desktop, or as a printer would see it."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}  # noqa: PLR2004
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    driver.get(page.as_uri())


def screenshot(driver: webdriver.Chrome, path: Path, height: int | None = None) -> None:
    """Write what is shown as PNG: from the top of the page, down to its end or this far."""
    size = driver.execute_script(
        "const e = document.documentElement; return [e.clientWidth, e.scrollHeight]"
    )
    clip = {"x": 0, "y": 0, "width": size[0], "height": height or size[1], "scale": 1}
    options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", options)
    path.write_bytes(base64.b64decode(taken["data"]))
