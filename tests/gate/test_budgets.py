"""Budget files: what holds for which metric, and what is wrong in a file."""

from __future__ import annotations

import pytest

from workbench.errors import InputError
from workbench.gate import Budget, Budgets, read_budget_file
from workbench.measure import BY_NAME, Better

ACCEPTED = """
[[accepted]]
name = "churn"
trace = "a"
settings = "as captured"
model = "m"
trace_format = "1.2"
[accepted.figures]
"""


def read(tmp_path, text):
    """Read a budget file of that text."""
    path = tmp_path / "budgets.toml"
    path.write_text(text, encoding="utf-8")
    return read_budget_file(path)


def test_a_name_wins_over_patterns_and_a_later_pattern_over_an_earlier(tmp_path):
    file = read(
        tmp_path,
        """
        [budget.resident_bytes_mean]
        relative = 0.01
        [budget."*"]
        relative = 0.02
        [budget."resident_*"]
        relative = 0.03
        """,
    )
    found = Budgets(file.budget)

    assert found.of("resident_bytes_mean", exact=True).relative == 0.01
    assert found.of("resident_bytes_peak", exact=True).relative == 0.03
    assert found.of("refaults", exact=False).relative == 0.02


def test_without_a_file_equal_recordings_have_no_budget_at_all():
    assert {Budgets().of(name, exact=True) for name in BY_NAME} == {Budget()}


def test_without_a_file_runs_have_a_budget_or_a_reason_to_be_ignored():
    for name in BY_NAME:
        budget = Budgets().of(name, exact=False)
        assert budget.relative > 0 or budget.absolute > 0 or budget.ignored


def test_all_that_can_be_said_of_a_metric(tmp_path):
    file = read(
        tmp_path,
        """
        [budget.reports]
        relative = 1
        absolute = 2.5
        better = "lower"
        [budget."swap_*"]
        ignored = "no swap here"
        """,
    )

    assert file.budget["reports"] == Budget(relative=1.0, absolute=2.5, better=Better.LOWER)
    assert file.budget["swap_*"].ignored == "no swap here"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[budgets.refaults]", "did you mean 'budget'"),
        ("[budget.refaults]\nrelative = true", "'budget.refaults.relative' is wrong"),
        ('[budget.refaults]\nrelative = "0.05"', "'budget.refaults.relative' is wrong"),
        ("[budget.refaults]\nrelativ = 1", "did you mean 'relative'"),
        ("[budget.refault]\nrelative = 1", "did you mean 'refaults'"),
        ('[budget."swapp_*"]\nrelative = 1', "no metric is called"),
        ("[budget.refaults]\nrelative = -1", "greater than or equal to 0"),
        ("[budget.refaults]\nrelative = nan", "finite"),
        ('[budget.refaults]\nbetter = "up"', "'lower', 'higher' or 'neither'"),
        ('[budget.refaults]\nignored = "x"\nabsolute = 1', "either ignored or has limits"),
        ("budget = 3", "'budget' is wrong"),
        ("[budget", "not TOML"),
        ("[[accepted]]\nname = 3", "accepted.0"),
        (f"{ACCEPTED}refaults = nan", "figures.refaults"),
        (f"{ACCEPTED}refaults = true", "figures.refaults"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_what_would_be_right(tmp_path, text, words):
    with pytest.raises(InputError, match=r"budgets\.toml") as refused:
        read(tmp_path, text)

    assert words in str(refused.value)


def test_a_file_that_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_budget_file(tmp_path / "none.toml")
