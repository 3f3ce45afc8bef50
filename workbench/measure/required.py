"""What is given in place of a run or a curve is answered with how to make one."""

from __future__ import annotations

from workbench.errors import UsageError
from workbench.replay import Curve, Replay


def require_run(run: object) -> None:
    """Refuse what is given in place of a run, most often its trace.

    Raises
    ------
    UsageError
        It is none.
    """
    if not isinstance(run, Replay):
        raise UsageError(f"a {type(run).__name__} was given, expected a run: replay(trace)")


def require_curve(given: object) -> None:
    """Refuse what is given in place of a curve, most often a run.

    Raises
    ------
    UsageError
        It is none.
    """
    if not isinstance(given, Curve):
        raise UsageError(f"a {type(given).__name__} was given, expected a curve: curve(trace)")
