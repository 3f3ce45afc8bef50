"""The jobs of docs/gate.md, run exactly as they are printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/gate.md").read_text(encoding="utf-8")
GITHUB, GITLAB = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def github_step(name):
    """Give the commands of a step of the GitHub jobs; GitHub runs them with bash -e."""
    found = re.search(rf"- name: {name}\n +run: \|\n((?: {{10}}.*\n)+)", GITHUB)
    return textwrap.dedent(found[1])


def gitlab_script():
    """Give the commands of the GitLab job; GitLab runs them one after the other."""
    found = re.search(r"  script:\n((?:    - .*\n)+)", GITLAB)
    return "\n".join(line.removeprefix("    - ") for line in found[1].splitlines())


def git(folder, *arguments):
    """Run git, as somebody."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """Clone a repository that has the bundled traces on its branch main."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "--initial-branch=main")
    shutil.copytree(ROOT / "traces", origin / "traces")
    git(origin, "add", ".")
    git(origin, "commit", "-m", "traces")
    git(tmp_path, "clone", str(origin), "checkout")
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "workbench"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m workbench "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return tmp_path / "checkout"


def perform(commands, checkout):
    """Run commands in a checkout as CI would, and give the exit code and what was printed."""
    environment = {
        **os.environ,
        "PATH": f"{checkout.parent / 'programs'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(checkout.parent / "summary.md"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "BASE_RUNS": "traces/churn-on.trace",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def lower_what_is_accepted(checkout):
    """Let the base have accepted a page less of resident memory than the traces give."""
    file = checkout / "traces/accepted.toml"
    text = file.read_text(encoding="utf-8")
    found = re.search(r"resident_bytes_peak = (\d+)", text)
    file.write_text(text.replace(found[0], f"resident_bytes_peak = {int(found[1]) - 4096}", 1))
    git(checkout, "commit", "--all", "-m", "less")
    git(checkout, "push", "origin", "HEAD:refs/heads/main", "--force")
    git(checkout, "fetch", "origin")


JOBS = {
    "GitHub": (github_step("compare with the base branch"), "../summary.md"),
    "GitLab": (gitlab_script(), "compare.md"),
}


@pytest.mark.parametrize("where", JOBS)
def test_the_job_passes_fails_on_a_regression_and_publishes_both(where, checkout):
    git(checkout.parent / "origin", "checkout", "--detach")
    commands, summary = JOBS[where]
    passed, told = perform(commands, checkout)
    fine = (checkout / summary).read_text(encoding="utf-8")
    lower_what_is_accepted(checkout)
    failed, _ = perform(commands, checkout)
    worse = (checkout / summary).read_text(encoding="utf-8")

    assert (passed, failed) == (0, 5), told
    assert fine.startswith("Fine: no loss")
    assert worse.startswith(
        "Regression: resident_bytes_peak of churn-init-on-free is 4.00 KiB more"
    )
    assert (checkout / "compare.xml").exists()


def test_the_job_of_live_guests_compares_what_it_captured(checkout):
    """With one run a side it is undecided, and says how many would do."""
    shutil.copytree(ROOT / "traces/churn-order0.trace", checkout / "new/on-01.trace")
    code, _ = perform(github_step("compare with the runs of the base branch"), checkout)

    assert code == 6
    assert "about 12 runs a side" in (checkout.parent / "summary.md").read_text(encoding="utf-8")


@pytest.mark.live
def test_the_job_of_live_guests_captures(checkout):
    code, told = perform(f"RUNS=1\n{github_step('capture')}", checkout)

    assert code == 0, told
    assert (checkout / "new/on-01.trace/manifest.json").exists()


def test_what_is_installed_and_kept_is_what_make_and_the_jobs_name():
    """What the test does not run: the installation, which it shares with `make setup`."""
    assert "make setup" in github_step("install")
    assert re.search(r"^setup:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for commands, summary in JOBS.values():
        assert "compare.xml" in commands
        assert summary == "../summary.md" or f"- {summary}\n" in GITLAB
