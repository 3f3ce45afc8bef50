"""What settings, judgements and results say of themselves in a terminal and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.card import Card
from workbench.model import Outcome
from workbench.replay.ledger import pages_moved
from workbench.units import PAGE_BYTES, format_bytes, format_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.replay.door import Replay
    from workbench.replay.every_size import Curve
    from workbench.replay.identify import Identifiable

_RATES: Final = (1000, 100, 10, 1, 0)
"""Pages a second for which a curve says the memory that is enough."""


def settings_card(name: str, changed: Mapping[str, bool | int | str]) -> Card:
    """Show what settings change, each as people read it.

    Parameters
    ----------
    name
        Of their class.
    changed
        By dotted or plain names, which end with their unit.
    """
    facts = [(setting, in_words(setting, value)) for setting, value in changed.items()]
    return Card(title=name, facts=facts or [("all", "as captured")])


def in_words(name: str, value: bool | int | str) -> str:  # noqa: FBT001 - a setting may be one.
    """Write down a setting's value, with what its name says of its unit."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if name.endswith("_bytes"):
        return format_bytes(value)
    if name.endswith("_bytes_per_second"):
        return f"{format_bytes(value)} per second"
    if name.endswith("_ns"):
        return format_ns(value)
    return f"0x{value:x}" if name.endswith("poison_val") else f"{value:,}"


def in_python(name: str, value: bool | int | str) -> str:  # noqa: FBT001 - a setting may be one.
    """Write down a setting as one would give it in Python."""
    if isinstance(value, bool | str):
        return f"{name}={value!r}"
    return f"{name}=0x{value:x}" if name == "poison_val" else f"{name}={value:_}"


def identifiable_card(found: Identifiable) -> Card:
    """Say whether a question can be answered, and why not or what that leaves open."""
    if found.answerable:
        return Card(title="answerable", remarks=found.notes)
    return Card(title="not answerable", remarks=found.reasons)


def replay_card(run: Replay) -> Card:
    """Say what was replayed, what came of it, and how right that is."""
    facts = [
        *events_facts(run.events),
        ("resident", _resident(run)),
        ("swap", _swapped(run)),
        ("model error", error_in_words(run.model_error)),
        ("lost", _losses(run)),
    ]
    remarks = run.identifiable.notes
    if not remarks:
        facts.append(("note", "the answer leaves nothing open"))
    return Card(
        title=f"Replay of {run.trace.name}, {run.settings.label}", facts=facts, remarks=remarks
    )


def events_facts(events: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say how many events were replayed, and what became of the ranges that were reported."""
    skipped = [f"{count:,} skipped ({why})" for why, count in events["skipped"].items() if count]
    became = [f"{events['ranges']:,} reported", f"{events['discarded']:,} discarded", *skipped]
    if events["discards_failed"]:
        became.append(f"{events['discards_failed']:,} failed")
    return [("events", f"{events['total']:,} replayed"), ("ranges", ", ".join(became))]


def curve_card(curve: Curve) -> Card:
    """Say how much memory is enough for how much swapping."""
    sizes = [(rate, curve.bytes_for(rate)) for rate in _RATES]
    least_bytes = curve.bytes_for(0)
    answer = "some was in swap before, and is read with any memory"
    if least_bytes is not None:
        answer = f"nothing swapped from {format_bytes(least_bytes)} on"
    return Card(
        title=f"Curve of {curve.trace.name}, {curve.settings.label}",
        facts=[("answer", answer), ("model error", error_in_words(curve.model_error))],
        columns=("swapped pages a second, at most", "memory"),
        rows=[
            (f"{rate:,}", "none is enough" if size is None else format_bytes(size))
            for rate, size in sizes
        ],
        remarks=curve.identifiable.notes,
    )


def error_in_words(model_error: Mapping[str, Any]) -> str:
    """Say how far the replay as captured is from the samples."""
    error = model_error["resident_bytes"]
    if error is None:
        return f"unknown ({model_error['reason']})"
    text = f"{100 * error['mean']:.2f} % of the peak on average"
    final = error["final_pages"]
    return text if final is None else f"{text}, {final:+,} pages at the end"


def _resident(run: Replay) -> str:
    if not run.trace.manifest.saw_faults:
        return "unknown memory (faults were not captured)"
    final = f"{format_bytes(run.final_resident_bytes)} at the end"
    if any(machine.ended_time_ns is not None for machine in run.trace.manifest.virtual_machines):
        return final
    deltas = np.concatenate(([0], run.ledger.resident_delta_pages))
    peak = int((run.initial_resident_pages.sum() + np.cumsum(deltas)).max()) * PAGE_BYTES
    return f"{format_bytes(peak)} at most, {final}"


def _swapped(run: Replay) -> str:
    pages = pages_moved(run.ledger)
    ways = (("out", Outcome.SWAPPED_OUT), ("in", Outcome.SWAPPED_IN))
    moved = {way: int(pages[run.ledger.outcome == outcome].sum()) for way, outcome in ways}
    if not any(moved.values()):
        return "nothing"
    return ", ".join(f"{count:,} pages {way}" for way, count in moved.items())


def _losses(run: Replay) -> str:
    lost = run.trace.manifest.lost_events
    return f"{lost:,} events of the capture" if lost else "nothing"
