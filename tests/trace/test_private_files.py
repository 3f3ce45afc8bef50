"""Nobody but its owner can read a trace, whatever made it and whatever the umask is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.synthetic import TWO_BLOCKS, two_block_samples, write_trace
from workbench.replay import moment_at
from workbench.trace import Part, anonymize_trace, repair_trace, write_slice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> set[tuple[bool, str]]:
    """Whether each thing is a folder, and who may do what with it."""
    return {
        (path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in (folder, *folder.rglob("*"))
    }


def test_files_are_0600_and_folders_0700(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS, samples=two_block_samples())
    write_slice(trace, tmp_path / "slice.trace", Part(first_ns=1), moment_at(trace, None))
    anonymize_trace(trace, tmp_path / "anonymous.trace")
    repair_trace(trace.path, tmp_path / "repaired.trace")

    for path in tmp_path.iterdir():
        assert modes(path) == {(True, "0o700"), (False, "0o600")}, path
