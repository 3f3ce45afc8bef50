"""The browser that other tests use: it draws, and its console can be read."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_a_page_is_drawn_and_its_console_read(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<title>x</title><h1>drawn</h1><script>console.error('seen')</script>")

    browser.get(page.as_uri())

    assert browser.find_element("tag name", "h1").text == "drawn"
    assert ["seen" in line["message"] for line in browser.get_log("browser")] == [True]
