"""bcc is found wherever it is, and PyPI's package of that name is not taken for it."""

from __future__ import annotations

import sys

import pytest

from workbench.capture import bcc_loader
from workbench.errors import HostError

REAL = "from . import part\nclass BPF: pass\n__version__ = '0.26.0'\n"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Give a world without any bcc; returns how to put one into a folder."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "bcc"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delenv(bcc_loader.PATH_VARIABLE, raising=False)
    monkeypatch.setattr(bcc_loader, "DISTRIBUTION_FOLDER", tmp_path / "nowhere" / "bcc")

    def put(place, text):
        folder = tmp_path / place / "bcc"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(text, encoding="utf-8")
        (folder / "part.py").write_text("import bcc\n", encoding="utf-8")
        return folder

    yield put
    for name in [name for name in sys.modules if name.partition(".")[0] == "bcc"]:
        del sys.modules[name]


def test_one_that_python_finds_is_taken(world, monkeypatch):
    monkeypatch.syspath_prepend(world("path", REAL).parent)
    assert bcc_loader.load_bcc().__version__ == "0.26.0"


def test_the_distributions_is_found_from_a_virtual_environment(world, monkeypatch):
    monkeypatch.setattr(bcc_loader, "DISTRIBUTION_FOLDER", world("dist", REAL))
    assert bcc_loader.load_bcc().__version__ == "0.26.0"


def test_the_variable_names_another_one(world, monkeypatch):
    monkeypatch.syspath_prepend(world("path", REAL.replace("26", "1")).parent)
    monkeypatch.setenv(bcc_loader.PATH_VARIABLE, str(world("mine", REAL)))
    assert bcc_loader.load_bcc().__version__ == "0.26.0"


def test_the_impostor_gives_way_to_the_real_one(world, monkeypatch):
    monkeypatch.syspath_prepend(world("path", "class Lattice: pass\n").parent)
    monkeypatch.setattr(bcc_loader, "DISTRIBUTION_FOLDER", world("dist", REAL))
    assert hasattr(bcc_loader.load_bcc(), "BPF")


def test_the_impostor_alone_is_named(world, monkeypatch):
    monkeypatch.syspath_prepend(world("path", "class Lattice: pass\n").parent)
    with pytest.raises(HostError, match=r"PyPI's.*apt-get install python3-bpfcc"):
        bcc_loader.load_bcc()


def test_none_at_all_is_one_sentence_with_the_fix(world):
    del world
    with pytest.raises(HostError, match=r"capture needs bcc, but .*python3-bpfcc"):
        bcc_loader.load_bcc()


@pytest.mark.parametrize(
    "text", ["import nothing_of_that_name\n", "raise OSError('libbcc.so.0')\n"]
)
def test_one_that_cannot_be_loaded_says_why_and_leaves_nothing_behind(world, monkeypatch, text):
    monkeypatch.setattr(bcc_loader, "DISTRIBUTION_FOLDER", world("dist", text))
    with pytest.raises(HostError, match=r"nothing_of_that_name|libbcc\.so\.0"):
        bcc_loader.load_bcc()
    assert "bcc" not in sys.modules
