"""Instead of a capture: only what the guests say, as text."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from workbench.errors import InputError
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.capture.guests import Target
    from workbench.capture.recorder import Origin

FILE_NAME = "transcript.txt"


class Transcript:
    """Writes marks and samples to `transcript.txt` in the output folder, a line each."""

    def __init__(self, targets: Sequence[Target], output: Path, origin: Origin) -> None:
        self._names = [target.name for target in targets]
        self._output = output
        self._origin = origin
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        """Make the folder and the file.

        Raises
        ------
        InputError
            They cannot be made.
        """
        try:
            self._output.mkdir(parents=True, exist_ok=True)
            file = (self._output / FILE_NAME).open("w", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self._output}: cannot write there: {error.strerror}") from error
        self._file = self._resources.enter_context(file)
        self._file.write(f"# {self._origin.command}\n# seconds (host clock), guest, what\n")
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self._resources.close()

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """Write that a guest began a step."""
        self._write(vm, time_ns, f"step {step}")

    def guest_sample(
        self, vm: int, time_ns: int, guest_time_ns: int, free_blocks: Sequence[int]
    ) -> None:
        """Write a guest's free blocks."""
        counts = " ".join(str(count) for count in free_blocks)
        self._write(vm, time_ns, f"uptime {guest_time_ns / NANOSECONDS:.2f} free {counts}")

    def _write(self, vm: int, time_ns: int, what: str) -> None:
        self._file.write(f"{time_ns / NANOSECONDS:.3f} {self._names[vm]} {what}\n")
