"""Which programs a run consists of: jobs, each a machine with programs of one kind.

A program depends on the seed, its kind, the number of its machine and its place there, and on
nothing else: not on how many workers there are, nor on which of them is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from workbench.validation.kinds import KINDS, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.validation.driver import Step
    from workbench.validation.kinds import Kind
    from workbench.validation.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The programs of one machine."""

    seed: str
    kind_name: str
    machine: int
    program_count: int

    @property
    def kind(self) -> Kind:
        """The kind of the programs."""
        return KINDS[self.kind_name]

    def begin(self) -> tuple[Setup, Iterator[list[list[Step]]]]:
        """Choose the machine, and write its programs, batch by batch."""
        random = Random(f"{self.seed}:{self.kind_name}:{self.machine}")
        setup = self.kind.setup(random)
        if self.kind.variants:
            variant = self.kind.variants[self.machine % len(self.kind.variants)]
            setup = variant(random, setup)
        return setup, self._batches(random, Scene(setup))

    def _batches(self, random: Random, scene: Scene) -> Iterator[list[list[Step]]]:
        left = self.program_count
        while left > 0:
            count = min(left, self.kind.batch_programs)
            yield [self.kind.program(random, scene) for _ in range(count)]
            left -= count


def make_plan(seed: str, program_count: int, kinds: Sequence[Kind]) -> list[Job]:
    """Share programs out among kinds by weight, and spread the jobs of each over the run.

    Every kind gets one program at least, so that a run of any length exercises all of them.
    """
    weights = sum(kind.weight for kind in kinds)
    jobs: list[tuple[float, Job]] = []
    for kind in kinds:
        left = max(1, round(program_count * kind.weight / weights))
        machines = -(-left // kind.machine_programs)
        for machine in range(machines):
            count = min(left, kind.machine_programs)
            left -= count
            job = Job(seed=seed, kind_name=kind.name, machine=machine, program_count=count)
            jobs.append(((machine + 0.5) / machines, job))
    return [job for _, job in sorted(jobs, key=lambda entry: (entry[0], entry[1].kind_name))]
