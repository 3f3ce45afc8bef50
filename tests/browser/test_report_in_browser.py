"""A report in a browser whose network is cut: complete, readable at every width, harmless."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import zlib
from pathlib import Path

import pytest
from matplotlib.image import imread
from selenium.common.exceptions import NoAlertPresentException

from tests.report.hostile import write_hostile
from tools.draw_report import IMAGES, PICTURES
from tools.headless import screenshot, show
from workbench.plot.themes import THEMES
from workbench.replay import Settings
from workbench.report import find, render, report_on
from workbench.trace import read_trace

pytestmark = pytest.mark.browser

TRACES = Path(__file__).parents[2] / "traces"

NO_NETWORK = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}

MISSING = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"

OVERFLOWING = """
const page = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > page + 1 && !e.closest('.table'))
    .map(e => e.tagName + '.' + e.className);
"""


def written(folder, content):
    page = folder / "report.html"
    page.write_bytes(content)
    return page


@pytest.fixture(scope="module")
def content():
    return render(report_on(find(read_trace(TRACES / "churn-order0.trace"), Settings())))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    trace = write_hostile(tmp_path_factory.mktemp("hostile"))
    return render(report_on(find(trace, Settings())))


@pytest.fixture
def offline(browser):
    """Cut the browser's network."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", NO_NETWORK)
    return browser


def requests(driver, page):
    """Every address that the page asked for, apart from what stands in itself."""
    messages = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and message["params"]["documentURL"].startswith(page.as_uri())
    ]
    return [url for url in urls if not url.startswith("data:")]


def check(driver, page):
    """Nothing is missing, complains, asks for anything, or sticks out."""
    assert driver.get_log("browser") == []
    assert set(requests(driver, page)) == {page.as_uri()}
    assert driver.execute_script("return document.images.length") > 0
    assert driver.execute_script(MISSING) == 0
    assert driver.execute_script(OVERFLOWING) == []
    widths = driver.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    assert widths[0] == widths[1]


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_whole_without_a_network(offline, content, tmp_path, width, scheme):
    page = written(tmp_path, content)
    show(offline, page, width=width, scheme=scheme)

    check(offline, page)
    screenshot(offline, tmp_path / "shown.png")
    shown = imread(tmp_path / "shown.png")[:, :, :3]
    assert shown.shape[1] == width
    assert (shown.mean() < 0.3) == (scheme == "dark")
    assert shown.std() > 0.05


def test_a_hostile_report_does_nothing(offline, hostile, tmp_path):
    page = written(tmp_path, hostile)
    for width in (1280, 360):
        show(offline, page, width=width)

        with pytest.raises(NoAlertPresentException):
            _ = offline.switch_to.alert
        check(offline, page)
        assert offline.execute_script("return document.scripts.length") == 0
        assert offline.title.startswith("hostile: balloon workbench report")


def test_on_a_dark_desktop_a_report_is_printed_light_and_on_pages(offline, content, tmp_path):
    page = written(tmp_path, content)
    show(offline, page, width=794, scheme="dark", media="")

    printed = offline.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    document = base64.b64decode(printed["data"])
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", document)) <= 12
    colours = colours_of(document)
    assert rgb_of(THEMES["light"].blue) in colours
    assert not {rgb_of(THEMES["dark"].blue), rgb_of(THEMES["dark"].background)} & colours

    show(offline, page, width=794, scheme="dark", media="print")
    screenshot(offline, tmp_path / "printed.png")
    assert imread(tmp_path / "printed.png")[:, :, :3].mean() > 0.85


def colours_of(document):
    """Every colour that a PDF draws in, as it writes them."""
    drawn = b""
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL):
        with contextlib.suppress(zlib.error):
            drawn += zlib.decompress(stream)
    found = re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) (?:rg|RG)", drawn)
    return {tuple(round(255 * float(part)) for part in colour) for colour in found}


def rgb_of(colour):
    """A colour such as #0072b2 likewise."""
    return tuple(bytes.fromhex(colour[1:]))


def test_links_of_the_contents_lead_to_their_sections(offline, content, tmp_path):
    show(offline, written(tmp_path, content), width=1280)

    for link in offline.find_elements("css selector", "nav a"):
        link.click()
        place = offline.execute_script(
            "return document.querySelector(':target').getBoundingClientRect().top"
        )
        assert place < 900


def test_on_a_phone_a_chart_is_enlarged_where_that_is_asked_for(offline, content, tmp_path):
    show(offline, written(tmp_path, content), width=360)
    width = "return document.querySelector('#address-map .on-light').getBoundingClientRect().width"
    assert offline.execute_script(width) <= 360

    offline.find_element("css selector", "#address-map .enlarge").click()

    assert offline.execute_script(width) > 800
    assert offline.execute_script("return document.documentElement.scrollWidth") == 360


def test_the_pictures_of_the_docs_are_there_in_the_size_they_are_drawn():
    for name, (width, _, height) in PICTURES.items():
        assert imread(IMAGES / name).shape[:2] == (height, width)
