"""The answer of a study: of what was computed for it, and of nothing else."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.study.made_studies import GIB, SOON, kind_of, series_needing, study_of
from workbench.errors import UsageError
from workbench.study import plan, plans
from workbench.study.curves import memory
from workbench.study.sweep import sweep


def study_needing(*used_bytes):
    """A study of one guest of a GiB."""
    guest = series_needing(*used_bytes, name="g", total_bytes=GIB)
    return study_of(kind_of(guest), hosts=(8 * GIB,), variants=(SOON,), seeds=(1, 2))


def test_nobody_else_has_the_folder_until_the_answer_is_written(tmp_path, monkeypatch):
    """Their frames would be taken for ours: the same seeds, hosts and variants are in both."""
    study, other = study_needing(GIB // 8, GIB // 2), study_needing(GIB // 16, GIB // 16)
    alone, folder = plan(study, progress=False), tmp_path / "result"

    def drawing(*given):
        with pytest.raises(UsageError, match="another study is being computed into it"):
            sweep(other, folder)
        return memory(*given)

    monkeypatch.setattr(plans, "memory", drawing)

    found = plan(study, folder=folder, progress=False)
    pd.testing.assert_frame_equal(found.answers, alone.answers)
    assert sweep(other, folder).done["profiles"] > 0
