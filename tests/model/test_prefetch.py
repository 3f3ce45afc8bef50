"""Fetching ahead: what a kernel asks the processor for, and that it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from workbench.model.prefetch import prefetch_compiled


def fetch(rows, row):
    prefetch_compiled(rows, row)


@pytest.mark.parametrize("rows", [np.arange(12.0), np.arange(12, dtype=np.int32).reshape(4, 3)])
@pytest.mark.parametrize("row", [0, 3, 1 << 40])
def test_what_is_fetched_stays_as_it_was_and_need_not_be_there(rows, row):
    """It is compiled here in a suite that compiles nothing else, too."""
    before = rows.copy()
    compiled = CPUDispatcher(fetch)
    compiled(rows, row)
    prefetch_ = [code for code in compiled.inspect_llvm().values() if "llvm.prefetch" in code]

    assert len(prefetch_) == 1
    assert (rows == before).all()
