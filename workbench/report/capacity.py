"""The report on a study: its inputs, the answer, charts, tables, what matters, and its limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from workbench import plot
from workbench.plot.chart import round_bytes
from workbench.report.document import (
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    KeyFigure,
    KeyFigures,
    Paragraph,
    Points,
    Report,
    Section,
    Table,
)
from workbench.report.headline import percent
from workbench.report.images import figure_of, plain
from workbench.report.machines import ROWS_MAX, size_text
from workbench.report.study_inputs import input_section, read_about
from workbench.report.study_swap import swap_sections
from workbench.report.text import name_text, sentence_list
from workbench.units import format_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from workbench.study import Plan

    Row = Mapping[Any, Any]

_KEY_HOSTS: Final = 3
"""Hosts whose numbers stand in large type beside each other."""

_LIMITS: Final = (
    "A host that is short of memory swaps and slows guests down; what they do then is not known.",
    "Guests share no pages (KSM), no balloon is inflated, and a host is one node (NUMA).",
    "What QEMU itself takes beside guest RAM is in what each host reserves.",
    "What begins and ends between two samples is not in a series: refaults and swap are at least.",
    "More guests of a kind do what those did that were recorded.",
)

_METHOD: Final = (
    "What every guest needs of host memory is followed moment by moment, under each setting; "
    "guests are drawn and added up, the same ones for every setting, until memory is short at "
    "every moment. Without reporting a guest keeps the most it ever had. So many guests fit if for "
    "all numbers up to that memory is short no more often than the limit allows, over all draws."
)


def report_on_plan(plan: Plan) -> Report:
    """Write what a study says, in the order in which it is read.

    Raises
    ------
    InputError
        The plan was read from files that something else wrote.
    """
    about = read_about(plan)
    sections = [
        input_section(plan, about),
        _answer_section(plan),
        _chart_section(plan),
        _table_section(plan),
        *swap_sections(plan),
        _matter_section(plan),
        Section(
            key="method",
            heading="How it was computed, and what is not in it",
            blocks=(Paragraph(text=_METHOD), Points(items=_LIMITS)),
        ),
        _lineage_section(plan),
    ]
    recordings = sum(len(kind.recordings) for kind in about.guests)
    hosts, compared = len(about.hosts), plan.answers["label"].nunique()
    return Report(
        title=name_text(plan.name),
        subtitle=f"A capacity study: {recordings:,} recorded guest{'s' * (recordings != 1)}, "
        f"{hosts} host{'s' * (hosts != 1)}, {compared:,} things compared",
        headline=" ".join(plan.sentences),
        sections=tuple(sections),
        lost_events=0,
        lineage=_lineage(plan),
    )


# --- the answer ----------------------------------------------------------------------------------


def _answer_section(plan: Plan) -> Section:
    blocks: list[Block] = [Paragraph(text=text, is_lead=True) for text in plan.sentences]
    hosts = list(dict.fromkeys(plan.answers["host"]))
    figures = tuple(_key_figure(plan, host) for host in hosts[:_KEY_HOSTS])
    blocks.append(KeyFigures(items=figures))
    more = [text for text in (_shortage(plan), _page_cache(plan)) if text]
    blocks += [Paragraph(text=text) for text in more]
    return Section(key="answer", heading="The answer", blocks=tuple(blocks))


def _rows(plan: Plan, host: str) -> list[Row]:
    return [*plan.answers[plan.answers["host"] == host].to_dict("records")]


def _best(rows: list[Row]) -> Row:
    """Give the row with most guests of what can be had; the first of those that are alike."""
    return max((row for row in rows if not row["page_cache_given_back"]), key=_guests)


def _guests(row: Row) -> int:
    return int(row["guests"])


def _key_figure(plan: Plan, host: str) -> KeyFigure:
    rows = _rows(plan, host)
    best = _best(rows)
    return KeyFigure(
        value=f"{_guests(best):,} guests",
        name=f"on {name_text(host)}",
        detail=f"{best['label']}; {_guests(rows[0]):,} {rows[0]['label']}",
    )


def _shortage(plan: Plan) -> str:
    """Say what as many guests would swap without reporting, at least."""
    said = []
    for host in dict.fromkeys(plan.answers["host"]):
        best = _best(_rows(plan, host))
        beyond = float(best["excess_bytes_mean_without_reporting"])
        if best["reporting"] and beyond > float(best["excess_bytes_mean"]):
            said.append(f"{round_bytes(beyond)} on {name_text(host)}")
    if not said:
        return ""
    return (
        f"Without reporting as many guests would need more than there is: {sentence_list(said)} "
        "that would have to be in swap."
    )


def _page_cache(plan: Plan) -> str:
    """Say how much of the answer the page cache holds back, where it is known."""
    said = []
    for host in dict.fromkeys(plan.answers["host"]):
        rows = _rows(plan, host)
        given = next((row for row in rows if row["page_cache_given_back"]), None)
        if given is not None:
            label = str(given["label"]).removesuffix(", page cache given back")
            same = next(row for row in rows if row["label"] == label)
            more = _guests(given) - _guests(same)
            said.append(f"{more:,} more on {name_text(host)} with {label}")
    if not said:
        return ""
    mean = round_bytes(float(plan.answers["cached_bytes"].iloc[0]))
    return (
        f"Page cache is not free memory, and reporting never returns it: {mean} a guest on "
        f"the average of those that tell. If guests gave all of it back, {sentence_list(said)} "
        "would fit."
    )


# --- charts --------------------------------------------------------------------------------------


def _chart_section(plan: Plan) -> Section:
    return Section(key="charts", heading="Charts", blocks=tuple(_figures(plan)))


def _figures(plan: Plan) -> Iterator[Figure]:
    said = "; ".join(
        f"{name_text(host)}: " + ", ".join(f"{_guests(row):,} {row['label']}" for row in rows[:5])
        for host, rows in ((host, _rows(plan, host)) for host in _hosts(plan))
    )
    yield _figure(
        "guests-against-risk",
        "How often the memory of a host is short, over the number of guests; the dashed line is "
        "the limit.",
        f"Guests that fit. {said}.",
        lambda: plot.guests_against_risk(plain(plan.risk)),
    )
    yield _figure(
        "memory-of-many",
        "What so many guests need together, beside what hosts have for them: without reporting, "
        "and with the setting that needs least.",
        f"Memory that many guests need together. {said}.",
        lambda: plot.memory_of_many(plain(plan.memory)),
    )
    drains = plan.answers[plan.answers["reporting"]]
    if len(drains):
        fastest = drains["drain_90_seconds"].min()
        yield _figure(
            "drain-times",
            "How long it takes until a freed GiB can be used by another guest, by Linux's rule "
            "alone.",
            f"Until 90 % of a freed GiB is reported: {_seconds(fastest)} with the fastest setting.",
            lambda: plot.drain_times(plain(plan.answers)),
        )
    if len(plan.sensitivity):
        yield _figure(
            "sensitivity",
            "How much each setting that was compared changes the answer.",
            " ".join(plan.matters),
            lambda: plot.sensitivity(plain(plan.sensitivity)),
        )


def _hosts(plan: Plan) -> list[str]:
    return list(dict.fromkeys(plan.answers["host"]))[:_KEY_HOSTS]


def _figure(key: str, caption: str, alt: str, draw: Callable[[], Any]) -> Figure:
    return figure_of(key, caption=caption, alt=alt, draw=draw)


# --- tables --------------------------------------------------------------------------------------


def _table_section(plan: Plan) -> Section:
    hosts = list(dict.fromkeys(plan.answers["host"]))
    tables = [_host_table(host, _rows(plan, host)) for host in hosts[:ROWS_MAX]]
    tables.append(_cost_table(_rows(plan, hosts[0])))
    return Section(key="tables", heading="Tables", blocks=tuple(tables))


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, is_number=True) for name in names)


def _host_table(host: str, rows: list[Row]) -> Table:
    names = ("guests", "by seed", "short", "mean", "95 %", "99 %", "peak", "to swap a day")
    return Table(
        caption=f"Guests that fit on {name_text(host)}",
        columns=(Column(name="compared"), *_numbers(*names), Column(name="limited by")),
        rows=tuple(
            (
                name_text(str(row["label"])),
                Cell(
                    text=f"{_guests(row):,}", detail=f"{int(row['guests_at_peaks']):,} at all peaks"
                ),
                _range(int(row["guests_least"]), int(row["guests_most"])),
                _share(row["over_share"]),
                *(_size(row[f"{name}_bytes"]) for name in ("mean", "p95", "p99", "peak")),
                _size(row["swap_out_at_least_bytes_per_day"]),
                name_text(str(row["limited_by"])),
            )
            for row in rows[:ROWS_MAX]
        ),
        note="Mean, 95 %, 99 % and peak are of the memory that so many guests need together; "
        "short, how much of the time that is more than the host has for them. To swap: at least.",
    )


def _cost_table(rows: list[Row]) -> Table:
    names = (
        "held back",
        "page cache",
        "faulted in again a day",
        "processor time a day",
        "90 % of a GiB back",
        "all of it",
    )
    return Table(
        caption="Of each guest, on average",
        columns=(Column(name="compared"), *_numbers(*names)),
        rows=tuple(
            (
                name_text(str(row["label"])),
                _size(row["held_back_bytes"]),
                _size(row["cached_bytes"]),
                _size(row["refault_bytes_per_guest_day"]),
                _seconds(row["refault_cpu_seconds_per_guest_day"]),
                _seconds(row["drain_90_seconds"]),
                _seconds(row["drain_all_seconds"]),
            )
            for row in rows[:ROWS_MAX]
        ),
        note="Held back: what is free in the guest and can never be reported at this order. "
        "Faulted in again: at least.",
    )


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _size(value: float) -> str:
    return "-" if math.isnan(value) else size_text(value)


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{format_number(value)} s" if math.isfinite(value) else "never"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else percent(value)


def _lineage(plan: Plan) -> dict[str, Any]:
    """Give what the figures were made of as reports on traces have it."""
    made = {name_text(name): name_text(str(value)) for name, value in plan.lineage.items()}
    digests = {name: made.pop(name, "not known") for name in ("study", "model", "sources")}
    return {**digests, "versions": {"workbench": "not known", **made}}


def _lineage_section(plan: Plan) -> Section:
    made = _lineage(plan)
    versions = made.pop("versions")
    pairs = [(f"{name} digest", digest) for name, digest in made.items()]
    pairs += [(f"{name} version", version) for name, version in sorted(versions.items())]
    return Section(
        key="lineage", heading="Where the figures come from", blocks=(Facts(pairs=tuple(pairs)),)
    )


def _matter_section(plan: Plan) -> Section:
    text = "Only one thing was compared, so nothing can be said of what matters."
    blocks: tuple[Block, ...] = (Paragraph(text=text),)
    if plan.matters:
        blocks = (Points(items=plan.matters),)
    return Section(key="matters", heading="What matters, and what does not", blocks=blocks)
