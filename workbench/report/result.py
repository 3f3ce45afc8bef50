"""The report on what `workbench replay -o` wrote: one run, as far as its files tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workbench.measure import RESULT_NAME, read_document
from workbench.plot.chart import round_bytes
from workbench.replay import Settings
from workbench.report.document import (
    Block,
    Column,
    Facts,
    Figure,
    Image,
    Paragraph,
    Points,
    Report,
    Section,
    Table,
)
from workbench.report.headline import sureness
from workbench.report.losses import lost_remark
from workbench.report.machines import ROWS_MAX
from workbench.report.model_error import error_section, lineage_section
from workbench.report.settings import changed_text
from workbench.report.tables import metric_table
from workbench.report.text import name_text, sentence_list
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

CHART_NAME: Final = "resident_memory.png"

_LARGEST_CHART_BYTES: Final = 2_000_000
"""A chart of twenty guests takes half a megabyte."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"

# Far above any trace, and written out without trouble.
_Whole = Annotated[int, Field(ge=-(2**62), le=2**62)]
_Number = _Whole | Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    """What is looked at of a part of the document; what it has more is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Entry(_Part):
    value: _Number | None
    unit: str
    reason: str | None = None


class _Distance(_Part):
    mean: _Number
    final_pages: _Whole | None
    quiet_max: _Number | None


class _MachineError(_Part):
    name: str
    resident_bytes: _Distance | None
    samples: _Whole
    quiet_samples: _Whole


class _Swap(_Part):
    captured: _Whole
    model: _Whole


class _Error(_Part):
    resident_bytes: _Distance | None
    reason: str | None = None
    virtual_machines: list[_MachineError]
    host: dict[str, _Swap] | None = None


class _Differences(_Part):
    differing_decisions: _Whole
    surprises: dict[str, _Whole]


class _Events(_Part):
    total: _Whole
    as_captured: _Differences


class _Identifiable(_Part):
    notes: list[str]


class _Lineage(_Part):
    trace: str
    model: str
    versions: dict[str, str]

    @field_validator("versions")
    @classmethod
    def _know_ours(cls, versions: dict[str, str]) -> dict[str, str]:
        if "workbench" not in versions:
            raise ValueError("no version of the workbench")
        return versions


class _Document(_Part):
    lineage: _Lineage
    settings: Settings
    identifiable: _Identifiable
    model_error: _Error
    events: _Events
    metrics: dict[str, _Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result: its folder's name, its document, and its chart if it has one."""

    name: str
    document: _Document
    chart: Image | None


def read_result(folder: Path) -> Result:
    """Read what a replay wrote.

    Raises
    ------
    InputError
        It is damaged, or another command's.
    """
    expected = "what `workbench replay TRACE -o DIR` writes"
    document = read_document(folder / RESULT_NAME, _Document, expected=expected)
    return Result(name=folder.resolve().name, document=document, chart=_chart(folder / CHART_NAME))


def _chart(path: Path) -> Image | None:
    """Take the chart beside the document, if it is one."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_CHART_BYTES + 1)
    except OSError:
        return None
    is_chart = content.startswith(_PNG) and len(content) <= _LARGEST_CHART_BYTES
    return Image(media_type="image/png", content=content) if is_chart else None


def report_on_result(result: Result) -> Report:
    """Write what a result says, in the order in which it is read."""
    document = result.document
    label = document.settings.label
    metrics = {name: entry.model_dump() for name, entry in document.metrics.items()}
    error = document.model_error.model_dump()
    lost_events = int(_number(metrics, "events_lost") or 0)
    said = _headline(label, metrics, error)
    lineage = document.lineage.model_dump()
    charts = _figures(result, said)
    sections = [
        _trace_section(document),
        _unknown_section(document, lost_events),
        Section(key="answer", heading="The answer", blocks=(Paragraph(text=said, is_lead=True),)),
        *([Section(key="charts", heading="Charts", blocks=charts)] if charts else []),
        Section(key="tables", heading="Tables", blocks=(metric_table([label], [metrics]),)),
        _setting_section(document),
        error_section(error, document.events.model_dump(), ()),
        lineage_section(lineage),
    ]
    return Report(
        title=name_text(result.name),
        subtitle=f"The result of a replay: {label}",
        headline=said,
        sections=tuple(sections),
        lost_events=lost_events,
        lineage=lineage,
    )


def _number(metrics: dict[str, dict[str, Any]], name: str) -> float | None:
    value = metrics.get(name, {}).get("value")
    return value if isinstance(value, int | float) else None


def _headline(label: str, metrics: dict[str, dict[str, Any]], error: dict[str, Any]) -> str:
    mean, peak = (_number(metrics, f"resident_bytes_{name}") for name in ("mean", "peak"))
    memory = "how much memory guests held is not known"
    if mean is not None and peak is not None:
        memory = (
            f"guest RAM in host memory averaged {round_bytes(mean)} and peaked at "
            f"{round_bytes(peak)}"
        )
    back = _number(metrics, "reclaimed_bytes")
    returned = "" if back is None else f"; reports gave {round_bytes(back)} back to the host"
    pages = sum(_number(metrics, f"swap_{way}_pages") or 0 for way in ("out", "in"))
    swap = f", and {pages:,.0f} pages of swap I/O ({round_bytes(pages * PAGE_BYTES)})" * bool(pages)
    return f"Replayed {label}: {memory}{swap}{returned}; {sureness(error)}."


def _trace_section(document: _Document) -> Section:
    machines = document.model_error.virtual_machines
    names = sentence_list(name_text(machine.name) for machine in machines[:ROWS_MAX])
    pairs = (
        ("trace digest", document.lineage.trace[:16]),
        ("events", f"{document.events.total:,}"),
        (f"guest{'s' * (len(machines) > 1)}", names if machines else "none named"),
    )
    return Section(key="machine", heading="Machine and trace", blocks=(Facts(pairs=pairs),))


def _unknown_section(document: _Document, lost_events: int) -> Section:
    blocks: list[Block] = [
        lost_remark(lost_events),
        Paragraph(
            text="A result holds one run. The machines, the probes, and what other settings would "
            "have done are in the report on its trace."
        ),
    ]
    if document.identifiable.notes:
        blocks.append(Points(items=tuple(document.identifiable.notes[:ROWS_MAX])))
    return Section(key="unknown", heading="What is lost or unknown", blocks=tuple(blocks))


def _setting_section(document: _Document) -> Section:
    table = Table(
        caption="What was changed",
        columns=(Column(name="question"), Column(name="changed")),
        rows=((document.settings.label, changed_text(document.settings)),),
        note="Whatever is not changed stays as it was captured.",
    )
    return Section(key="settings", heading="Settings", blocks=(table,))


def _figures(result: Result, said: str) -> tuple[Figure, ...]:
    if result.chart is None:
        return ()
    return (
        Figure(
            key="resident-memory",
            caption="Guest RAM in host memory over time, as the replay drew it.",
            alt=said,
            light=result.chart,
            dark=result.chart,
        ),
    )
