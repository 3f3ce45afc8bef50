"""The machine and the trace: what was captured, on which host, of which guests."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from workbench.report.document import Block, Column, Facts, Section, Table
from workbench.report.text import name_text
from workbench.units import NANOSECONDS, format_bytes, format_ns

if TYPE_CHECKING:
    from workbench.trace import Trace, VirtualMachine

ROWS_MAX: Final = 50
"""Rows of a table with one for each guest, or each reason: a page has room for about as many."""


def machine_section(trace: Trace) -> Section:
    """Say what the trace is of."""
    return Section(
        key="machine", heading="Machine and trace", blocks=(_facts(trace), _guests(trace))
    )


def switch_text(value: bool | None) -> str:  # noqa: FBT001 - a property of the device.
    """Write a switch the way QEMU's command line does."""
    if value is None:
        return "not known"
    return "on" if value else "off"


def size_text(size_bytes: float) -> str:
    """Write a size without decimals that are zeros: ``512 MiB``."""
    number, unit = format_bytes(size_bytes).split(" ")
    return f"{number.removesuffix('.00')} {unit}"


def time_text(time_ns: float) -> str:
    """Write a time likewise: ``2 s``."""
    number, unit = format_ns(time_ns).split(" ")
    return f"{number.removesuffix('.00')} {unit}"


def moment_text(created: str) -> str:
    """Write a wall-clock time for reading, if it is one: ``2026-11-23 01:44 UTC``."""
    try:
        moment = dt.datetime.fromisoformat(created).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return name_text(created)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _facts(trace: Trace) -> Block:
    manifest, host = trace.manifest, trace.manifest.host
    guests = len(manifest.virtual_machines)
    begun = "while the guest was running" if manifest.mid_life else "at the guest's start"
    swap = ", ".join(map(name_text, host.swap[:ROWS_MAX])) or "none"
    pairs = (
        ("scenario", name_text(manifest.scenario) or "none: not made by the lab"),
        ("captured", moment_text(manifest.created)),
        ("span", f"{manifest.duration_ns / NANOSECONDS:,.1f} s, begun {begun}"),
        ("events", f"{trace.event_count:,} of {guests} guest{'s' * (guests > 1)}"),
        ("host", f"Linux {name_text(host.kernel)}"),
        ("host memory", f"{size_text(host.memory_bytes)}, {host.processors} processors"),
        ("transparent huge pages", name_text(host.transparent_huge_page)),
        ("swap", swap),
    )
    return Facts(pairs=pairs)


def _guests(trace: Trace) -> Block:
    machines = trace.manifest.virtual_machines
    columns = ("guest", "RAM", "QEMU", "reporting", "page_poison", "free_page_hint", "Linux")
    hidden = len(machines) - ROWS_MAX
    note = f"And {hidden:,} more guests, in the trace's manifest." if hidden > 0 else ""
    return Table(
        caption="Guests, with the properties of their balloon",
        columns=tuple(Column(name=name, is_number=name == "RAM") for name in columns),
        rows=tuple(_guest(machine, trace) for machine in machines[:ROWS_MAX]),
        note=note,
    )


def _guest(machine: VirtualMachine, trace: Trace) -> tuple[str, ...]:
    presence = _presence(machine, trace.manifest.start_time_ns)
    return (
        name_text(machine.name) + presence,
        size_text(machine.memory_bytes),
        ", ".join(
            map(name_text, (machine.qemu_version, machine.machine_type, machine.accelerator))
        ),
        _reporting(machine),
        switch_text(machine.device.page_poison) + _poison(machine),
        switch_text(machine.device.free_page_hint),
        name_text(machine.guest.kernel or "not known")
        + ", init_on_free" * bool(machine.guest.init_on_free),
    )


def _presence(machine: VirtualMachine, start_ns: int) -> str:
    """Say when a guest came or ended, if the capture did not see all of it."""
    words = [
        f"{word} at {time_text(time_ns - start_ns)}"
        for word, time_ns in (
            ("came", machine.attached_time_ns),
            ("ended", machine.ended_time_ns),
        )
        if time_ns is not None
    ]
    return f" ({', '.join(words)})" if words else ""


def _reporting(machine: VirtualMachine) -> str:
    guest = machine.guest
    delay_ns, capacity = guest.reporting_delay_ns, guest.reporting_capacity
    words = [
        None if guest.reporting_order is None else f"order {guest.reporting_order}",
        None if delay_ns is None else f"after {time_text(delay_ns)}",
        None if capacity is None else f"{capacity} ranges at once",
    ]
    switch = switch_text(machine.device.free_page_reporting)
    known = ", ".join(word for word in words if word is not None)
    return f"{switch}: {known}" if known and switch == "on" else switch


def _poison(machine: VirtualMachine) -> str:
    return f", poison_val 0x{machine.poison_val:x}" if machine.poison_val else ""
