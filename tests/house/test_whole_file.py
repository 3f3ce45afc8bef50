"""A file is there as a whole, or as it was."""

from __future__ import annotations

import os

import pytest

from workbench.errors import WriteError
from workbench.whole_file import replacing


def test_what_is_no_plain_file_is_never_replaced(tmp_path):
    """A pipe here; of root's `-o /dev/null` nothing but a plain file would be left."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(WriteError, match="is no plain file"), replacing(pipe):
        pass
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path):
    path, link = tmp_path / "page.html", tmp_path / "link.html"
    link.symlink_to(path)
    with replacing(link) as temporary:
        temporary.write_text("new")

    assert link.is_symlink()
    assert path.read_text() == "new"
