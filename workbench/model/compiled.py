"""Compile kernels, and name the model by what it is made of.

Numba's cache notices neither an edit in another file of the model, nor a changed constant, nor
NUMBA_BOUNDSCHECK.  So the cache folder carries a digest of all three; the same digest is the
model's name in every lineage.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., object])

_PACKAGE = Path(__file__).resolve().parent.parent

_numba_settings: Final[Any] = numba.config
"""A module that Numba fills as it starts, which no type checker can follow."""

_FLOOR = ("errors.py", "schema.py", "units.py")


def model_sources() -> list[Path]:
    """List every file that can change an answer: the model, and the floor it stands on."""
    return sorted((_PACKAGE / "model").rglob("*.py")) + [_PACKAGE / name for name in _FLOOR]


@functools.cache
def model_digest() -> str:
    """Name the model: a hash of its source, the compiler, and the compiler's flags."""
    digest = hashlib.sha256()
    bounds_checked = bool(_numba_settings.BOUNDSCHECK)
    digest.update(f"numba {numba.__version__} numpy {np.__version__} {bounds_checked}".encode())
    for path in model_sources():
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path | None:
    """Give the folder of compiled kernels, or None where the host lets us write none.

    Without one the kernels are compiled anew in every process, which takes some seconds: Numba's
    other places for a cache do not carry the digest.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        folder = root / "workbench" / model_digest()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # Path.expanduser raises the latter for a user without home.
        return None
    return folder


def kernel(function: _Function) -> _Function:
    """Compile a pure function of arrays and named tuples.  Never used outside `workbench/model`."""
    return _compiled(function, {})


_INNER: Final[dict[str, Any]] = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}
"""Without the wrapper for callers in Python, which unpacks every array of every tuple, and without
counting references to them, compiling takes a third of the time."""


def inner_kernel(function: _Function) -> _Function:
    """Compile a kernel that only kernels call, and that allocates nothing."""
    return _compiled(function, _INNER)


def inlined_kernel(function: _Function) -> _Function:
    """Let Numba write an inner kernel into every place that calls it, before it compiles that.

    A call passes every number of every array of every tuple: that takes longer than a few lines.
    To be called by inner kernels: in one that counts references, each array that is looked at
    would be counted.
    """
    return _compiled(function, {**_INNER, "inline": "always"})


def _compiled(function: _Function, options: dict[str, Any]) -> _Function:
    folder = cache_folder()
    # Set only while Numba chooses the place: other users of Numba in this process keep theirs.
    before = _numba_settings.CACHE_DIR
    _numba_settings.CACHE_DIR = "" if folder is None else str(folder)
    try:
        njit: Any = numba.njit  # Its type knows of no options for inner kernels.
        compile_ = njit(
            cache=folder is not None, nogil=True, fastmath=False, error_model="python", **options
        )
        return cast("_Function", compile_(function))
    finally:
        _numba_settings.CACHE_DIR = before
