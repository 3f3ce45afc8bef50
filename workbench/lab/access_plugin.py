"""The QEMU plugin that marks accessed pages, compiled once for each version of its source."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import Final

from workbench.errors import HostError
from workbench.lab.kernel import cache_folder, require_tools

COMPILER: Final = {"gcc": "gcc libc6-dev"}
"""What compiles the plugin, and the Debian packages it needs for that."""

_OPTIONS: Final = ("-O2", "-Wall", "-shared", "-fPIC", "-fvisibility=hidden")


def access_plugin(cache: Path | None = None) -> Path:
    """The compiled plugin, from the cache where it is there.

    Raises
    ------
    HostError
        There is no compiler, or it does not compile.
    """
    source = resources.files(__package__).joinpath("access.c").read_bytes()
    name = hashlib.sha256(source + " ".join(_OPTIONS).encode()).hexdigest()[:16]
    cache = cache or cache_folder()
    plugin = cache / f"access-{name}.so"
    if plugin.exists():
        return plugin
    require_tools(COMPILER)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="compiling-") as folder:
        made = Path(folder) / plugin.name
        done = subprocess.run(
            ["gcc", *_OPTIONS, "-x", "c", "-", "-o", made],
            input=source,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise HostError(
                f"the plugin that records accesses does not compile ({reason}): "
                "apt-get install -y gcc libc6-dev"
            )
        made.rename(plugin)  # Another lab may have been faster; its plugin is the same.
    return plugin
