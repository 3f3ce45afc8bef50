"""QEMU's control socket, with every answer and every event kept.

Source: QEMU 7.2 docs/interop/qmp-spec.txt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.validation.wire import Connection


class Monitor:
    """A connection to one QEMU's control socket."""

    def __init__(self, connection: Connection) -> None:
        """Read the greeting, and leave the mode of negotiation."""
        self._connection = connection
        self._rest = b""
        self._messages: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        number = self._next()["QMP"]["version"]["qemu"]
        self.version = f"{number['major']}.{number['minor']}.{number['micro']}"
        """What query-version would say, without the distribution's name."""
        self.execute("qmp_capabilities", {})

    def execute(self, command: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """Run a command; give ``{"return": ...}``, or ``{"error": ...}`` where QEMU refuses."""
        message = {"execute": command, "arguments": arguments}
        self._connection.send(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._next()
            if "event" not in answer:
                return answer
            self._events.append(answer)

    def take_events(self) -> list[dict[str, Any]]:
        """Give the events since the last call, those that have just arrived included."""
        self._keep(self._connection.receive_waiting())
        events = self._events + self._messages
        self._events, self._messages = [], []
        return events

    def wait_for_event(self, name: str) -> dict[str, Any]:
        """Take the first event of this name out of those that are kept; wait if there is none."""
        while True:
            for row, event in enumerate(self._events):
                if event["event"] == name:
                    return self._events.pop(row)
            self._events.append(self._next())

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _next(self) -> dict[str, Any]:
        while not self._messages:
            self._keep(self._connection.receive())
        return self._messages.pop(0)

    def _keep(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._messages += [json.loads(line) for line in lines]
