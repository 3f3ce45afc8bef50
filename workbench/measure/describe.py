"""What a trace holds, lost, and can answer, as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.measure.measured import measured_metrics
from workbench.measure.questions import answerable
from workbench.schema import TABLES, Feature, Kind
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.measure.questions import Answerable
    from workbench.trace import Manifest, Trace, VirtualMachine


def describe(trace: Trace) -> dict[str, object]:
    """Describe a trace: where it comes from, its settings, events, losses, and its answers."""
    manifest = trace.manifest
    return {
        "name": trace.name,
        "path": str(trace.path),
        "digest": trace.digest,
        "schema_version": manifest.schema_version,
        "tool_version": manifest.tool_version,
        "command": manifest.command,
        "scenario": manifest.scenario,
        "created": manifest.created,
        "complete": manifest.complete,
        "mid_life": manifest.mid_life,
        "span_seconds": manifest.duration_ns / NANOSECONDS,
        "host": manifest.host.model_dump(mode="json"),
        "access_interval_ns": manifest.access_interval_ns,
        "access_source": manifest.access_source,
        "machines": [_machine(machine, manifest) for machine in manifest.virtual_machines],
        "not_captured": [one.model_dump(mode="json") for one in manifest.not_captured],
        "rows": {name: len(trace.columns(name)["vm"]) for name in TABLES},
        "events": _event_counts(trace),
        "probes": [probe.model_dump(mode="json") for probe in manifest.probes],
        "events_lost": manifest.lost_events,
        "measured": measured_metrics(trace),
        "questions": [_question(answer) for answer in answerable(trace)],
    }


def event_table(trace: Trace) -> pd.DataFrame:
    """Count the events of a trace.

    Returns
    -------
    One row per kind that it has, named by it: events.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    counts = _event_counts(trace)
    return pd.DataFrame({"events": list(counts.values())}, pd.Index(counts, name="kind"))


def _event_counts(trace: Trace) -> dict[str, int]:
    kinds = trace.columns("events")["kind"]
    return {
        kind.name.lower(): count for kind in Kind if (count := int(np.count_nonzero(kinds == kind)))
    }


def _machine(machine: VirtualMachine, manifest: Manifest) -> dict[str, object]:
    described: dict[str, object] = machine.model_dump(
        mode="json", exclude={"arguments", "features", "attached_time_ns", "ended_time_ns"}
    )
    for name, time_ns in (("came", machine.attached_time_ns), ("ended", machine.ended_time_ns)):
        since_ns = None if time_ns is None else time_ns - manifest.start_time_ns
        described[f"{name}_seconds"] = None if since_ns is None else since_ns / NANOSECONDS
    features = machine.features
    described["features_at_start"] = (
        None
        if features is None
        else [feature.name.lower() for feature in Feature if features >> feature & 1]
    )
    return described


def _question(answer: Answerable) -> dict[str, object]:
    return {
        "question": answer.question.text,
        "settings": answer.question.settings.label,
        "answerable": answer.identifiable.answerable,
        "reasons": list(answer.identifiable.reasons),
        "notes": list(answer.identifiable.notes),
    }
