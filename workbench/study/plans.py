"""The answer of a study, as an object for people and as files that say the same."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.card import Card, Shown
from workbench.errors import InputError
from workbench.measure import RESULT_NAME
from workbench.progress import told
from workbench.quantity import time_text
from workbench.study.curves import memory, risk
from workbench.study.lineage import made_here
from workbench.study.sensitivity import sensitivity, sensitivity_sentences
from workbench.study.store import JOBS_NAME, Store
from workbench.study.swap_words import swap_sentences
from workbench.study.sweep import FACTS_NAME, TOGETHER_NAME, sweep_into
from workbench.study.words import sentences
from workbench.trace import Trace
from workbench.units import format_ns
from workbench.whole_file import replacing

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from workbench.study.study import GuestKind, Study
    from workbench.study.sweep import Counting, Sweep

_FRAMES: Final = ("answers", "risk", "memory", "sensitivity", "swap")

_SAID: Final = ("sentences", "matters", "swap_sentences", "swap_notes", "remarks")

_ROWS_SHOWN: Final = 12
"""In a card: most studies compare fewer things."""

_LARGEST_BYTES: Final = 1 << 28
"""Of a document: a row for each host and thing compared takes a kilobyte."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Plan(Shown):
    """What a study says.

    Attributes
    ----------
    name
        The study's.
    answers
        A row for each host and each thing compared, see `workbench.study.answers.answers`.
    risk
        How often memory is short, by host, thing compared and number of guests.
    memory
        What so many guests need together, by thing compared and number of guests.
    sensitivity
        What comes of changing each setting alone, what matters most first.
    swap
        What guests swap, page by page: a row for each host, thing compared, number of guests and
        draw, see `workbench.study.swap.swap_frame`.  None where a guest is a series, which does not
        tell, or no host has swap.
    sentences
        The answer for each host.
    matters
        Of each setting whether it matters, in the order of `sensitivity`.
    swap_sentences
        What guests swap on each host, and what reporting avoids of it.
    swap_notes
        What `swap` leaves open.
    remarks
        What was found and mended in the recordings.
    study
        What the study is of: guests, hosts, limit, seeds and step, as JSON has it.
    lineage
        What the answer was made of and with.
    """

    name: str
    answers: pd.DataFrame
    risk: pd.DataFrame
    memory: pd.DataFrame
    sensitivity: pd.DataFrame
    swap: pd.DataFrame
    sentences: tuple[str, ...]
    matters: tuple[str, ...]
    swap_sentences: tuple[str, ...]
    swap_notes: tuple[str, ...]
    remarks: tuple[str, ...]
    study: dict[str, Any]
    lineage: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it: what has no value, or never comes, is None."""
        return {
            "name": self.name,
            "sentences": list(self.sentences),
            "answers": _records(self.answers),
            "sensitivity": _records(self.sensitivity),
            "matters": list(self.matters),
            "swap": _records(self.swap),
            "swap_sentences": list(self.swap_sentences),
            "swap_notes": list(self.swap_notes),
            "remarks": list(self.remarks),
            "study": self.study,
            "lineage": self.lineage,
        }

    def _card(self) -> Card:
        shown = self.answers.head(_ROWS_SHOWN)
        return Card(
            title=f"Plan {self.name}: {len(self.study['hosts']):,} hosts, "
            f"{self.answers['label'].nunique():,} things compared",
            facts=[
                *(("answer", text) for text in self.sentences),
                *(("swap", text) for text in self.swap_sentences),
            ],
            columns=("host", "compared", "guests", "by seed"),
            rows=[
                (
                    str(row["host"]),
                    str(row["label"]),
                    f"{row['guests']:,}",
                    f"{row['guests_least']:,} to {row['guests_most']:,}",
                )
                for row in shown.to_dict("records")
            ],
            remarks=(*self.matters, *self.swap_notes, *self.remarks),
        )


def plan(
    study: Study,
    *,
    folder: Path | str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int], None] | bool = True,
) -> Plan:
    """Compute a study, or what is missing of it, and say what comes of it.

    Parameters
    ----------
    folder
        Keeps all that is computed, for the next time; None: nothing is kept.
    workers
        So many processes of this machine; None: threads of this process, one for each processor.
    scheduler
        The address of a scheduler of Dask that has workers.
    progress
        Whether to show on a terminal or in a notebook, after a second, how many jobs are done; or
        what is called with 1 after each.

    Raises
    ------
    InputError, UnidentifiableError
        A recording does not tell what the study asks for.
    UsageError
        The folder is of something else, or both workers and a scheduler were given.
    HostError
        There are no workers, or not any more: what was finished is kept.

    Examples
    --------
    >>> import workbench as wb
    >>> study = wb.read_study("spring.toml")  # doctest: +SKIP
    >>> wb.plan(study, folder="spring.study").sentences  # doctest: +SKIP
    """

    def counting(what: str, total: int) -> Any:  # noqa: ANN401 - a context of a callable.
        return told(what, total, progress=progress)

    made, _ = compute(
        study,
        None if folder is None else Path(folder),
        workers=workers,
        scheduler=scheduler,
        counting=counting,
    )
    return made


def compute(
    study: Study,
    folder: Path | None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    counting: Counting,
) -> tuple[Plan, Sweep]:
    """Compute what is missing of a study, and write the answer beside it; see `plan`.

    Returns
    -------
    The answer, and what there was to compute.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            nowhere = tempfile.TemporaryDirectory(prefix="workbench-study-")
            folder = Path(stack.enter_context(nowhere))
        # Until the answer is written nobody else has the folder: it is of the frames beside it.
        store = stack.enter_context(Store(folder))
        swept = sweep_into(store, study, workers=workers, scheduler=scheduler, counting=counting)
        return _answer(study, folder, swept), swept


def _answer(study: Study, folder: Path, swept: Sweep) -> Plan:
    """Read the frames that were swept, and write what comes of them beside them."""
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    together, found, swap = pd.read_parquet(folder / TOGETHER_NAME), swept.answers, swept.swap
    lineage = {"study": study.digest, **made_here()}
    found.attrs["caption"] = _caption(study, lineage)
    matters = sensitivity(found)
    made = Plan(
        name=study.name,
        answers=found,
        risk=risk(study, together, found),
        memory=memory(study, together, found),
        sensitivity=matters,
        swap=swap.rows,
        sentences=tuple(sentences(found)),
        matters=tuple(sensitivity_sentences(matters)),
        swap_sentences=tuple(swap_sentences(swap.rows, found)),
        swap_notes=swap.notes,
        remarks=study.remarks,
        study=_description(study),
        lineage=lineage,
    )
    for name in _FRAMES:
        with replacing(folder / f"{name}.parquet") as temporary:
            getattr(made, name).to_parquet(temporary)
    # Last of all: where there is a document, all files that it names are of one study.
    document = {**made.to_dict(), "files": {name: _digest(folder / name) for name in _file_names()}}
    text = json.dumps(document, sort_keys=True, indent=2, allow_nan=False)
    with replacing(folder / RESULT_NAME) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return made


def is_plan(folder: Path | str) -> bool:
    """Tell whether a folder is one that a study was computed into, or at least began to be."""
    return (Path(folder) / JOBS_NAME).is_dir()


def read_plan(folder: Path | str) -> Plan:
    """Read the answer that was computed into a folder.

    Raises
    ------
    InputError
        There is none, or it is damaged.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    folder = Path(folder)
    document = _read_document(folder / RESULT_NAME)
    again = "compute the study into it again, which takes no time if all of it is there"
    for name, digest in document["files"].items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            raise InputError(f"{path}: is not what {RESULT_NAME} says it is; {again}")
    frames: dict[str, Any] = {name: pd.read_parquet(folder / f"{name}.parquet") for name in _FRAMES}
    said: dict[str, Any] = {name: tuple(document[name]) for name in _SAID}
    return Plan(
        name=document["name"],
        study=document["study"],
        lineage=document["lineage"],
        **frames,
        **said,
    )


def _caption(study: Study, lineage: dict[str, Any]) -> str:
    """Say below a chart what it was made of and with."""
    draws = f"{len(study.seeds):,} draw{'s' * (len(study.seeds) != 1)}"
    made = f"study {lineage['study'][:8]}, model {lineage['model'][:8]}"
    step = time_text(study.step_ns)
    # Part of a trace may take any number of nanoseconds.
    step = format_ns(study.step_ns) if step.endswith((" ns", " us")) else step
    return f"{made}, {draws}, step {step}"


def _description(study: Study) -> dict[str, Any]:
    return {
        "guests": [_kind(kind) for kind in study.guests],
        "hosts": [dataclasses.asdict(host) for host in study.hosts],
        "variants": [variant.label for variant in study.variants],
        "limit": dataclasses.asdict(study.limit),
        "costs": dataclasses.asdict(study.costs),
        "seeds": list(study.seeds),
        "step_ns": study.step_ns,
    }


def _kind(kind: GuestKind) -> dict[str, Any]:
    plain = ("name", "weight", "guests_per_phase", "shift_ns", "clock_offset_ns", "huge_share")
    return {
        **{name: getattr(kind, name) for name in plain},
        "phase": kind.phase.value,
        "device": kind.device.model_dump(exclude_none=True),
        "guest": kind.guest.model_dump(exclude_none=True),
        "recordings": [
            {
                "name": member.name,
                "digest": member.digest,
                "is": "trace" if isinstance(member, Trace) else "series",
            }
            for member in kind.members
        ],
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def _plain(value: Any) -> Any:  # noqa: ANN401 - of any column.
    """Give a value as JSON has it; neither what is missing nor what is infinite is a number."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, str | bool | int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def _file_names() -> list[str]:
    return [TOGETHER_NAME, FACTS_NAME, *(f"{name}.parquet" for name in _FRAMES)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_document(path: Path) -> dict[str, Any]:
    expected = "expected the folder of a study that was computed to its end"
    if not path.is_file():
        raise InputError(f"{path.parent}: has no {path.name}, {expected}; `workbench sweep` does")
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"{path}: is larger than {_LARGEST_BYTES:,} bytes, {expected}")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}), {expected}") from None
    is_plan = isinstance(document, dict) and {"files", "study", "matters"} <= set(document)
    if not is_plan or set(document["files"]) != set(_file_names()):
        raise InputError(f"{path}: is no answer of a study, {expected}")
    found: dict[str, Any] = document
    return found
