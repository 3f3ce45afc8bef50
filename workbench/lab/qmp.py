"""QEMU's control socket: as much of the protocol as the lab needs."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, Self

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANSWER_SECONDS_MAX: Final = 30.0
"""QEMU answers in milliseconds; a host that swaps may need seconds."""

_RETRY_S: Final = 0.01

_GONE: Final = "QEMU has ended, or hangs: it does not answer on its control socket"


class Qmp:
    """A connection to one QEMU.

    Source: QEMU 7.2 docs/interop/qmp-spec.txt.
    """

    def __init__(self, path: Path, *, is_alive: Callable[[], bool]) -> None:
        """Connect.  QEMU makes the socket some 20 ms after it starts, so this waits for it."""
        with ExitStack() as stack:
            self._socket = stack.enter_context(_connected(path, is_alive))
            self._socket.settimeout(ANSWER_SECONDS_MAX)
            self._lines = stack.enter_context(self._socket.makefile("rb"))
            self._read()  # The greeting.
            self.execute("qmp_capabilities")
            self._resources = stack.pop_all()

    def __enter__(self) -> Self:
        """Nothing more to do: the connection stands."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Disconnect."""
        self._resources.close()

    def execute(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Run a command and return what it returns.

        Raises
        ------
        HostError
            QEMU refused, or is gone.
        """
        message = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise HostError(_GONE) from error
        while True:
            answer = self._read()
            if "error" in answer:
                raise HostError(f"QEMU refused {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise HostError(_GONE) from error
        if not line:
            raise HostError(_GONE)
        answer = json.loads(line)
        return answer if isinstance(answer, dict) else {}


def _connected(path: Path, is_alive: Callable[[], bool]) -> socket.socket:
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while time.monotonic() < deadline and is_alive():
        connection = socket.socket(socket.AF_UNIX)
        with suppress(FileNotFoundError, ConnectionRefusedError):
            connection.connect(str(path))
            return connection
        connection.close()
        time.sleep(_RETRY_S)
    raise HostError("QEMU did not open its control socket")
