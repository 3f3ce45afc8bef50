"""What takes more memory than there is is refused before it is tried."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from tests.synthetic import TWO_BLOCKS, manifest, write_trace
from workbench.errors import HostError, InputError
from workbench.trace import TraceWriter, read_trace, require_memory, segments

if TYPE_CHECKING:
    from pathlib import Path


def test_more_than_half_of_all_memory_is_refused_with_the_reason() -> None:
    all_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    require_memory(1 << 20, "a trace", "do without")

    with pytest.raises(HostError, match=r"^a trace takes .*half of what there is.*; do without$"):
        require_memory(all_bytes, "a trace", "do without")


def test_rows_that_do_not_fit_are_refused_whole_and_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of some kilobytes can say that it holds billions; here each is taken for many."""
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    monkeypatch.setattr(segments, "_COPIES", 1 << 40)

    with pytest.raises(HostError, match=r"to have 11 rows at once takes .*--totals"):
        read_trace(trace.path).columns("events")
    with pytest.raises(HostError, match=r"to have 11 rows at once takes"):
        list(trace.batches("events", ["kind"]))


def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    (trace.path / "manifest.json").unlink()
    os.mkfifo(trace.path / "manifest.json")

    with pytest.raises(InputError, match="is not a file, expected the trace's manifest"):
        read_trace(trace.path)


def test_a_segment_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Neither to read it nor to name the files by a digest."""
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    (path,) = (trace.path / "events").iterdir()
    path.unlink()
    os.mkfifo(path)

    with pytest.raises(InputError, match="is not a file, expected a segment"):
        _ = read_trace(trace.path).files_digest
    with pytest.raises(InputError, match="is not a file, expected a segment"):
        read_trace(trace.path).columns("events")


def test_a_manifest_without_end_is_not_read_to_it(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    with (trace.path / "manifest.json").open("ab") as file:
        file.truncate(1 << 30)

    with pytest.raises(InputError, match="is larger than 67,108,864 bytes"):
        read_trace(trace.path)


def test_a_segment_that_could_not_be_written_shows_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number stays unused, and nothing is joined over it."""
    writer = TraceWriter(tmp_path / "x.trace", manifest(complete=False))
    rows = {"kind": [15], "ram_block": [-1]}
    writer.append("events", rows)
    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetWriter", _full)
        with pytest.raises(HostError, match="No space left on device"):
            writer.append("events", rows)
    writer.append("events", rows)
    writer.close(manifest())
    trace = read_trace(tmp_path / "x.trace")

    assert trace.missing_segments == 1
    assert len(trace.columns("events")["vm"]) == 2


def _full(*_arguments: object, **_options: object) -> None:
    raise OSError(28, "Error writing bytes to file")
