"""The guests of which is measured what a capture costs them, and the job that each does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.units import GIB, MIB

PAUSE_S = 0.3
"""In which the host stops the guest after a job, before it begins with the next."""

JOBS_MAX = 1500
"""More than fit into any limit; a scenario has 10,000 steps at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A guest and its job: lines of a scenario.

    A job takes some two seconds on a host that is quiet: against drift the shorter the better, but
    every second pair also takes an attaching and a detaching, of six seconds together.
    """

    name: str
    before: str
    job: str
    settings: dict[str, Any]

    def scenario_text(self) -> str:
        """All that the guest will ever do."""
        pause = f"idle {PAUSE_S}\n"
        return self.before + pause + (self.job + pause) * JOBS_MAX

    def place_of(self, step: int) -> tuple[int, int]:
        """The number of the job that a step of the scenario belongs to, and which step of it."""
        first = self.before.count("\n") + 2
        return divmod(step - first, self.job.count("\n") + 1)


LOADS = {
    load.name: load
    for load in (
        # It takes and gives back memory, which its balloon reports every two seconds.
        Load(
            name="quiet",
            before="take ballast 2560M\n",
            job="take work 192M\nfree work\n" * 2,
            settings={"memory_bytes": 4 * GIB},
        ),
        # It only works with what it has: nothing that a probe is attached to happens.
        Load(
            name="cpu",
            before="take ballast 1536M\n",
            job="touch ballast\n" * 3,
            settings={"memory_bytes": 4 * GIB},
        ),
        # All that it writes again was swapped out since, and pushes out what comes next.
        Load(
            name="swapping",
            before="take kept 240M\n",
            job="rewrite kept\n",
            settings={"memory_limit_bytes": 300 * MIB, "zram_bytes": GIB},
        ),
        # It reads only, which takes an emulated guest less time: it swaps as fast as the host can.
        Load(
            name="thrashing",
            before="take kept 240M\n",
            job="touch kept\n" * 2,
            settings={"memory_limit_bytes": 300 * MIB, "zram_bytes": GIB},
        ),
    )
}
