"""The comparison finds out models that are wrong; if it did not, its silence would mean nothing."""

from __future__ import annotations

import pytest

from tests.validation.wrong_models import WRONG
from workbench.validation.conform import run_job
from workbench.validation.huge_pages import huge_pages
from workbench.validation.kinds import KINDS
from workbench.validation.plan import make_plan

pytestmark = pytest.mark.qemu

PROGRAMS_MAX = 5000
"""A difference must show within so many programs, of all kinds, mixed as they are in any run."""

SEED = "wrong"


@pytest.fixture(scope="module", autouse=True)
def _huge_pages():
    with huge_pages(24):
        yield


def plan_of_a_run():
    """Plan a run; each kind may come to one program more than its share."""
    plan = make_plan(SEED, PROGRAMS_MAX - len(KINDS), list(KINDS.values()))
    assert sum(job.program_count for job in plan) <= PROGRAMS_MAX
    return plan


def first_finding(likely):
    """Run programs until one differs, those of the likely kinds first.

    What a program is does not depend on when it runs, so that this only saves time.
    """
    for job in sorted(plan_of_a_run(), key=lambda job: job.kind_name not in likely):
        finding = run_job(job, "qemu-system-x86_64", explain=False).finding
        if finding is not None:
            return finding
    return None


def test_there_are_at_least_twelve():
    assert len(WRONG) >= 12


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_is_found_out(name, monkeypatch):
    make_wrong, kind_names = WRONG[name]
    make_wrong(monkeypatch)

    assert first_finding(kind_names) is not None


@pytest.mark.parametrize(
    "kind_name", sorted({kind for _, kinds in WRONG.values() for kind in kinds})
)
def test_the_right_model_is_not(kind_name):
    """Otherwise the above would prove nothing."""
    jobs = [job for job in plan_of_a_run() if job.kind_name == kind_name]

    findings = [run_job(job, "qemu-system-x86_64", explain=False).finding for job in jobs]
    assert [finding for finding in findings if finding is not None] == []
