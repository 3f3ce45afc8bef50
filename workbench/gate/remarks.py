"""What is said before any figure: what else differs between the sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workbench.gate.runs import Run, Side


def side_remarks(baseline: Side, candidate: Side) -> list[str]:
    """Say what holds of the sides as a whole: models, lost events, metrics nobody knows."""
    remarks = []
    models = [_named(run.model for run in side.runs) for side in (baseline, candidate)]
    if baseline.runs and models[0] != models[1]:
        remarks.append(
            f"The model differs ({models[0]}, now {models[1]}): a figure that changed may be its "
            "doing, and is to be accepted, or a regression."
        )
    for what, side in (("baseline", baseline), ("candidate", candidate)):
        lost = [f"{run.name} {run.lost_events:,}" for run in side.runs if run.lost_events]
        if lost:
            remarks.append(f"Events were lost in the {what}: {', '.join(lost)}.")
        if side.unknown_metrics:
            unknown = ", ".join(side.unknown_metrics)
            remarks.append(f"The {what} has metrics that are not known here: {unknown}.")
    return remarks


def pair_remarks(
    first: Mapping[tuple[str, str], Run], second: Mapping[tuple[str, str], Run]
) -> list[str]:
    """Say where recordings are on one side only, or were replayed with other settings."""
    remarks = []
    for what, own, other in (("baseline", first, second), ("candidate", second, first)):
        names = [run.name for key, run in own.items() if key not in other]
        if names:
            remarks.append(f"Only the {what} has {', '.join(names)}.")
    changed = [
        f"{run.name} ({run.settings}, now {second[key].settings})"
        for key, run in first.items()
        if key in second and second[key].settings != run.settings
    ]
    if changed:
        remarks.append(f"The replays differ in their settings: {', '.join(changed)}.")
    return remarks


def pool_remarks(baseline: Side, candidate: Side) -> list[str]:
    """Say what the runs of the sides differ in; refuse a side that differs in itself.

    Raises
    ------
    InputError
        The runs of one side are of several scenarios or settings.
    """
    setups = [_setup_of(side) for side in (baseline, candidate)]
    remarks = [
        f"The sides differ in {name}: {setups[0][name]}, now {setups[1][name]}."
        for name in setups[0]
        if name in setups[1] and setups[0][name] != setups[1][name]
    ]
    for what, side in (("baseline", baseline), ("candidate", candidate)):
        if any(run.measured_figures is None for run in side.runs):
            remarks.append(
                f"The {what} has results without their recordings: nothing that the host measured "
                "is compared."
            )
    return remarks


def pool_obstacle(baseline: Side, candidate: Side) -> str:
    """Say why runs of the two sides cannot be compared; empty where they can."""
    for what, values in (
        ("scenario", [{run.work for run in side.runs} for side in (baseline, candidate)]),
        ("model", [{run.model for run in side.runs} for side in (baseline, candidate)]),
        ("machine", [{run.machine for run in side.runs} for side in (baseline, candidate)]),
    ):
        known = [{each for each in own if each is not None} for own in values]
        if known[0] and known[1] and known[0] != known[1]:
            if what == "scenario":
                return "the sides ran different scenarios"
            if what == "model":
                return "neither the recordings are the same, nor the model"
            return f"recorded on another machine ({_named(known[0])}, now {_named(known[1])})"
    return ""


def _setup_of(side: Side) -> dict[str, str]:
    """Give what all runs of a side have in common."""
    setup = {"replay settings": side.runs[0].settings, **side.runs[0].setup}
    for run in side.runs[1:]:
        differing = [
            name
            for name, value in {"replay settings": run.settings, **run.setup}.items()
            if setup.get(name) != value
        ]
        if run.work != side.runs[0].work:
            differing = ["scenario"]
        if differing:
            raise InputError(
                f"{side.label}: {side.runs[0].source} and {run.source} differ in {differing[0]}, "
                "so they are no repeats of one run; name those that belong together, for example "
                "'runs/on-*.trace' in quotes"
            )
    return setup


def _named(names: Iterable[str | None]) -> str:
    return ", ".join(sorted({str(name) for name in names})) or "none"
