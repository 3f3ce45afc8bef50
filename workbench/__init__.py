"""The balloon workbench: capture what guests give back, replay it, ask what else could have been.

    import workbench as wb

    trace = wb.read_trace("traces/churn-on.trace")
    run = wb.replay(trace)
    what_if = wb.replay(trace, guest=wb.Guest(poison_val=0xAAAAAAAA))
    wb.compare(run, what_if)
    wb.plot.resident_memory(run, what_if)
    curve = wb.curve(trace)

The rooms, in the order data walks through them: capture, lab, trace, model, replay, measure,
study, plot, report, validation, gate, cli.  Names are imported when they are first used (PEP 562),
so that a command which needs no arrays does not wait for them.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workbench import measure as measure
    from workbench import plot as plot
    from workbench.measure import compare as compare
    from workbench.measure import totals as totals
    from workbench.replay import Cost as Cost
    from workbench.replay import Device as Device
    from workbench.replay import Guest as Guest
    from workbench.replay import Host as Host
    from workbench.replay import Settings as Settings
    from workbench.replay import curve as curve
    from workbench.replay import replay as replay
    from workbench.replay import replay_all as replay_all
    from workbench.study import plan as plan
    from workbench.study import read_study as read_study
    from workbench.trace import read_trace as read_trace

__version__ = "0.1.0"

__all__ = [
    "Cost",
    "Device",
    "Guest",
    "Host",
    "Settings",
    "__version__",
    "compare",
    "curve",
    "measure",
    "plan",
    "plot",
    "read_study",
    "read_trace",
    "replay",
    "replay_all",
    "totals",
]

_ROOMS: Final = ("measure", "plot")
"""Those of which notebooks use more than a few names."""

_HOMES: Final = {
    "Cost": "workbench.replay",
    "Device": "workbench.replay",
    "Guest": "workbench.replay",
    "Host": "workbench.replay",
    "Settings": "workbench.replay",
    "compare": "workbench.measure",
    "curve": "workbench.replay",
    "plan": "workbench.study",
    "read_study": "workbench.study",
    "read_trace": "workbench.trace",
    "replay": "workbench.replay",
    "replay_all": "workbench.replay",
    "totals": "workbench.measure",
}


class _Package(ModuleType):
    """Keeps `workbench.replay` the function, although a room has the same name.

    Python binds a sub-module to its package whenever anything imports it, and would so replace
    the function by the module.  `from workbench.replay import Settings` works as ever.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name == "replay" and isinstance(value, ModuleType):
            value = value.replay
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def _find(name: str) -> object:
    """Import what is asked for, the first time it is asked for."""
    if name in _ROOMS:
        return importlib.import_module(f"workbench.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    from workbench.spelling import only  # noqa: PLC0415 - as everything here.

    missing, _ = only(__name__, __all__)
    return missing(name)


if not TYPE_CHECKING:  # A type checker takes any name for right where a package has this.
    __getattr__ = _find


def __dir__() -> list[str]:
    """Name what can be imported from here."""
    return sorted(__all__)
