"""What a migration of a real guest sends, page by page, against what the replay predicts.

The guest of the lab's scenario `migration` idles while it migrates.  Reporting is off: its free
memory is full of what it held before, so that hints save pages with content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from workbench.capture.recorder import Capture
from workbench.lab import LabSettings, load_scenario, run_lab
from workbench.replay import PagesSent, Replay, pages_sent, replay
from workbench.replay.decisions import happened
from workbench.replay.hints import migrations
from workbench.replay.machine import Machine
from workbench.schema import Kind, PageState
from workbench.trace import read_trace
from workbench.units import PAGE_BYTES
from workbench.validation.stream_reader import StreamReader, read_stream

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

pytestmark = pytest.mark.live

TOLERANCE = 0.1
"""When QEMU comes to a page is modelled from its limit alone, and from what is backed: where pages
that hold zeros count as full, it comes later than it does."""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Replay, StreamReader]:
    """A hinting guest, captured while it migrated, and what that sent."""
    folder: Path = tmp_path_factory.mktemp("migration")
    settings = LabSettings(
        scenario=load_scenario("migration"),
        reporting=False,
        free_page_hint=True,
        migrate_at="migrate",
    )
    trace, stream = folder / "x.trace", folder / "x.stream"
    run_lab(settings, trace, capture=Capture, command="a test", stream=stream)
    return replay(read_trace(trace)), read_stream(stream.read_bytes())


def sent_by_qemu(run: Replay, reader: StreamReader) -> tuple[PagesSent, npt.NDArray[np.int8]]:
    """Count the pages of guest RAM in the stream; and say of each what it was sent as at first.

    Returns
    -------
    The counts, and for each page 1 (with content), 0 (zeros) or -1 (never sent).
    """
    block = run.trace.manifest.virtual_machines[0].ram_blocks[0]
    pages = [page for page in reader.sent if page.block == block.name]
    first = np.full(block.used_bytes // PAGE_BYTES, -1, np.int8)
    for page in reversed(pages):
        first[page.offset_bytes // PAGE_BYTES] = page.at is not None
    full = sum(page.at is not None for page in pages)
    unsent = int((first < 0).sum())
    return PagesSent(full_pages=full, zero_pages=len(pages) - full, unsent_pages=unsent), first


def backed_at_the_start(run: Replay) -> npt.NDArray[np.bool_]:
    """Which pages the replay says were backed when the migration began."""
    (migration,) = migrations(run.columns)
    before = np.arange(migration.start)
    machine = Machine(run.trace, 0, run.settings)
    machine.apply(happened(run.columns), before)
    page_state = machine.page_states
    return ~np.isin(page_state, (PageState.UNBACKED, PageState.ZERO_PAGE))


def hinted_pages(run: Replay, page_count: int) -> npt.NDArray[np.bool_]:
    """Which pages were hinted: whole ones, as Linux hints blocks of 4 MiB."""
    columns = run.columns
    hinted = np.zeros(page_count, np.bool_)
    for row in np.flatnonzero(columns["kind"] == Kind.HINT_RANGE):
        first = columns["offset_bytes"][row] // PAGE_BYTES
        hinted[first : first + columns["length_bytes"][row] // PAGE_BYTES] = True
    return hinted


def test_only_what_was_backed_has_content(migrated: tuple[Replay, StreamReader]) -> None:
    """To the page: what the replay holds unbacked, QEMU sends as zeros."""
    run, reader = migrated
    _, first = sent_by_qemu(run, reader)

    assert ((first == 1) & ~backed_at_the_start(run)).sum() == 0


def test_the_pages_sent_are_those_predicted(migrated: tuple[Replay, StreamReader]) -> None:
    """As many within a tenth, and as many never.

    Of what is backed and not hinted, pages that hold zeros are predicted with content and sent
    without: the stream says how many those are, and by no more may the predictions differ.
    """
    run, reader = migrated
    predicted, without_hints = pages_sent(run)
    found, first = sent_by_qemu(run, reader)
    kept = backed_at_the_start(run) & ~hinted_pages(run, first.size)
    backed_zeros = int(((first == 0) & kept).sum())
    predicted_count = predicted.full_pages + predicted.zero_pages
    found_count = found.full_pages + found.zero_pages

    assert predicted.unsent_pages == found.unsent_pages
    assert abs(predicted_count - found_count) <= TOLERANCE * found_count
    assert predicted.full_pages >= (1 - TOLERANCE) * found.full_pages
    assert predicted.full_pages - found.full_pages <= backed_zeros + TOLERANCE * found.full_pages
    assert without_hints.full_pages > predicted.full_pages
