"""Many guests on one host: how many fit, at which risk, and what settings change about it."""

from typing import TYPE_CHECKING

from workbench.spelling import only
from workbench.study.compared import variants
from workbench.study.file import read_study
from workbench.study.of_trace import ask_study
from workbench.study.plans import Plan, is_plan, plan, read_plan
from workbench.study.study import (
    WITHOUT_REPORTING,
    FaultCosts,
    GuestKind,
    HostKind,
    Limit,
    Phase,
    Study,
    Variant,
)

__all__ = [
    "WITHOUT_REPORTING",
    "FaultCosts",
    "GuestKind",
    "HostKind",
    "Limit",
    "Phase",
    "Plan",
    "Study",
    "Variant",
    "ask_study",
    "is_plan",
    "plan",
    "read_plan",
    "read_study",
    "variants",
]

if not TYPE_CHECKING:  # A type checker takes any name for right where a package has these.
    __getattr__, __dir__ = only(__name__, __all__)
