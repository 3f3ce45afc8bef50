"""What every chart must say about its numbers; pandas carries it along with the frame.

Names of a trace may be anything: what would be obeyed rather than seen is spelt out here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.spelling import on_one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from workbench.replay import Replay

_WITHOUT_CHANGE: Final = frozenset({"as captured", "predicted", ""})
"""What runs are called that have no settings of their own."""


def run_attributes(run: Replay) -> dict[Hashable | None, Any]:
    """Say what a frame of one run is of."""
    manifest = run.trace.manifest
    return {
        "title": on_one_line(manifest.scenario or run.trace.name),
        "label": run.settings.label,
        "run": run_label(run),
        "caption": on_one_line(
            f"trace {run.trace.name} {run.trace.digest[:8]}, model {_model_name(run)}"
        ),
        "lost_events": manifest.lost_events,
        "machines": [on_one_line(machine.name) for machine in manifest.virtual_machines],
    }


def runs_attributes(runs: Sequence[Replay]) -> dict[Hashable | None, Any]:
    """Say what a frame of several runs is of, be they of one trace or of several."""
    attributes = run_attributes(runs[0])
    traces = {run.trace.digest: run.trace for run in runs}
    if len(traces) > 1:
        attributes["caption"] = f"{len(traces)} traces, model {_model_name(runs[0])}"
        attributes["lost_events"] = sum(t.manifest.lost_events for t in traces.values())
    return attributes


def run_label(run: Replay) -> str:
    """Name a run beside others."""
    return on_one_line(f"{run.trace.name}, {run.settings.label}")


def with_settings(label: str) -> str:
    """Put the label of settings behind a noun: 309 MiB ``with free_page_reporting off``.

    Parameters
    ----------
    label
        Of settings; what was not changed has none to put "with" before, ``as captured``, and
        ``without reporting`` says it already.

    Examples
    --------
    >>> with_settings("free_page_reporting off"), with_settings("as captured")
    ('with free_page_reporting off', 'as captured')
    """
    is_said = label in _WITHOUT_CHANGE or label.startswith("without ")
    return label if is_said else f"with {label}"


def _model_name(run: Replay) -> str:
    return str(run.lineage["model"])[:8]
