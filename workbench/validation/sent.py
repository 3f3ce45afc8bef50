"""What a migration sent, held against what the model says it sends: pages, and the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.units import PAGE_BYTES
from workbench.validation.device_section import fields_of, read_fields
from workbench.validation.difference import differing_list, differing_memory
from workbench.validation.stream_reader import ZERO_PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.model.balloon.migration import DeviceState
    from workbench.model.balloon.source import Sent
    from workbench.validation.difference import Difference
    from workbench.validation.session import Session
    from workbench.validation.stream_reader import PageSent, StreamReader


def compare_device(session: Session, reader: StreamReader, state: DeviceState) -> None:
    """Hold together the device's section, field by field."""
    expected, found = fields_of(state), read_fields(reader)
    for name in {**expected, **found}:
        ours, theirs = expected.get(name), found.get(name)
        if ours == theirs:
            continue
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            _add(session, differing_list(f"saved {name}", ours, theirs))
        else:
            session.monitor_pairs.append((f"saved {name}", ours, theirs))


def compare_pages(
    session: Session, reader: StreamReader, sent: Sent, contents: Mapping[str, bytearray]
) -> None:
    """Hold together which pages were sent, and the content of each as of its last sending.

    Parameters
    ----------
    contents
        The memory of the model's blocks at that time, by name.
    """
    last = {(page.block, page.offset_bytes): page for page in reader.sent}
    for name, content in contents.items():
        block = session.block_names[name]
        spared = {page for ours, page in sent.spared if ours == name}
        pages = set(range(0, len(content), PAGE_BYTES))
        missing = {page for page in pages if (block, page) not in last}
        _compare_sets(session, f"pages of {block} not sent", spared, missing)
        stale = {page: copy for (ours, page), copy in sent.stale.items() if ours == name}
        zeros = (_zeros(content) - spared - set(stale)) | {
            page for page, copy in stale.items() if copy == ZERO_PAGE
        }
        found = {page for page in pages - missing if last[block, page].at is None}
        _compare_sets(session, f"pages of {block} sent as zeros", zeros, found)
        for page in sorted(pages - spared - zeros - missing):
            ours = stale.get(page) or bytes(content[page : page + PAGE_BYTES])
            what = f"page {page:#x} of {block}, as it was sent,"
            theirs = reader.content_of(last[block, page])
            _add(session, differing_memory({what: ours}, {what: theirs}))


def _zeros(content: bytearray) -> set[int]:
    """Find the pages that hold nothing but zeros."""
    rows = np.frombuffer(content, dtype=np.uint64).reshape(-1, PAGE_BYTES // 8)
    return set((np.flatnonzero(~rows.any(axis=1)) * PAGE_BYTES).tolist())


def compare_again(session: Session, pages: Sequence[PageSent], sent: Sent) -> None:
    """Hold together which pages of the guest's own memory were sent again."""
    for region in session.model.memory.regions:
        # What is smaller than the ballast is sent behind it, for the first time.
        name = region.block.name
        if not region.writable:
            continue
        block = session.block_names[name]
        found = {page.offset_bytes for page in pages if page.block == block}
        expected = {page for ours, page in sent.again if ours == name}
        _compare_sets(session, f"pages of {block} sent again", expected, found)


def _add(session: Session, difference: Difference | None) -> None:
    if difference is not None:
        session.monitor_pairs.append((difference.what, difference.expected, difference.found))


def _compare_sets(session: Session, what: str, expected: set[int], found: set[int]) -> None:
    pair: tuple[Any, Any] = ([hex(one) for one in sorted(expected)],) * 2
    if expected != found:
        pair = pair[0], [hex(one) for one in sorted(found)]
    session.monitor_pairs.append((what, *pair))
