"""What a study says of itself: cards for people, and a digest that names its content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

from workbench.card import Card
from workbench.quantity import time_text
from workbench.study.lineage import member_content
from workbench.trace import Trace
from workbench.units import format_bytes, format_number

if TYPE_CHECKING:
    from workbench.study.study import GuestKind, HostKind, Study, Variant

_VARIANTS_LISTED = 5
"""In a card; more are counted."""


def study_card(study: Study) -> Card:
    """Say which guests, which hosts, and what is compared."""
    limit = study.limit
    limits = [f"memory is enough {format_number(100 * limit.share_of_time, 12)} % of the time"]
    if limit.drain_seconds is not None:
        limits.append(
            f"90 % of a freed GiB is reported within {format_number(limit.drain_seconds, 6)} s"
        )
    if limit.swap_in_pages_per_second is not None:
        limits.append(
            f"{format_number(limit.swap_in_pages_per_second, 6)} pages/s are swapped in at most"
        )
    labels = [variant.label for variant in study.variants[:_VARIANTS_LISTED]]
    more = len(study.variants) - len(labels)
    return Card(
        title=f"Study {study.name}: {len(study.variants):,} things compared",
        facts=[
            *(("guests", _kind_in_words(kind)) for kind in study.guests),
            *(("hosts", _host_in_words(host)) for host in study.hosts),
            ("compared", "; ".join(labels) + (f"; and {more:,} more" if more else "")),
            ("limit", ", ".join(limits)),
            ("seeds", f"{len(study.seeds):,}"),
            ("step", time_text(study.step_ns)),
        ],
        remarks=study.remarks,
    )


def kind_card(kind: GuestKind) -> Card:
    """Say what guests of one kind are like."""
    facts = [("guests", _kind_in_words(kind))]
    if kind.shift_ns:
        facts.append(("shift", time_text(kind.shift_ns)))
    if kind.huge_share is not None:
        facts.append(("huge pages", f"{format_number(100 * kind.huge_share, 4)} % of free memory"))
    own = {**kind.device.model_dump(exclude_none=True), **kind.guest.model_dump(exclude_none=True)}
    if own:
        facts.append(("own settings", ", ".join(f"{name} {value}" for name, value in own.items())))
    facts += [("recording", member.name) for member in kind.members]
    return Card(title=f"GuestKind {kind.name}", facts=facts)


def host_card(host: HostKind) -> Card:
    """Say what a host has."""
    return Card(title=f"HostKind {host.name}", facts=[("memory", _host_in_words(host))])


def variant_card(variant: Variant) -> Card:
    """Name what is compared."""
    return Card(title=f"Variant: {variant.label}")


def digest_of(study: Study) -> str:
    """Hash all that answers depend on: recordings by their digests, and not where the file is."""
    content = {
        "name": study.name,
        "guests": [_content(kind) for kind in study.guests],
        "hosts": [dataclasses.asdict(host) for host in study.hosts],
        "variants": [
            {
                "settings": variant.settings.changed,
                "inhibited_share": variant.inhibited_share,
                "page_cache_given_back": variant.page_cache_given_back,
            }
            for variant in study.variants
        ],
        "limit": dataclasses.asdict(study.limit),
        "costs": dataclasses.asdict(study.costs),
        "seeds": study.seeds,
        "step_ns": study.step_ns,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(kind: GuestKind) -> dict[str, object]:
    plain = ("name", "weight", "guests_per_phase", "shift_ns", "huge_share")
    return {
        **{name: getattr(kind, name) for name in plain},
        "members": [member_content(member) for member in kind.members],
        "phase": kind.phase.value,
        "device": kind.device.model_dump(),
        "guest": kind.guest.model_dump(),
    }


def _kind_in_words(kind: GuestKind) -> str:
    what = "traces" if isinstance(kind.members[0], Trace) else "series"
    together = f", {kind.guests_per_phase} share a moment" if kind.guests_per_phase > 1 else ""
    return (
        f"{kind.name}: {len(kind.members):,} {what}, weight {kind.weight}, "
        f"{kind.phase.value} phase{together}"
    )


def _host_in_words(host: HostKind) -> str:
    room = "" if host.swap_bytes is None else f" of {format_bytes(host.swap_bytes)}"
    swap = "no swap" if host.swap is None else f"swap on {host.swap}{room}"
    return f"{host.name}: {format_bytes(host.for_guests_bytes)} for guests, {swap}"
