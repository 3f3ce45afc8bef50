"""A build of QEMU: where it keeps what the probes need.  Checked once, and then remembered.

Reading the symbols and the code takes half a second; a host that runs a hundred guests runs a few
builds.  The linker names each build; under that name the answer is kept in the cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.capture import elf, layout, probe
from workbench.capture.elf import read_build_id, read_program
from workbench.capture.host import cache_folder
from workbench.capture.layout import ACCESSORS, Layout, derive_layout
from workbench.capture.probe_files import BALLOON_ENTRIES
from workbench.errors import HostError

if TYPE_CHECKING:
    from workbench.capture.elf import Program

_SYMBOLS: Final = tuple(entry.symbol for entry in BALLOON_ENTRIES)

_known: dict[str, Build] = {}
"""What this process has read, by build id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of QEMU, understood well enough to be captured.

    Attributes
    ----------
    build_id
        The linker's name for it; empty where it gave none.
    entries
        Address of each function to probe, by name.  Of functions that the compiler folded into one
        only that one is here: the others are a jump to it.
    """

    build_id: str
    version: str
    layout: Layout
    entries: dict[str, int]


def read_build(path: Path) -> Build:
    """Understand a program, or remember that it was understood before.

    Raises
    ------
    HostError
        It is no QEMU for x86-64, or one that is built in a way the probes cannot read.
    """
    build_id = read_build_id(path)
    if build_id in _known:
        return _known[build_id]
    build = _remembered(build_id) if build_id else None
    if build is None:
        build = _understand(read_program(path, (*ACCESSORS, *_SYMBOLS)))
        if build_id:
            _remember(build)
    if build_id:
        _known[build_id] = build
    return build


def _understand(program: Program) -> Build:
    found = derive_layout(program)
    missing = program.missing(_SYMBOLS)
    if missing:
        message = f"{program.path}: does not export {', '.join(missing)}; use QEMU 5.1 or newer"
        raise HostError(message)
    addresses = {symbol: program.functions[symbol] for symbol in _SYMBOLS}
    leads_to = {symbol: program.code[symbol][0] for symbol in _SYMBOLS}
    entries = {
        symbol: address
        for symbol, address in addresses.items()
        if leads_to[symbol] == address or leads_to[symbol] not in addresses.values()
    }
    return Build(build_id=program.build_id, version=program.version, layout=found, entries=entries)


# --- the cache ----------------------------------------------------------------------------------


def _remembered(build_id: str) -> Build | None:
    """Read the cache; None where it has nothing, or something that we did not write so."""
    try:
        document = json.loads(_cache_path(build_id).read_text(encoding="utf-8"))
        build = Build(
            build_id=document["build"]["build_id"],
            version=document["build"]["version"],
            layout=Layout(**document["build"]["layout"]),
            entries=document["build"]["entries"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_ours = document.get("check") == _check(build) and build.build_id == build_id
    return build if is_ours else None


def _remember(build: Build) -> None:
    """Write the cache; where that cannot be, the next capture reads the program again."""
    text = json.dumps({"check": _check(build), "build": asdict(build)}, indent=1)
    path = _cache_path(build.build_id)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / path.name
            made.write_text(text, encoding="utf-8")
            made.replace(path)


def _cache_path(build_id: str) -> Path:
    return cache_folder() / "qemu-builds" / f"{build_id}.json"


def _check(build: Build) -> str:
    """Name what a cached answer depends on: itself, and the code that found it."""
    digest = hashlib.sha256(json.dumps(asdict(build), sort_keys=True).encode())
    for module in (elf, layout, probe):
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()
