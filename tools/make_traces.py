"""Capture the bundled traces again, each with the command that its manifest then names.

    python tools/make_traces.py            all of them
    python tools/make_traces.py NAME ...   these

Each takes the old one's place when it is whole.  Needs root, like every capture.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path("traces")

TRACES: dict[str, str] = {
    "churn-on": "churn",
    "churn-order0": "churn --order 0",
    "churn-off": "churn --reporting off",
    "churn-init-on-free": "churn --poison init_on_free",
    "churn-poisoned": "churn --poison 0xaaaaaaaa",
    "fragment-order9": "fragment --order 9",
    "fragment-order0": "fragment --order 0",
    "fragment-off": "fragment --reporting off",
    "staircase-two-guests": "staircase --guests 2",
    "staircase-order0": "staircase --order 0",
    "staircase-mid-life": "staircase --attach-after 5",
    "file-cache-on": "file-cache",
    "file-cache-order0": "file-cache --order 0",
    "migration-order0": "migration --order 0",
    "migration-hinting": "migration --hint --migrate-at migrate",
    "pressure-order0": "pressure --order 0 --memory-limit 260M --swap 2G --access",
    "pressure-on": "pressure --memory-limit 260M --swap 2G",
    "pressure-off": "pressure --memory-limit 260M --swap 2G --reporting off",
}
"""What to run for each trace."""


def command_of(name: str) -> list[str]:
    """The command that makes a trace."""
    scenario, *options = TRACES[name].split()
    output = str(FOLDER / f"{name}.trace")
    return ["workbench", "lab", "run", scenario, *options, "-o", output]


def make(name: str) -> None:
    """Capture one trace; an old one stays until the new one is whole."""
    path = FOLDER / f"{name}.trace"
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".old-") as aside:
        old = Path(aside) / path.name
        if path.exists():
            path.rename(old)
        print(" ".join(command_of(name)), flush=True)
        try:
            subprocess.run([sys.executable, "-m", *command_of(name)], check=True)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            if old.exists():
                old.rename(path)
            raise


def main(names: list[str]) -> int:
    """Make the named traces, or all."""
    unknown = [name for name in names if name not in TRACES]
    if unknown:
        print(f"there is no trace {unknown[0]!r}; these are: {', '.join(TRACES)}", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    for name in names or TRACES:
        make(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
