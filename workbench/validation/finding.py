"""A difference, traced to the shortest program that still shows it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import HostError, InputError, UsageError
from workbench.validation.abilities import NotBuildableError
from workbench.validation.difference import Difference
from workbench.validation.kinds import KINDS
from workbench.validation.model_machine import model_machine
from workbench.validation.session import STEP_NAMES, Session
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workbench.model.balloon.rules import Tally
    from workbench.validation.driver import Step
    from workbench.validation.session import MakeModel

_TRIALS_MAX: Final = 400
"""Programs that are tried while shrinking: each needs a machine of its own, about 70 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A program on which the model and the real device differ."""

    kind_name: str
    setup: Setup
    steps: tuple[Step, ...]
    difference: Difference
    reproduced: bool = True
    """Whether a fresh machine shows it; if not, `steps` is all that the machine had seen."""

    def to_json(self) -> dict[str, Any]:
        """Turn it into what a file can hold."""
        return {
            "kind": self.kind_name,
            "setup": self.setup.to_json(),
            "steps": [list(step) for step in self.steps],
            "difference": self.difference.sentence(),
            "reproduced": self.reproduced,
        }


class Trial:
    """Runs programs, each on a fresh pair of machines."""

    def __init__(
        self,
        setup: Setup,
        prologue: Sequence[Step],
        qemu: str,
        make_model: MakeModel,
        *,
        patient: bool,
        tally: Tally | None = None,
    ) -> None:
        """Remember what machines to make, and whether to wait for their last events."""
        self._setup = setup
        self.prologue = tuple(prologue)
        self._qemu = qemu
        self._make_model = make_model
        self._patient = patient
        self._tally = tally
        self.count = 0
        self.version = ""
        """Of the QEMU that ran."""

    def run(self, steps: Sequence[Step], *, each: bool = False) -> Difference | None:
        """Run a program and look at its end, or after `each` of its steps."""
        self.count += 1
        number = 0
        with (
            tempfile.TemporaryDirectory(prefix="conform-") as folder,
            Session(
                self._setup,
                qemu=self._qemu,
                folder=Path(folder),
                tally=self._tally,
                make_model=self._make_model,
            ) as session,
        ):
            self.version = session.real.version
            try:
                session.run(self.prologue)
                for number, part in enumerate([[step] for step in steps] if each else [steps]):
                    difference = session.run(part) or session.check()
                    if difference is not None:
                        return _at(difference, number) if each else difference
                return session.finish(patient=self._patient)
            except NotBuildableError:
                return None  # A machine that it migrates to, not its own.
            except HostError as error:
                difference = Difference(what="QEMU", expected="an answer", found=str(error))
                return _at(difference, number) if each else difference


def _at(difference: Difference, step: int) -> Difference:
    return Difference(
        what=difference.what, expected=difference.expected, found=difference.found, step=step
    )


def trace_down(
    kind_name: str, trial: Trial, setup: Setup, programs: Sequence[Sequence[Step]]
) -> Finding | None:
    """Find the shortest program among those that one machine has seen; None if none shows it."""
    whole = [step for program in programs for step in program]
    first = trial.run(whole)
    if first is None:
        return None

    def differs(steps: Sequence[Step]) -> bool:
        """Whether they show a difference of the same sort, and not another one on the way."""
        difference = trial.run(steps)
        return difference is not None and difference.sort == first.sort

    latest = islice(reversed(programs), _TRIALS_MAX // 2)
    alone = next((program for program in latest if differs(program)), whole)
    steps = shrink(list(alone), differs, trial)
    difference = trial.run(steps, each=True) or trial.run(steps)
    if difference is None:
        return None
    return Finding(
        kind_name=kind_name, setup=setup, steps=(*trial.prologue, *steps), difference=difference
    )


def shrink(steps: list[Step], differs: Callable[[list[Step]], bool], trial: Trial) -> list[Step]:
    """Leave out what is not needed: stretches of steps, single ones, and parts of them."""
    size = len(steps) // 2
    while size >= 1:
        first = 0
        while first < len(steps) and trial.count < _TRIALS_MAX:
            shorter = steps[:first] + steps[first + size :]
            if shorter and differs(shorter):
                steps = shorter
            else:
                first += size
        size //= 2
    for number in range(len(steps)):
        for simplify in _simplifications(steps[number]):
            simpler = simplify(steps[number])
            candidate = [*steps[:number], simpler, *steps[number + 1 :]]
            if simpler != steps[number] and trial.count < _TRIALS_MAX and differs(candidate):
                steps = candidate
    return steps


def _simplifications(step: Step) -> Iterator[Callable[[Step], Step]]:
    """Offer ways to ask for less, to be tried one after the other on what is left of a step."""
    if step[0] in {"element", "chain"}:
        # From behind, so that the numbers of those before stay.
        for number in reversed(range(len(step[2]))):
            yield partial(_without_descriptor, number)
        yield lambda step: (*step[:3], 0)


def _without_descriptor(number: int, step: Step) -> Step:
    name, queue, descriptors, *rest = step
    if len(descriptors) == 1:
        return step
    return (name, queue, [*descriptors[:number], *descriptors[number + 1 :]], *rest)


def read_finding(path: Path) -> Finding:
    """Read a stored program.

    Raises
    ------
    InputError
        The file is damaged, or holds something else.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        return Finding(
            kind_name=str(document["kind"]),
            setup=Setup.from_json(document["setup"]),
            steps=tuple(_checked_step(step) for step in document["steps"]),
            difference=Difference(what=str(document["difference"]), expected="", found=""),
            reproduced=bool(document.get("reproduced", True)),
        )
    except (ValueError, KeyError, TypeError, InputError, UsageError) as error:
        raise InputError(f"{path}: no stored program ({error}); remove the file") from error


def _checked_step(step: object) -> Step:
    if not isinstance(step, list) or not step or step[0] not in STEP_NAMES:
        raise ValueError(f"{step!r} is no step")
    return tuple(step)


def trial_of(
    finding: Finding,
    *,
    qemu: str,
    make_model: MakeModel = model_machine,
    tally: Tally | None = None,
) -> Trial:
    """Prepare to run a stored program again, with the patience of its kind."""
    kind = KINDS.get(finding.kind_name)
    patient = kind is not None and kind.patient
    return Trial(finding.setup, (), qemu, make_model, patient=patient, tally=tally)
