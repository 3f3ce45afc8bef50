"""A headless Chromium for tests, which speaks to nobody but this host."""

from __future__ import annotations

import pytest

from tools.headless import chromium


@pytest.fixture
def browser(tmp_path):
    """Start a new Chromium, with a profile of its own; it ends with the test."""
    driver = chromium(tmp_path / "profile")
    yield driver
    driver.quit()
