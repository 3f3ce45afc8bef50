"""Every way to poison free pages times every way to report them, asked of one trace."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.measure.asking import WITHOUT_REPORTING
from workbench.measure.attributes import run_attributes
from workbench.measure.metrics import metrics
from workbench.measure.overview import in_common
from workbench.measure.pairs import poison_values
from workbench.measure.questions import Question
from workbench.model import PAGE_POISON_VAL
from workbench.replay import (
    CANNOT_BE_PLACED,
    Device,
    Guest,
    Settings,
    captured_facts,
    judge,
    replay,
    replay_all,
)
from workbench.units import NANOSECONDS, format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from workbench.replay import Identifiable, Replay
    from workbench.trace import Trace

POISONS: Final = (
    Question("no poison", Settings(guest=Guest(poison_val=0, init_on_free=False))),
    Question("init_on_free", Settings(guest=Guest(init_on_free=True))),
    Question("poison_val 0xaaaaaaaa", Settings(guest=Guest(poison_val=PAGE_POISON_VAL))),
)
"""What a guest does with its free pages."""

_LONGER_NS: Final = 10 * NANOSECONDS
"""Five times Linux's 2 s: a delay that spares what is taken again soon."""

REPORTINGS: Final = (
    Question("off", WITHOUT_REPORTING),
    *(
        Question(
            f"order {order}",
            Settings(device=Device(free_page_reporting=True), guest=Guest(reporting_order=order)),
        )
        for order in (0, 5, 9)
    ),
    Question(
        "delay 10 s",
        Settings(
            device=Device(free_page_reporting=True), guest=Guest(reporting_delay_ns=_LONGER_NS)
        ),
    ),
)
"""How it reports them: the orders are the finest, Linux's own, and one between."""

MATRIX_METRICS: Final = (
    "reclaimed_bytes",
    "resident_bytes_mean",
    "resident_bytes_final",
    "discards",
    "refaults",
    "swap_in_pages",
    "swap_out_pages",
)
"""What people weigh: memory given back, and what it costs to take it again or to do without."""

_AS_CAPTURED: Final = Settings()


def setting_matrix(
    trace: Trace,
    *,
    poisons: Sequence[Question] = POISONS,
    reportings: Sequence[Question] = REPORTINGS,
    progress: Callable[[int], None] | bool = True,
) -> pd.DataFrame:
    """Replay a trace with every combination that it can answer for, on all processors.

    Parameters
    ----------
    poisons, reportings
        What to combine, beside what was captured; what equals that is left out.
    progress
        Whether to show on a terminal or in a notebook, after a second, how many are done; or what
        is called with 1 after each.

    Returns
    -------
    One row per combination, as captured first: poison and reporting (in words), label (as
    settings), answerable, reason (why not, else empty), short_reason (in a few words), notes
    (what the answer leaves open) and the metrics of `MATRIX_METRICS`, missing where the trace
    cannot answer or does not know.
    In `attrs`, model_error: that of the replay as captured, which no combination changes.

    Raises
    ------
    InputError
        The trace is damaged.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    facts = captured_facts(trace)
    cells = [
        _Cell(poison.text, reporting.text, settings, judge(facts, settings))
        for poison, reporting in product(
            _options("poison", trace, poisons), _options("reporting", trace, reportings)
        )
        for settings in [_settings(poison.settings.changed | reporting.settings.changed)]
    ]
    asked = [cell.settings for cell in cells if cell.verdict.answerable]
    runs = iter(replay_all(trace, asked, progress=progress))
    frame = pd.DataFrame(
        [_row(trace, cell, next(runs) if cell.verdict.answerable else None) for cell in cells]
    )
    captured = replay(trace)
    frame.attrs = {**run_attributes(captured), "model_error": captured.model_error}
    return frame


class _Cell(NamedTuple):
    """A combination, and whether the trace can answer it."""

    poison: str
    reporting: str
    settings: Settings
    verdict: Identifiable


def _row(trace: Trace, cell: _Cell, run: Replay | None) -> dict[str, object]:
    reasons = in_common(trace, cell.verdict.reasons)
    notes = cell.verdict.notes if run is None else run.identifiable.notes
    return {
        "poison": cell.poison,
        "reporting": cell.reporting,
        "label": cell.settings.label,
        "answerable": cell.verdict.answerable,
        "reason": "; ".join(reasons),
        "short_reason": _short(reasons[0]) if reasons else "",
        "notes": "; ".join(notes),
        **_values(run),
    }


def _short(reason: str) -> str:
    """Give the words of a reason that fit into a cell: what stands in the way, or its beginning."""
    obstacle = reason.partition(CANNOT_BE_PLACED)[2]
    return obstacle or reason.partition(":")[0].partition(";")[0]


def _values(run: Replay | None) -> dict[str, float]:
    if run is None:
        return dict.fromkeys(MATRIX_METRICS, math.nan)
    found = metrics(run)
    values = {name: found[name]["value"] for name in MATRIX_METRICS}
    return {
        name: float(value) if isinstance(value, int | float) else math.nan
        for name, value in values.items()
    }


def _options(axis: str, trace: Trace, choices: Sequence[Question]) -> list[Question]:
    """Put what was captured first, and of the others keep what differs from it."""
    captured = _captured(trace)
    words = _poison_words(captured) if axis == "poison" else _reporting_words(captured)
    options = [Question(f"as captured: {words}" if words else "as captured", _AS_CAPTURED)]
    for text, settings in choices:
        changed = {
            name: value for name, value in settings.changed.items() if captured.get(name) != value
        }
        if changed:
            options.append(Question(text, _settings(changed)))
    return options


def _captured(trace: Trace) -> dict[str, Any]:
    """Give the settings in which all machines were captured alike, by their dotted names."""
    machines = captured_facts(trace).machines
    values: dict[str, set[Any]] = {
        "device.free_page_reporting": {machine.reports for machine in machines},
        "guest.reporting_order": {machine.reporting_order for machine in machines},
        "guest.reporting_delay_ns": {machine.reporting_delay_ns for machine in machines},
        "guest.init_on_free": {machine.init_on_free for machine in machines},
        "guest.poison_val": set(poison_values(trace)) or {0},
    }
    return {name: found.pop() for name, found in values.items() if len(found) == 1}


def _poison_words(captured: dict[str, Any]) -> str:
    if captured.get("guest.poison_val"):
        return f"poison_val 0x{captured['guest.poison_val']:x}"
    if captured.get("guest.init_on_free"):
        return "init_on_free"
    return "no poison" if captured.get("guest.init_on_free") is False else ""


def _reporting_words(captured: dict[str, Any]) -> str:
    if captured.get("device.free_page_reporting") is False:
        return "off"
    order = captured.get("guest.reporting_order")
    delay_ns = captured.get("guest.reporting_delay_ns")
    words = [] if order is None else [f"order {order}"]
    return ", ".join(words + ([] if delay_ns is None else [f"delay {format_ns(delay_ns)}"]))


def _settings(changed: Mapping[str, Any]) -> Settings:
    """Make settings of dotted names."""
    tables: dict[str, dict[str, Any]] = {"device": {}, "guest": {}}
    for dotted, value in changed.items():
        table, _, name = dotted.partition(".")
        tables[table][name] = value
    return Settings(device=Device(**tables["device"]), guest=Guest(**tables["guest"]))
