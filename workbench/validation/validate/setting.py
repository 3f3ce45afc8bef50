"""Which run of the lab a trace is: its workload, and the settings that a prediction may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.errors import UsageError
from workbench.replay import read_settings
from workbench.units import HUGE_PAGE_ORDER, format_bytes

if TYPE_CHECKING:
    from workbench.replay import Settings
    from workbench.trace import Trace

_VARIED: Final = frozenset(
    {"reporting", "reporting_order", "poison", "memory_limit_bytes", "free_page_hint"}
)
"""Settings of the lab in which captures and live runs may differ; all others must be equal."""


class Setting(NamedTuple):
    """What of a lab run is asked about.

    Attributes
    ----------
    order
        The reporting order; None without reporting.
    poison
        As the lab's setting: "none", "init_on_free" or a number.
    """

    order: int | None
    poison: str
    hints: bool
    memory_limit_bytes: int | None

    @property
    def label(self) -> str:
        """Name it the way people say it."""
        words = ["off" if self.order is None else f"order {self.order}"]
        words += [] if self.poison == "none" else [_say_poison(self.poison)]
        words += ["hinting"] if self.hints else []
        if self.memory_limit_bytes is not None:
            words.append(f"limit {format_bytes(self.memory_limit_bytes)}")
        return ", ".join(words)


class Workload(NamedTuple):
    """What captures and live runs must have in common."""

    scenario: str
    text: str
    lab_settings: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """Name it by its scenario, and what of the lab's settings is rarely equal."""
        settings = dict(self.lab_settings)
        words = [self.scenario]
        if settings.get("guest_count", "1") != "1":
            words.append(f"{settings['guest_count']} guests")
        if settings.get("attach_after", "None") != "None":
            words.append("mid-life")
        return ", ".join(words)


def setting_of(trace: Trace) -> tuple[Workload, Setting]:
    """Read both from the manifest.

    Raises
    ------
    UsageError
        The lab did not make the trace.
    """
    manifest = trace.manifest
    settings = manifest.lab_settings
    if not manifest.scenario or not settings:
        raise UsageError(
            f"{trace.path}: names no scenario and no settings of the lab, and only its traces can "
            "be compared by setting; make one with `workbench lab run`"
        )
    others = tuple(sorted((k, v) for k, v in settings.items() if k not in _VARIED))
    order = settings.get("reporting_order", "None")
    limit = settings.get("memory_limit_bytes", "None")
    reports = settings.get("reporting") == "True"
    setting = Setting(
        order=None if not reports else HUGE_PAGE_ORDER if order == "None" else int(order),
        poison=settings.get("poison", "none"),
        hints=settings.get("free_page_hint") == "True",
        memory_limit_bytes=None if limit == "None" else int(limit),
    )
    return Workload(manifest.scenario, manifest.scenario_text, others), setting


def settings_to_ask(captured: Setting, asked: Setting) -> Settings:
    """Say which settings of a replay lead from one to the other.

    Raises
    ------
    UsageError
        A replay has no setting for a difference.
    """
    assignments = []
    if asked.order is None and captured.order is not None:
        assignments.append("device.free_page_reporting=off")
    elif asked.order is not None and captured.order is None:
        assignments.append("device.free_page_reporting=on")
    elif asked.order != captured.order:
        assignments.append(f"guest.reporting_order={asked.order}")
    if asked.poison != captured.poison:
        assignments += _poison_assignments(captured.poison, asked.poison)
    if asked.hints != captured.hints:
        assignments.append(f"device.free_page_hint={'on' if asked.hints else 'off'}")
    if asked.memory_limit_bytes != captured.memory_limit_bytes:
        raise UsageError(
            "captured under another memory limit: how much of it was left for the guests' RAM is "
            "seen in the trace only for its own; capture with the limit that is asked for"
        )
    return read_settings(assignments)


def _poison_assignments(captured: str, asked: str) -> list[str]:
    """A poison value belongs to a guest with init_on_free; the lab sees to that."""
    if asked == "none":
        return ["guest.init_on_free=off"]
    assignments = ["guest.init_on_free=on"] if captured == "none" else []
    if asked != "init_on_free":
        return [*assignments, f"guest.poison_val={asked}"]
    return assignments or ["guest.poison_val=0"]


def _say_poison(poison: str) -> str:
    return poison if poison == "init_on_free" else f"poison_val {int(poison, 0):#x}"
