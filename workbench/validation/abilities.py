"""What a QEMU can be asked for.  Releases differ, so it is asked itself, not judged by its version.

Source: QEMU 7.2 qapi/machine.json (query-machines), qapi/qdev.json (device-list-properties).
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import HostError
from workbench.lab.kernel import require_tools
from workbench.validation.ending import ending_with
from workbench.validation.setup import device_properties

if TYPE_CHECKING:
    from workbench.validation.setup import Setup

_SECONDS_MAX: Final = 20.0
"""It takes a fifth of a second."""

_QUESTIONS: Final = (
    {"execute": "qmp_capabilities"},
    {"execute": "query-machines", "id": "machines"},
    {
        "execute": "device-list-properties",
        "arguments": {"typename": "virtio-balloon-pci"},
        "id": "properties",
    },
    {"execute": "quit"},
)


class NotBuildableError(HostError):
    """A machine, or what is to be done with it, cannot be asked of this QEMU on this host."""

    def __init__(self, missing: dict[str, str]) -> None:
        """Say what it does not know, or may not do."""
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in missing.items()))
        self.missing = missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What one QEMU can be asked for."""

    machine_types: frozenset[str]
    """Their names, and their other names."""
    properties: frozenset[str]
    """Of its balloon device."""

    def check(self, setup: Setup) -> None:
        """See whether a machine can be asked for.

        Raises
        ------
        NotBuildableError
            It cannot: releases drop old machine types and properties.
        """
        missing = {
            name: "this QEMU's balloon has no such property"
            for name in device_properties(setup.properties)
            if name not in self.properties
        }
        if setup.machine_type not in self.machine_types:
            missing[setup.machine_type] = "this QEMU has no such machine type"
        if missing:
            raise NotBuildableError(missing)


@cache
def abilities_of(qemu: str) -> Abilities:
    """Ask a QEMU what it can be asked for; only once, because that costs as much as a machine.

    Raises
    ------
    HostError
        It is not installed, or does not answer.
    """
    require_tools({qemu: "qemu-system-x86", "setpriv": "util-linux"})
    command = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "none"]
    questions = "".join(json.dumps(question) + "\n" for question in _QUESTIONS)
    try:
        done = subprocess.run(
            # It does not end by itself if nobody is left to tell it to.
            ending_with(os.getpid(), [*command, "-qmp", "stdio"]),
            input=questions,
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
        messages = [json.loads(line) for line in done.stdout.splitlines()]
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"{qemu} has not answered for {_SECONDS_MAX:g} s; is it a QEMU?  Name one with --qemu"
        ) from error
    except (OSError, ValueError) as error:
        raise HostError(f"{qemu} cannot be asked what it can do: {error}") from error
    answers: dict[str, list[dict[str, Any]]] = {
        message["id"]: message["return"] for message in messages if "id" in message
    }
    if len(answers) < 2:  # noqa: PLR2004 - the questions that have an id
        words = done.stderr.strip() or f"it says {done.stdout.strip()!r}"
        raise HostError(f"{qemu} cannot be asked what it can do: {words}")
    machines = answers["machines"]
    names = {machine["name"] for machine in machines}
    return Abilities(
        machine_types=frozenset(names | {machine.get("alias", "") for machine in machines}),
        properties=frozenset(entry["name"] for entry in answers["properties"]),
    )
