"""Say what a trace holds, lost, and can answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, print_json, print_table, print_text
from workbench.units import GIB, MIB, NANOSECONDS, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

app = command_app()


@app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="TRACE", help="A trace folder.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a trace holds, lost, and can answer, and why not the rest.

    Example: workbench info traces/churn-on.trace
    """
    from workbench.measure import describe
    from workbench.trace import read_trace

    found = describe(read_trace(path))
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    host = found["host"]
    state = "" if found["complete"] else ", not complete: the capture was killed"
    begun = "mid-life" if found["mid_life"] else "at the guest's start"
    print_text(f"{found['name']}: {found['span_seconds']:.1f} s, begun {begun}{state}")
    print_text(f"  made by   {found['command']}")
    print_text(f"  created   {found['created']}, format {found['schema_version']}")
    print_text(f"  digest    {found['digest'][:16]}")
    print_text(
        f"  host      Linux {host['kernel']}, {format_bytes(host['memory_bytes'])}, "
        f"huge pages {host['transparent_huge_page']}, swap {', '.join(host['swap']) or 'none'}"
    )
    if found["access_interval_ns"] is not None:
        interval_s = found["access_interval_ns"] / NANOSECONDS
        source = found["access_source"] or "something unnamed"
        print_text(f"  accesses  sampled every {interval_s:g} s by {source}")
    for machine in found["machines"]:
        print_text(_machine(machine))
    for one in found["not_captured"]:
        print_text(f"  {one['name']:<9} not captured: {one['reason']}")
    print_text("")
    print_table(
        ("events", "rows"),
        [(kind, f"{count:,}") for kind, count in found["events"].items()],
        right=("rows",),
    )
    print_text("")
    print_table(
        ("probe", "attached", "events", "run time", "lost"),
        [_probe(probe) for probe in found["probes"]],
        right=("events", "run time"),
    )
    print_text("")
    print_table(("question", "settings", "answer"), [_question(q) for q in found["questions"]])


def _machine(machine: Mapping[str, Any]) -> str:
    size_bytes = machine["memory_bytes"]
    size = f"{size_bytes / GIB:g} GiB" if size_bytes >= GIB else f"{size_bytes / MIB:g} MiB"
    facts = {
        **machine["device"],
        **machine["guest"],
        "poison_val": machine["poison_val"],
        "came": machine["came_seconds"],
        "ended": machine["ended_seconds"],
    }
    known = [f"{name}={_fact(name, value)}" for name, value in facts.items() if value is not None]
    head = (
        f"  {machine['name']:<9} {size}, {machine['machine_type']}, {machine['accelerator']}, "
        f"QEMU {machine['qemu_version']}"
    )
    return f"{head}\n            {', '.join(known)}"


def _fact(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.1f} s after the start"
    if name == "poison_val" and isinstance(value, int):
        return hex(value)
    return str(value)


def _probe(probe: Mapping[str, Any]) -> tuple[str, ...]:
    attached = "yes" if probe["attached"] else "no"
    if probe["reason"]:
        attached += f": {probe['reason']}"
    lost = ", ".join(f"{count:,} {reason}" for reason, count in probe["lost"].items() if count)
    run_time_ns = probe["run_time_ns"]
    run_time = "" if run_time_ns is None else f"{run_time_ns / NANOSECONDS:.2f} s"
    return probe["name"], attached, f"{probe['events']:,}", run_time, lost or "0"


def _question(answer: Mapping[str, Any]) -> tuple[str, str, str]:
    text = "yes" if answer["answerable"] else f"no: {'; '.join(answer['reasons'])}"
    return answer["question"], answer["settings"], text
