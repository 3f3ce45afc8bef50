"""Every case of the device's specification, on the model and on a real QEMU."""

import pytest

from tests.validation import (
    cases_config,
    cases_filtered,
    cases_hinting,
    cases_operator,
    cases_pages,
    cases_poison,
    cases_reporting,
    cases_rings,
)
from tests.validation.bench import Bench
from workbench.model.balloon.level import Level

TABLES = (
    cases_config,
    cases_reporting,
    cases_filtered,
    cases_rings,
    cases_poison,
    cases_pages,
    cases_operator,
    cases_hinting,
)
CASES = [case for table in TABLES for case in table.CASES]
MORE = {"68": ["68b"], "91": ["91b", "91c"]}
"""Numbers that were given later."""


def per_case(cases):
    """Make one test of each case, named after its number."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"case-{case.number}")


def do(case, bench):
    """Do a case, and compare what is seen with what the table says."""
    with bench:
        for expected, seen in bench.play(case):
            assert seen == expected, case.says


def test_every_case_is_there_once():
    numbers = [str(number) for number in range(1, 97)]
    listed = [each for number in numbers for each in (number, *MORE.get(number, ()))]
    assert [case.number for case in CASES] == listed


@per_case([case for case in CASES if case.modelled])
def test_the_model_does_it(case):
    do(case, Bench())


@pytest.mark.parametrize(
    ("level", "case"),
    [
        pytest.param(level, case, id=f"{level.value}-case-{case.number}")
        for level in (Level.V22, Level.QEMU_5_1)
        for case in CASES
        if level in case.old
    ],
)
def test_the_model_of_an_old_level_does_it(level, case):
    """Its QEMU is not there to be asked."""
    do(case, Bench(level=level))


@pytest.mark.qemu
@per_case(CASES)
def test_qemu_does_it(case, tmp_path):
    """The model, beside it, does the same."""
    do(case, Bench(tmp_path))
