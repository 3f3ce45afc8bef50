"""What all tests share: where they find each other, and how Hypothesis behaves.

The suite runs three ways, which `make` chooses by the environment: compiled, with
NUMBA_DISABLE_JIT=1 (the kernels are plain Python then, and their coverage is measured) and with
NUMBA_BOUNDSCHECK=1 (compiled kernels raise where they would read past an array).
"""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# Tests share strategies and the naive model as `tests.strategies` and `tests.naive`.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The first call of a kernel compiles it, which no deadline for an example can allow for.
settings.register_profile(
    "workbench", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("workbench")
