"""Reading a side: results of `workbench replay`, traces, folders of either, accepted figures."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.errors import InputError, UsageError
from workbench.gate.accepted import accepted_runs
from workbench.gate.budgets import Value, read_budget_file
from workbench.gate.runs import TRACE_DIGITS, Run, Side, run_of_trace, settings_text
from workbench.measure import BY_NAME, RESULT_NAME, read_document
from workbench.schema import SCHEMA_VERSION
from workbench.trace import read_trace
from workbench.trace.manifest import MANIFEST_NAME

_EXPECTED: Final = "a result of `workbench replay -o`, a trace, or a TOML file of accepted figures"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Entry(_Part):
    value: Value | None
    unit: str


class _Versions(_Part):
    schema_: str = Field(alias="schema")


class _Recording(_Part):
    name: str
    start_time_ns: int
    duration_ns: int


class _Lineage(_Part):
    trace: str = ""
    trace_files: str = ""
    recording: _Recording | None = None
    """None in results of workbenches that did not write it."""
    model: str
    versions: _Versions


class _Result(_Part):
    """What of a result.json a comparison reads."""

    lineage: _Lineage
    settings: dict[str, Any]
    metrics: dict[str, _Entry]


def read_side(text: str) -> Side:
    """Read what was named on the command line.

    Parameters
    ----------
    text
        A result folder or file, a trace, a folder or a pattern of several of them, or a TOML file
        of accepted figures.

    Raises
    ------
    InputError
        There is nothing to read, or it is damaged, or of a trace format this workbench has not.
    """
    path = Path(text)
    if path.suffix == ".toml":
        accepted = read_budget_file(path).accepted
        return Side(label=text, runs=accepted_runs(accepted), is_accepted=True)
    unknown: set[str] = set()
    runs = []
    for each in _members(path, text):
        if (each / MANIFEST_NAME).is_file():
            runs.append(run_of_trace(read_trace(each)))
        else:
            run, others = _run_of_result(each)
            runs.append(run)
            unknown |= others
    return Side(label=text, runs=tuple(runs), unknown_metrics=tuple(sorted(unknown)))


def _members(path: Path, text: str) -> list[Path]:
    """List the traces and results that a path or a pattern names, in order."""
    if not path.exists():
        found = [Path(name) for name in sorted(glob.glob(text))]  # noqa: PTH207 - any folder.
        if not found:
            raise InputError(
                f"{text}: there is no such file or folder, expected a result of `workbench replay "
                "-o`, a trace, a folder of them, a quoted pattern such as 'runs/on-*.trace', or a "
                "TOML file of accepted figures"
            )
        return [member for each in found for member in _members(each, str(each))]
    if path.is_file() or _is_one(path):
        return [path]
    members = [each for each in sorted(path.iterdir()) if _is_one(each)]
    if not members:
        raise InputError(
            f"{path}: holds neither a {RESULT_NAME} nor a {MANIFEST_NAME}, and no folder in it "
            "does; name a result of `workbench replay -o`, a trace, or a folder of them"
        )
    return members


def _is_one(path: Path) -> bool:
    return (path / RESULT_NAME).is_file() or (path / MANIFEST_NAME).is_file()


def _run_of_result(path: Path) -> tuple[Run, set[str]]:
    """Read a result; and which of its metrics the dictionary does not have."""
    file = path / RESULT_NAME if path.is_dir() else path
    result = read_document(file, _Result, expected=_EXPECTED)
    version = result.lineage.versions.schema_
    if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise InputError(
            f"{file}: made from trace format {version}, this workbench has {SCHEMA_VERSION}; "
            "replay the trace again"
        )
    if not result.metrics:
        raise InputError(f"{file}: has no metrics: the trace could not answer; see `identifiable`")
    trace = result.lineage.trace or result.lineage.trace_files
    if not trace:
        raise InputError(
            f"{file}: does not say which trace it is of, expected its digest in `lineage.trace`; "
            "replay the trace again"
        )
    values: dict[str, int | float] = {}
    for name, entry in result.metrics.items():
        if name in BY_NAME and entry.unit != BY_NAME[name].unit:
            raise InputError(
                f"{file}: {name} is in {entry.unit!r}, expected {BY_NAME[name].unit!r}; replay the "
                "trace again"
            )
        if name in BY_NAME and entry.value is not None:
            values[name] = entry.value
    try:
        settings = settings_text(result.settings)
    except (UsageError, ValidationError) as error:
        raise InputError(f"{file}: its settings cannot be read ({error})") from None
    of = result.lineage.recording
    run = Run(
        name=f"trace {trace[:TRACE_DIGITS]}" if of is None else of.name,
        trace=trace,
        settings=settings,
        model=result.lineage.model,
        schema=version,
        lost_events=int(values.get("events_lost", 0)),
        model_figures=values,
        path=file.parent,
        span_ns=None if of is None else (of.start_time_ns, of.start_time_ns + of.duration_ns),
    )
    return run, result.metrics.keys() - BY_NAME.keys()
