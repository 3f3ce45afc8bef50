"""What all tests share: where they find each other, and how Hypothesis behaves.

The suite runs three ways, which `make` chooses by the environment: compiled, with
NUMBA_DISABLE_JIT=1 (the kernels are plain Python then, and their coverage is measured) and with
NUMBA_BOUNDSCHECK=1 (compiled kernels raise where they would read past an array).

Tests marked `live` are skipped, with the reason, where a guest cannot be captured.  With
WORKBENCH_REQUIRE=live, as in CI, they fail there instead.
"""

from __future__ import annotations

import functools
import os

import pytest
from hypothesis import HealthCheck, settings

from workbench.capture.bcc_loader import load_bcc
from workbench.capture.recorder import require_privileges
from workbench.errors import HostError
from workbench.lab.kernel import require_tools
from workbench.lab.machine import TOOLS

# The first call of a kernel compiles it, which no deadline for an example can allow for.
settings.register_profile(
    "workbench", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("workbench")


@functools.cache
def obstacle() -> str:
    """What keeps this host from capturing a guest; empty if nothing does."""
    try:
        require_privileges()
        load_bcc()
        require_tools(TOOLS)
    except HostError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _live_host(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("live") is None or not obstacle():
        return
    if "live" in os.environ.get("WORKBENCH_REQUIRE", "").split(","):
        pytest.fail(obstacle())
    pytest.skip(obstacle())
