"""The model's name, and the folder of its compiled kernels."""

from __future__ import annotations

import numba

from workbench.model import compiled, model_digest


def test_the_digest_is_over_the_model_and_the_floor():
    names = {path.relative_to(compiled._PACKAGE).as_posix() for path in compiled.model_sources()}

    assert {"schema.py", "units.py", "errors.py", "model/host.py", "model/run.py"} <= names
    assert not {name for name in names if name.startswith(("replay/", "trace/"))}


def test_the_digest_names_the_content_and_not_the_place(monkeypatch, tmp_path):
    copied = tmp_path / "elsewhere"
    for path in compiled.model_sources():
        copy = copied / path.relative_to(compiled._PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    fresh_digest = model_digest.__wrapped__
    monkeypatch.setattr(compiled, "_PACKAGE", copied)

    assert fresh_digest() == model_digest()
    (copied / "units.py").write_text("PAGE_BYTES = 8192\n")
    assert fresh_digest() != model_digest()


def test_the_digest_tells_checked_bounds_apart(monkeypatch):
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", not numba.config.BOUNDSCHECK)

    assert model_digest.__wrapped__() != model_digest()


def test_the_cache_folder_carries_the_digest(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert compiled.cache_folder.__wrapped__() == tmp_path / "workbench" / model_digest()


def test_the_cache_is_under_home_where_nothing_else_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    folder = compiled.cache_folder.__wrapped__()

    assert folder == tmp_path / ".cache" / "workbench" / model_digest()


def test_without_a_writable_cache_folder_kernels_still_work(monkeypatch, tmp_path):
    """A file stands where the folder should be, which stops even root."""
    (tmp_path / "workbench").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = compiled.cache_folder.__wrapped__
    monkeypatch.setattr(compiled, "cache_folder", folder)

    assert folder() is None
    assert compiled.kernel(_double)(21) == 42


def test_compiling_leaves_numbas_own_cache_folder_alone():
    before = numba.config.CACHE_DIR
    compiled.kernel(_double)

    assert before == numba.config.CACHE_DIR


def _double(number):
    return 2 * number
