"""Budgets: how much of a metric may be lost before that is a regression.

A budget file is TOML.  Its budgets are by metric or pattern; what `workbench compare --accept`
wrote follows them:

    [budget.resident_bytes_mean]
    relative = 0.05           # 5 % of the baseline
    absolute = 4194304        # and never less than 4 MiB, in the metric's own unit

    [budget."swap_*"]
    ignored = "this guest has no swap"

An entry by name wins over patterns, and a later pattern over an earlier one.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from workbench.errors import InputError
from workbench.measure import BY_NAME, Better
from workbench.spelling import suggestion
from workbench.toml_file import UNKNOWN_NAME, Strict, read_toml
from workbench.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Budget(Strict):
    """What of a metric may be lost.  The larger of the two limits holds."""

    relative: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """As a fraction of the baseline."""
    absolute: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """In the unit of the metric."""
    better: Better | None = Field(default=None, strict=False)
    """Which way is an improvement, where that is not as the dictionary has it."""
    ignored: str = ""
    """Why the metric has no say; empty where it has one."""

    @model_validator(mode="after")
    def _ignored_has_no_limits(self) -> Self:
        if self.ignored and (self.relative or self.absolute):
            raise InputError("a metric is either ignored or has limits; leave one of them out")
        return self


EXACT: Final = Budget()
"""Of figures that are a pure function of recording, settings and model: any difference is real."""

NOT_LISTED: Final = "differs too much between runs of one command, or follows from others"
"""Why a metric that RUNS does not name has no say where runs are compared."""

RUNS: Final[dict[str, Budget]] = {
    "*": Budget(ignored=NOT_LISTED),
    "resident_bytes_mean": Budget(relative=0.05, absolute=2 * MIB),
    "measured_resident_bytes_mean": Budget(relative=0.05, absolute=2 * MIB),
    "reclaimed_bytes": Budget(relative=0.05, absolute=2 * MIB),
    "swap_in_pages": Budget(relative=0.20, absolute=1024),
    "swap_out_pages": Budget(relative=0.20, absolute=1024),
    "discards_failed": Budget(absolute=1),
}
"""Of figures that differ from run to run.  Source: docs/gate.md, "How wide, and why"."""


Value = (
    Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
    | Annotated[FiniteFloat, Field(strict=True)]
)
"""A figure: what fits an int64, as all counts here do, or a number that is one."""


class Accepted(Strict):
    """Figures that `workbench compare --accept` accepted of one recording and its settings."""

    name: str
    trace: str
    settings: str
    model: str
    trace_format: str
    figures: dict[str, Value]
    before: list[Before] = Field(default=[])
    """What they were, newest first."""


class Before(Strict):
    """Figures that were replaced, and the model they were of."""

    model: str
    figures: dict[str, Value]


class BudgetFile(Strict):
    """The whole of a budget file."""

    budget: dict[str, Budget] = Field(default={})
    accepted: list[Accepted] = Field(default=[])


Accepted.model_rebuild()


class Budgets:
    """The budget of each metric: the user's, and where there is none the built-in one."""

    def __init__(self, chosen: Mapping[str, Budget] | None = None) -> None:
        self._chosen = chosen or {}

    def of(self, metric: str, *, exact: bool) -> Budget:
        """Find the budget of a metric that is compared exactly, or run by run."""
        built_in = None if exact else _find(RUNS, metric)
        return _find(self._chosen, metric) or built_in or EXACT


def _find(budgets: Mapping[str, Budget], metric: str) -> Budget | None:
    if metric in budgets:
        return budgets[metric]
    matching = [name for name in budgets if fnmatch.fnmatchcase(metric, name)]
    return budgets[matching[-1]] if matching else None


def read_budget_file(path: Path) -> BudgetFile:
    """Read a budget file.

    Raises
    ------
    InputError
        It cannot be read, is not TOML, or has a key, metric or value that is not known.
    """
    document, _ = read_toml(path)
    try:
        found = BudgetFile.model_validate(document)
        for name in found.budget:
            _check_metric(name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == UNKNOWN_NAME:
            raise InputError(f"{path}: {first['msg']}") from None
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {field!r} is wrong: {first['msg']}") from None
    return found


def _check_metric(name: str) -> None:
    """Refuse a name or pattern that stands for no metric: a budget that never holds is a trap."""
    if any(fnmatch.fnmatchcase(metric, name) for metric in BY_NAME):
        return
    close = suggestion(name, BY_NAME, otherwise="docs/metrics.md lists them")
    raise InputError(f"no metric is called {name!r}{close}")
