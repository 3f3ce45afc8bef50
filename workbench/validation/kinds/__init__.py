"""What random programs are about: each kind has its machines and its way to write a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.validation.kinds import (
    device,
    hints,
    machines,
    migrations,
    registers,
    rings,
    sources,
    transport,
)
from workbench.validation.kinds.kind import Kind, Scene

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for room in (rings, transport, device, registers, hints, machines, migrations, sources)
    for kind in room.KINDS
}
"""Every kind, by name, in the order in which they are listed."""

__all__ = ["KINDS", "Kind", "Scene"]
