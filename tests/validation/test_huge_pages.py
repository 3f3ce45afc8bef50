"""Huge pages are borrowed, and given back whatever happens."""

import os
from pathlib import Path

import pytest

from workbench.errors import HostError
from workbench.validation.huge_pages import huge_pages


@pytest.fixture
def pool(tmp_path):
    """A file in place of the kernel's."""
    path = tmp_path / "nr_hugepages"
    path.write_text("5\n")
    return path


def test_pages_are_added_and_given_back(pool):
    with huge_pages(3, pool=pool):
        assert int(pool.read_text()) == 8
    assert int(pool.read_text()) == 5


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_pages_are_given_back_after_an_error(pool, end):
    with pytest.raises(end), huge_pages(3, pool=pool):
        raise end
    assert int(pool.read_text()) == 5


def test_pages_that_others_borrowed_meanwhile_stay_theirs(pool):
    with huge_pages(3, pool=pool):
        pool.write_text("10")
    assert int(pool.read_text()) == 7


def test_a_host_without_a_pool_is_told(tmp_path):
    with pytest.raises(HostError, match="run as root"), huge_pages(1, pool=tmp_path / "absent"):
        pytest.fail("there are no pages")


def test_a_host_that_gives_less_gets_it_back(pool, monkeypatch):
    real_write = Path.write_text

    def stingy(path, text, *arguments):
        return real_write(path, str(min(int(text), 6)), *arguments)

    monkeypatch.setattr(Path, "write_text", stingy)
    with pytest.raises(HostError, match="gave 1 of 3 huge pages"), huge_pages(3, pool=pool):
        pytest.fail("there are too few pages")
    assert int(pool.read_text()) == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write there")
def test_a_pool_that_is_not_ours_is_told():
    with pytest.raises(HostError, match="run as root"), huge_pages(1):
        pytest.fail("there are no pages")
