"""What decides about a result of a study, as digests: equal keys, equal results."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from workbench.replay.door import made_with
from workbench.trace import GuestSeries

if TYPE_CHECKING:
    from workbench.study.study import GuestKind, HostKind, Study, Variant
    from workbench.study.timeline import Timeline
    from workbench.trace import Trace

_PACKAGE: Final = Path(__file__).resolve().parent.parent

_ROOMS: Final = ("trace", "replay", "measure", "study")
"""Whose code decides, besides the model and its floor, which `model_digest` names."""

_DIGITS: Final = 32


@functools.cache
def sources_digest() -> str:
    """Name the code that a study runs through, besides the model: a hash of its files."""
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def made_here() -> dict[str, str]:
    """Name what results are made with in this process: workers must have the same."""
    made = made_with()
    versions = {name: str(version) for name, version in made["versions"].items()}
    return {
        **versions,
        "pyarrow": pa.__version__,
        "model": made["model"],
        "sources": sources_digest(),
    }


def key_of(content: object) -> str:
    """Give the key of what JSON can say, and of what it is made with."""
    text = json.dumps([content, made_here()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def member_content(member: GuestSeries | Trace) -> list[object]:
    """Say what of a recording decides about its profiles."""
    if isinstance(member, GuestSeries):
        return [member.digest, member.reporting]
    return [member.digest]


def profile_content(kind: GuestKind, variant: Variant, timeline: Timeline) -> dict[str, Any]:
    """Say what else decides about the profile of a member of `kind`.

    A guest that begins at a random moment does the same whatever the timeline is.

    Parameters
    ----------
    variant
        With all settings that the kind has then.
    """
    is_random = not kind.is_recorded
    return {
        "settings": variant.settings.model_dump(),
        "page_cache_given_back": variant.page_cache_given_back,
        "huge_share": kind.huge_share,
        "phase": kind.phase.value,
        "shift_ns": 0 if is_random else kind.shift_ns,
        "timeline": [timeline.step_ns] if is_random else list(timeline),
    }


def sums_content(study: Study, timeline: Timeline, seed: int) -> dict[str, Any]:
    """Say what decides about the sums of one draw, besides the profiles and the inhibited share."""
    return {
        "seed": seed,
        "timeline": list(timeline),
        "hosts": [host.for_guests_bytes for host in study.hosts],
        "kinds": [
            [kind.weight, kind.phase.value, kind.guests_per_phase, len(kind.members)]
            for kind in study.guests
        ],
    }


def swaps_content(
    study: Study, variant: Variant, host: HostKind, asked: dict[str, Any]
) -> dict[str, Any]:
    """Say what decides what guests swap on a host, page by page.

    Parameters
    ----------
    asked
        What of it is wanted.
    """
    return {
        "members": [[member_content(member) for member in kind.members] for kind in study.guests],
        "kinds": [
            [
                [kind.weight, kind.phase.value, kind.guests_per_phase, kind.shift_ns],
                kind.settings_under(variant).model_dump(),
            ]
            for kind in study.guests
        ],
        "share": variant.inhibited_share,
        "host": [host.for_guests_bytes, host.swap, host.swap_bytes],
        "step_ns": study.step_ns,
        **asked,
    }
