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
"""A difference must show within so many programs."""

SEED = "wrong"


@pytest.fixture(scope="module", autouse=True)
def _huge_pages():
    with huge_pages(24):
        yield


def first_finding(kind_names):
    """Run programs of these kinds until one differs; also say how many it took."""
    plan = make_plan(SEED, PROGRAMS_MAX, [KINDS[name] for name in kind_names])
    count = 0
    for job in plan:
        result = run_job(job, "qemu-system-x86_64", explain=False)
        count += result.program_count
        if result.finding is not None:
            return result.finding, count
    return None, count


def test_there_are_at_least_twelve():
    assert len(WRONG) >= 12


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_is_found_out(name, monkeypatch):
    make_wrong, kind_names = WRONG[name]
    make_wrong(monkeypatch)

    finding, count = first_finding(kind_names)

    assert finding is not None
    assert count <= PROGRAMS_MAX


@pytest.mark.parametrize(
    "kind_name", sorted({kind for _, kinds in WRONG.values() for kind in kinds})
)
def test_the_right_model_is_not(kind_name):
    """Otherwise the above would prove nothing."""
    plan = make_plan(SEED, 200, [KINDS[kind_name]])

    findings = [run_job(job, "qemu-system-x86_64", explain=False).finding for job in plan]
    assert [finding for finding in findings if finding is not None] == []
