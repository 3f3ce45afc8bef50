"""Load and attach each probe, to nobody's process but this one, and say which cannot be.

A program of its own, because what a compiler does when it is unhappy is its own business:
`python -m workbench.capture.try_probes ANSWER [QEMU]` writes one JSON document.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.capture.attach import attach_entries
from workbench.capture.build import read_build
from workbench.capture.host import kernel_headers_folder, mounted_tracefs
from workbench.capture.probe import load_probes, missing_trace_point
from workbench.capture.probe_files import BALLOON_ENTRIES, PROBE_FILES
from workbench.errors import HostError

if TYPE_CHECKING:
    from workbench.capture.probe import Probes


def try_probes(qemu: Path | None) -> dict[str, str]:
    """Say of each probe why it cannot be attached; empty where it can."""
    headers = kernel_headers_folder()
    if headers is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(headers)
    reasons = {file.name: missing_trace_point(file) for file in PROBE_FILES}
    try:
        probes = load_probes()
    except HostError as error:
        return {name: reason or str(error) for name, reason in reasons.items()}
    try:
        if qemu is not None:
            reasons["balloon"] = _try_uprobes(probes, qemu)
        return reasons
    finally:
        probes.bpf.cleanup()


def _try_uprobes(probes: Probes, path: Path) -> str:
    try:
        build = read_build(path)
        attach_entries(probes.bpf, BALLOON_ENTRIES, build, path=path, pid=os.getpid())
    except HostError as error:
        return str(error)
    return ""


def main(answer: Path, qemu: Path | None) -> None:
    """Write down what was found."""
    with mounted_tracefs():
        answer.write_text(json.dumps(try_probes(qemu)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None)  # noqa: PLR2004 - the second is optional.
