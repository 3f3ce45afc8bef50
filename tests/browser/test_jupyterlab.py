"""The notebooks in a real JupyterLab, in a real browser, as `make lab` opens them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import (
    element_to_be_clickable,
    presence_of_element_located,
)
from selenium.webdriver.support.wait import WebDriverWait

from workbench.cli.notebook import bundled_notebooks, trace_of, write_with_trace

pytestmark = pytest.mark.browser

CONFIGURATION = Path(__file__).resolve().parents[2] / "tools/jupyter_lab/config.py"

NOTEBOOK = next(path for path in bundled_notebooks() if path.name.startswith("02"))

CHARTS = 2
"""In that notebook."""

WAIT_S = 120
"""For a kernel that may have to compile the model first."""


def free_port():
    """Find a port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(tmp_path, tmp_path_factory):
    """Start JupyterLab on a copy of the notebook, and give the address that opens it."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write_with_trace(NOTEBOOK, trace_of(NOTEBOOK), folder)
    port, token = free_port(), secrets.token_hex()
    address = f"http://127.0.0.1:{port}"
    command = (
        *(sys.executable, "-m", "jupyter", "lab", f"--config={CONFIGURATION}"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", str(folder)),
    )
    homes = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA")}
    # Short, because sockets are in it: Linux takes 107 characters (unix(7), sun_path).
    homes["JUPYTER_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("run"))
    settings = tmp_path / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # Cells outside of the window are in the page too.
    whole = json.dumps({"windowingMode": "none"})
    (settings / "tracker.jupyterlab-settings").write_text(whole, encoding="utf-8")
    environment = {
        **os.environ,
        **homes,
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
    }
    with (
        (tmp_path / "lab.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, env=environment, stderr=log, stdout=log) as server,
    ):
        try:
            wait_for(server, f"{address}/api/status?token={token}", tmp_path / "lab.log")
            yield f"{address}/lab/tree/{NOTEBOOK.name}?token={token}"
        finally:
            # Twice would end it at once, and leave kernels behind.
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=WAIT_S)


def wait_for(server, address, log):
    """Wait until the server answers, or say what it said when it ended."""

    def answers(_):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        with urllib.request.urlopen(address, timeout=WAIT_S):  # noqa: S310 - http, of this test.
            return True

    WebDriverWait(server, WAIT_S, ignored_exceptions=[urllib.error.URLError]).until(answers)


def click(browser, css, text):
    """Click the thing that is called so, once it is there."""
    thing = (By.XPATH, f"//*[contains(@class, '{css}')][normalize-space()='{text}']")
    WebDriverWait(browser, WAIT_S).until(element_to_be_clickable(thing)).click()


def executed(browser):
    """Give the number of each code cell's last execution, "[*]" while it is not over.

    In one step, for JupyterLab makes its cells anew as it goes.
    """
    prompts = "document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')"
    return browser.execute_script(f"return [...{prompts}].map(p => p.textContent)")


def drawn(browser):
    """Say of each picture whether there is something in it."""
    pictures = "document.querySelectorAll('.jp-OutputArea-output img')"
    return browser.execute_script(f"return [...{pictures}].map(p => p.naturalWidth > 0)")


def test_a_notebook_runs_in_jupyterlab_and_its_charts_are_drawn(lab, browser, tmp_path):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    codes = sum(cell["cell_type"] == "code" for cell in cells)
    browser.set_window_size(1280, 3000)
    browser.get(lab)
    WebDriverWait(browser, WAIT_S).until(lambda page: len(executed(page)) == codes)
    # Cells that are run before that are forgotten.
    idle = (By.CSS_SELECTOR, '.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    WebDriverWait(browser, WAIT_S).until(presence_of_element_located(idle))
    click(browser, "lm-MenuBar-itemLabel", "Run")
    click(browser, "lm-Menu-itemLabel", "Run All Cells")
    every = [f"[{number}]:" for number in range(1, codes + 1)]
    WebDriverWait(browser, WAIT_S).until(lambda page: executed(page) == every)
    WebDriverWait(browser, WAIT_S).until(lambda page: drawn(page) == [True] * CHARTS)
    browser.save_screenshot(str(tmp_path / "lab.png"))

    kinds = ", ".join(f'[data-mime-type$="{kind}"]' for kind in ("stderr", "error"))
    errors = browser.find_elements(By.CSS_SELECTOR, kinds)
    assert [error.text for error in errors] == []
    assert browser.find_elements(By.CSS_SELECTOR, ".Toastify__toast") == []
    assert "came back" in browser.find_element(By.CSS_SELECTOR, ".jp-Notebook").text
    severe = [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert severe == []
    assert asked_elsewhere(browser) == []


def asked_elsewhere(browser):
    """Give the other hosts that a page asked something of; chrome: is the browser's own."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    addresses = [
        urlsplit(message["params"]["request"]["url"])
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    hosts = {address.hostname for address in addresses if address.scheme.startswith("http")}
    return sorted(hosts - {"127.0.0.1"})
