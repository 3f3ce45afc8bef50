"""What people should know of the recordings of a study, though it stops nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.replay import LINUX_REPORTING
from workbench.spelling import on_one_line
from workbench.trace import GuestSeries, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from workbench.study.study import GuestKind, HostKind, Variant

_FIELDS = {"order": "reporting_order", "delay_ns": "reporting_delay_ns"}
"""Settings of which people take for granted what Linux has, by their names in `Reporting`."""


def remarks(guests: Iterable[GuestKind], compared: Iterable[Variant]) -> tuple[str, ...]:
    """Say what was mended in recordings, which are the same, and how they were reported.

    Returns
    -------
    A sentence each, in the order of the guests.
    """
    asked = [each.settings.guest for each in compared if each.reports]
    kept = [
        (name, setting)
        for name, setting in _FIELDS.items()
        if any(getattr(guest, setting) is None for guest in asked)
    ]
    found = (
        f"guest {kind.name!r}, {member.name}: {remark}"
        for kind in guests
        for member, remark in _of_kind(kind, kept)
    )
    return tuple(on_one_line(remark) for remark in found)


def twice_remarks(name: str, paths: Iterable[Path]) -> Iterator[str]:
    """Say which recordings of a kind of guests stand there more than once."""
    for path in paths:
        yield on_one_line(f"guest {name!r}, {path}: is given more than once, and taken once")


def swap_remarks(guests: Iterable[GuestKind], hosts: Iterable[HostKind]) -> Iterator[str]:
    """Say of which hosts the swap device has no say, as nothing tells which pages guests touch."""
    if any(isinstance(member, Trace) for kind in guests for member in kind.members):
        return
    for host in hosts:
        if host.swap is not None:
            yield on_one_line(
                f"host {host.name!r}: its swap ({host.swap}) changes nothing here: what is read "
                "back from swap only traces tell, and all guests are of series"
            )


def _of_kind(
    kind: GuestKind, kept: Sequence[tuple[str, str]]
) -> Iterator[tuple[GuestSeries | Trace, str]]:
    seen: dict[str, str] = {}
    for member in kind.members:
        if isinstance(member, GuestSeries):
            yield from ((member, remark) for remark in member.remarks)
        if member.digest in seen:
            yield member, f"is the same as {seen[member.digest]}, as if there were two such guests"
        seen.setdefault(member.digest, member.name)
        known = _reported(member)
        for name, setting in kept:
            value = known.get(name)
            is_usual = value in {None, getattr(LINUX_REPORTING, name)}
            if not is_usual and getattr(kind.guest, setting) is None:
                was = f"was recorded with {setting} {value}"
                yield member, f"{was}, and keeps that where no other is compared"


def _reported(member: GuestSeries | Trace) -> dict[str, int | None]:
    if isinstance(member, GuestSeries):
        return {} if member.reporting is None else dict(member.reporting._asdict())
    guest = member.manifest.virtual_machines[0].guest
    return {name: getattr(guest, setting) for name, setting in _FIELDS.items()}
