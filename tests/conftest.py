"""What all tests share: where they find each other, and how Hypothesis behaves.

The suite runs three ways, which `make` chooses by the environment: compiled, with
NUMBA_DISABLE_JIT=1 (the kernels are plain Python then, and their coverage is measured) and with
NUMBA_BOUNDSCHECK=1 (compiled kernels raise where they would read past an array).

Tests marked `live` are skipped, with the reason, where a guest cannot be captured, those marked
`qemu` where there is no QEMU, and those marked `browser` where there is no Chromium.  Named in
WORKBENCH_REQUIRE (CI sets it to live,browser) they fail there instead; `live` includes `qemu`.
"""

from __future__ import annotations

import functools
import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

from workbench.capture.bcc_loader import load_bcc
from workbench.capture.privileges import require_privileges
from workbench.errors import HostError
from workbench.lab.kernel import require_tools
from workbench.lab.machine import QEMU, TOOLS

# The first call of a kernel compiles it, which no deadline for an example can allow for.
settings.register_profile(
    "workbench", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("workbench")


@functools.cache
def obstacle(marker: str) -> str:
    """What keeps this host from running such a test; empty if nothing does."""
    if marker == "browser":
        missing = [tool for tool in ("chromium", "chromedriver") if shutil.which(tool) is None]
        return f"no {' and no '.join(missing)}: tools/debian browser installs both" * bool(missing)
    try:
        if marker == "live":
            require_privileges()
            load_bcc()
            require_tools(TOOLS)
        else:
            require_tools({tool: TOOLS[tool] for tool in (QEMU, "setpriv")})
    except HostError as error:
        return str(error)
    return ""


REQUIRED_BY = {"live": {"live"}, "qemu": {"qemu", "live"}, "browser": {"browser"}}
"""Which words in WORKBENCH_REQUIRE turn a skipped test of each marker into a failed one."""


@pytest.fixture(autouse=True)
def _able_host(request: pytest.FixtureRequest) -> None:
    required = set(os.environ.get("WORKBENCH_REQUIRE", "").split(","))
    for marker, words in REQUIRED_BY.items():
        if request.node.get_closest_marker(marker) is None or not obstacle(marker):
            continue
        if words & required:
            pytest.fail(obstacle(marker))
        pytest.skip(obstacle(marker))
