"""Refuse, in one sentence, a process that may not capture."""

from __future__ import annotations

import os

from workbench.capture.host import (
    is_in_pid_namespace,
    kernel_headers_folder,
    missing_capabilities,
)
from workbench.errors import HostError


def require_privileges() -> None:
    """Refuse a process that may not load probes, and tell bcc where the headers are.

    Raises
    ------
    HostError
        It may not, or there are no kernel headers.
    """
    missing = missing_capabilities()
    if missing:
        message = f"capturing needs root, or {', '.join(missing)}; run it with sudo"
        raise HostError(message)
    if is_in_pid_namespace():
        message = (
            "the probes see the host's process ids, and this process has others (a container with "
            "its own); capture from the host"
        )
        raise HostError(message)
    headers = kernel_headers_folder()
    if headers is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(headers)
