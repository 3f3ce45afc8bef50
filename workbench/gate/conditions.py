"""What can keep two sides from being compared as they are: the verdict and exit code of each.

docs/gate.md has this table, and its tests go through it row by row.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from workbench.errors import InputError, LostEventsError


class Condition(NamedTuple):
    """One thing about two sides, and what becomes of their figures."""

    found: str
    verdict: str
    exit_code: int


EXIT_FINE: Final = 0
EXIT_INPUT: Final = InputError.exit_code
EXIT_REGRESSION: Final = 5
EXIT_UNDECIDED: Final = 6
EXIT_LOST: Final = LostEventsError.exit_code

CONDITIONS: Final[dict[str, Condition]] = {
    "equal": Condition(
        "the same recordings, or 5 different ones a side and more, and all values are equal",
        "same",
        EXIT_FINE,
    ),
    "within": Condition("a change within the budget", "same", EXIT_FINE),
    "worse": Condition("a loss beyond the budget", "worse", EXIT_REGRESSION),
    "one-page": Condition(
        "a model figure of the same recording is worse by one page, without a budget",
        "worse",
        EXIT_REGRESSION,
    ),
    "better": Condition("a gain beyond the budget", "better", EXIT_FINE),
    "neither": Condition(
        "a change beyond the budget, of a metric of which neither way is better",
        "changed",
        EXIT_FINE,
    ),
    "ignored": Condition("the budget ignores the metric", "ignored", EXIT_FINE),
    "few-runs": Condition(
        "different recordings, and fewer than 5 runs on one side, even if all values are equal",
        "undecided",
        EXIT_UNDECIDED,
    ),
    "spread": Condition(
        "the interval of the change has the edge of the budget in it", "undecided", EXIT_UNDECIDED
    ),
    "zero": Condition(
        "a value of the baseline is 0: the change is a difference, beyond the absolute budget",
        "worse",
        EXIT_REGRESSION,
    ),
    "missing": Condition("only one side has a value of the metric", "undecided", EXIT_UNDECIDED),
    "missing-both": Condition("neither side has one", "not listed", EXIT_FINE),
    "unknown-metric": Condition(
        "a result has a metric that the dictionary does not, which is said", "not listed", EXIT_FINE
    ),
    "other-model": Condition(
        "the sides are of different models, and a figure changed, yet is not worse",
        "undecided",
        EXIT_UNDECIDED,
    ),
    "other-model-worse": Condition(
        "the sides are of different models, and a figure is worse", "worse", EXIT_REGRESSION
    ),
    "other-model-equal": Condition(
        "the sides are of different models, and all figures are equal", "same", EXIT_FINE
    ),
    "other-model-and-recordings": Condition(
        "different recordings, replayed by different models", "undecided", EXIT_UNDECIDED
    ),
    "other-machine": Condition(
        "different recordings, of different machines", "undecided", EXIT_UNDECIDED
    ),
    "other-work": Condition(
        "different recordings, of different scenarios", "undecided", EXIT_UNDECIDED
    ),
    "other-settings": Condition(
        "kernel, QEMU, or settings of lab or replay differ, which is said", "same", EXIT_FINE
    ),
    "other-recordings": Condition(
        "one side has a recording that the other has not, though they share some",
        "undecided",
        EXIT_UNDECIDED,
    ),
    "lost": Condition("events were lost on one side", "undecided", EXIT_LOST),
    "lost-allowed": Condition(
        "events were lost on one side, which is said, and allowed by `--allow-lost`",
        "same",
        EXIT_FINE,
    ),
    "not-a-number": Condition("a figure is NaN or infinite", "none", EXIT_INPUT),
    "other-schema": Condition(
        "a result is of another major trace format, or has another unit",
        "none",
        EXIT_INPUT,
    ),
    "incomplete": Condition("a capture did not end", "none", EXIT_INPUT),
    "mixed": Condition(
        "the runs of one side are of several scenarios or settings", "none", EXIT_INPUT
    ),
}
"""Where several hold, the exit code is 7 before 5 before 6."""
