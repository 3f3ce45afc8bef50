"""What the commands about studies have in common: where they compute, and how far they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import counting, note, working

if TYPE_CHECKING:
    from workbench.study import Plan, Study
    from workbench.study.sweep import Sweep

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Compute in so many processes; without it in this one, on all processors.",
    ),
]
"""The type of the `workers` parameter."""

SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="Compute on the workers of this Dask scheduler."
    ),
]
"""The type of the `scheduler` parameter."""


def read(path: Path) -> Study:
    """Read a study file, and all recordings it names."""
    from workbench.study import read_study

    with working(f"reading {path}"):
        return read_study(path, progress=False)


def compute(
    study: Study, folder: Path | None, *, workers: int | None, scheduler: str | None
) -> tuple[Plan, Sweep]:
    """Compute what is missing into a folder, or all into none, and show how far it is."""
    from workbench.study import plans

    made, swept = plans.compute(
        study, folder, workers=workers, scheduler=scheduler, counting=counting
    )
    if swept.damaged:
        first = swept.damaged[0]
        more = len(swept.damaged) - 1
        others = f" and {more:,} more" if more else ""
        note(f"{first}{others}: damaged, and not used; what it held was computed again")
    return made, swept
