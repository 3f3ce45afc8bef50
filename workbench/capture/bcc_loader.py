"""Finds Debian's bcc from inside any virtual environment, and nothing that only has its name.

bcc's Python package comes with the distribution (`python3-bpfcc`) and is not on PyPI; the package
called `bcc` there is a lattice library.  A virtual environment does not see the distribution's
packages, so the one folder is loaded by its path: it is plain Python over ctypes, and works with
every Python 3.  docs/decisions/0001 says what else was considered.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

DISTRIBUTION_FOLDER: Final = Path("/usr/lib/python3/dist-packages/bcc")
"""Where Debian's python3-bpfcc puts the package."""

PATH_VARIABLE: Final = "WORKBENCH_BCC_PATH"
"""Environment variable that names another `bcc` package folder."""

INSTALL: Final = "apt-get install python3-bpfcc"


def load_bcc() -> ModuleType:
    """Import bcc, wherever it is.

    Raises
    ------
    HostError
        There is no bcc on this host, or it cannot be loaded.  The message says what to install.
    """
    problems: list[str] = []
    if PATH_VARIABLE not in os.environ:
        module = _import_by_name(problems)
        if module is not None:
            return module
    folder = Path(os.environ.get(PATH_VARIABLE, DISTRIBUTION_FOLDER))
    if (folder / "__init__.py").is_file():
        module = _import_from(folder, problems)
        if module is not None:
            return module
    else:
        problems.append(f"there is none in {folder}")
    raise HostError(f"capture needs bcc, but {', and '.join(problems)}; run `{INSTALL}`")


def _import_by_name(problems: list[str]) -> ModuleType | None:
    try:
        module = importlib.import_module("bcc")
    except ImportError:
        return None  # The usual case in a virtual environment, and no news to anyone.
    except OSError as error:
        problems.append(f"its library cannot be loaded ({error})")
        return None
    if hasattr(module, "BPF"):
        return module
    problems.append(f"the 'bcc' in {_folder_of(module)} is PyPI's, which is something else")
    return None


def _import_from(folder: Path, problems: list[str]) -> ModuleType | None:
    for name in [name for name in sys.modules if name == "bcc" or name.startswith("bcc.")]:
        del sys.modules[name]  # The impostor, or a half-loaded bcc.
    spec = importlib.util.spec_from_file_location(
        "bcc", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        problems.append(f"{folder} is not a Python package")
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module  # Its own modules import each other by this name.
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        del sys.modules["bcc"]
        problems.append(f"the one in {folder} cannot be loaded ({error})")
        return None
    if hasattr(module, "BPF"):
        return module
    problems.append(f"the 'bcc' in {folder} is something else")
    return None


def _folder_of(module: ModuleType) -> str:
    return str(Path(module.__file__).parent) if module.__file__ else "an unknown place"


@contextlib.contextmanager
def stderr_of_libraries() -> Iterator[Callable[[], str]]:
    """Catch what the compiler inside bcc writes to the error stream behind Python's back."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        kept = os.dup(2)
        os.dup2(caught.fileno(), 2)

        def said() -> str:
            caught.seek(0)
            return caught.read().decode(errors="replace")

        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
