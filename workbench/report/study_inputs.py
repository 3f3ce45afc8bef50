"""The inputs of a study, for its report: guests, hosts, limit, and what was mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.errors import InputError
from workbench.quantity import time_text
from workbench.report.document import Block, Cell, Column, Facts, Points, Remark, Section, Table
from workbench.report.machines import ROWS_MAX, size_text
from workbench.report.machines import time_text as short_time_text
from workbench.report.text import name_text, sentence_list
from workbench.units import format_number

if TYPE_CHECKING:
    from workbench.study import Plan


class _Part(BaseModel):
    """What is looked at of what a plan says it is of."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Recording(_Part):
    name: str


class _Kind(_Part):
    name: str
    weight: int
    phase: str
    guests_per_phase: int
    shift_ns: int
    clock_offset_ns: int
    huge_share: float | None
    device: dict[str, Any]
    guest: dict[str, Any]
    recordings: list[_Recording]


class _Host(_Part):
    name: str
    memory_bytes: int
    reserved_bytes: int


class _Limit(_Part):
    share_of_time: float
    drain_seconds: float | None
    swap_in_pages_per_second: float | None


class About(_Part):
    """What a plan says that it is of."""

    guests: list[_Kind]
    hosts: list[_Host]
    limit: _Limit
    seeds: list[int]
    step_ns: int


def read_about(plan: Plan) -> About:
    """Read what a plan is of; in files it may be anything.

    Raises
    ------
    InputError
        Something else wrote them.
    """
    try:
        return About.model_validate(plan.study)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{name_text(plan.name)}: field 'study.{field}' is wrong: {first['msg']}, expected "
            "what `workbench plan STUDY -o DIR` writes; compute the study again"
        ) from None


def input_section(plan: Plan, about: About) -> Section:
    """Say which guests and hosts a study is of, and what was mended in their recordings."""
    hosts = (
        f"{name_text(host.name)} ({size_text(host.memory_bytes - host.reserved_bytes)} for guests)"
        for host in about.hosts[:ROWS_MAX]
    )
    pairs = (
        ("hosts", sentence_list(hosts)),
        ("limit", _limit_text(about.limit)),
        ("draws", f"{len(about.seeds):,}"),
        ("step", short_time_text(about.step_ns)),
    )
    names = ("kind", "recordings", "weight", "phase")
    table = Table(
        caption="Guests",
        columns=tuple(
            Column(name=name, is_number=name in {"recordings", "weight"}) for name in names
        ),
        rows=tuple(
            (
                Cell(text=name_text(kind.name), detail=_details(kind)),
                f"{len(kind.recordings):,}",
                f"{kind.weight:,}",
                name_text(kind.phase),
            )
            for kind in about.guests[:ROWS_MAX]
        ),
        note="Weight: so many guests of a kind for each of a kind with weight 1.",
    )
    blocks: list[Block] = [Facts(pairs=pairs), table]
    if plan.remarks:
        shown = plan.remarks[:ROWS_MAX]
        more = len(plan.remarks) - len(shown)
        said = (*shown, *([f"And {more:,} more."] if more else ()))
        text = "What is missing in the recordings, or was mended in them:"
        blocks += [Remark(text=text, level="warning"), Points(items=said)]
    else:
        blocks.append(Remark(text="Nothing is missing in the recordings.", level="good"))
    return Section(key="inputs", heading="Guests and recordings", blocks=tuple(blocks))


def _limit_text(limit: _Limit) -> str:
    said = [f"memory is enough {format_number(100 * limit.share_of_time, 12)} % of the time"]
    if limit.drain_seconds is not None:
        said.append(f"90 % of a freed GiB drains within {format_number(limit.drain_seconds, 6)} s")
    if limit.swap_in_pages_per_second is not None:
        pages = format_number(limit.swap_in_pages_per_second, 6)
        said.append(f"{pages} pages are read back a second at most")
    return ", ".join(said)


def _details(kind: _Kind) -> str:
    """Say what is special about guests of a kind."""
    names = [name_text(recording.name) for recording in kind.recordings]
    said = [sentence_list(_some(names))] if names else []
    if kind.guests_per_phase > 1:
        said.append(f"{kind.guests_per_phase:,} share a moment")
    if kind.shift_ns:
        said.append(f"shifted by {time_text(kind.shift_ns)}")
    if kind.clock_offset_ns:
        said.append(f"clock offset {time_text(kind.clock_offset_ns)}")
    if kind.huge_share is not None:
        said.append(
            f"{format_number(100 * kind.huge_share, 4)} % of free memory taken to be in huge pages"
        )
    own = {**kind.device, **kind.guest}
    said += [name_text(f"{name} {value}") for name, value in own.items()]
    return "; ".join(said)


def _some(names: list[str]) -> list[str]:
    first = names[:3]
    return first if len(first) == len(names) else [*first, f"{len(names) - len(first):,} more"]
