"""`workbench doctor` names what is missing and the fix, and fails only when asked to."""

from __future__ import annotations

import json

import pytest

from workbench.capture import check_host
from workbench.capture.check import Check, Status
from workbench.cli import app

FINE = Check(name="Python", status=Status.OK, found="3.11", needed_for=("replay",), fix="newer")
NO_BCC = Check(
    name="bcc",
    status=Status.MISSING,
    found="none",
    needed_for=("capture", "lab"),
    fix="apt-get install python3-bpfcc",
)
NO_QEMU = Check(name="QEMU", status=Status.MISSING, found="none", needed_for=("lab",), fix="get it")
NO_SWAP = Check(name="swap", status=Status.WARN, found="none", fix="modprobe zram")


@pytest.fixture
def finding(monkeypatch):
    """Make the host look as a test wants it."""

    def arrange(*checks):
        monkeypatch.setattr(check_host, "check_host", lambda: list(checks))

    return arrange


def test_it_shows_the_fix_of_what_is_missing_and_of_nothing_else(finding, capsys):
    finding(FINE, NO_BCC, NO_SWAP)
    assert app.run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "bcc: apt-get install python3-bpfcc" in shown
    assert "swap: modprobe zram" in shown
    assert "newer" not in shown
    assert "This host can: replay.\n" in shown


def test_a_good_host_needs_no_fixes(finding, capsys):
    finding(FINE)
    assert app.run(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "Fixes" not in shown
    assert "This host can: replay, capture, lab.\n" in shown


def test_json_has_every_row_and_the_verdicts(finding, capsys):
    finding(FINE, NO_QEMU)
    assert app.run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["able"] == {"capture": True, "lab": False}
    assert [row["status"] for row in document["checks"]] == ["ok", "missing"]
    assert [row["fix"] for row in document["checks"]] == [None, "get it"]


@pytest.mark.parametrize(("purpose", "code"), [("capture", 0), ("lab", 4)])
def test_a_purpose_can_be_required(finding, purpose, code, capsys):
    finding(FINE, NO_QEMU, NO_SWAP)
    assert app.run(["doctor", "--require", purpose]) == code
    said = capsys.readouterr().err
    assert ("QEMU: none; fix: get it" in said) == (code == 4)


def test_an_unknown_purpose_is_wrong_usage(finding, capsys):
    finding(FINE)
    assert app.run(["doctor", "--require", "magic"]) == 2
    assert "magic" in capsys.readouterr().err


def test_it_looks_at_this_host_without_failing(capsys):
    assert app.run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"Python", "bcc", "QEMU", "kernel headers", "swap"} <= {
        row["name"] for row in document["checks"]
    }
