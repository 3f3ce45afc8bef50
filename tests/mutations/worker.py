"""Damage traces and run commands on them, in a process that may die of it.

`python -m tests.mutations.worker SEED FIRST STOP` prints a line of JSON before and after each
mutation from FIRST up to STOP.  SEED and the number of a mutation say all about it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from tests.mutations.columns import COLUMN_DAMAGES, LARGE_DAMAGES
from tests.mutations.files import FILE_DAMAGES
from tests.mutations.manifests import change_manifest
from tests.synthetic import TWO_BLOCKS, manifest, two_block_samples
from workbench.cli.app import run
from workbench.schema import EVENTS
from workbench.trace import TraceWriter

TRACES = Path(__file__).resolve().parents[2] / "traces"
BUNDLED = (
    *("churn-on", "churn-off", "churn-poisoned", "migration-hinting", "staircase-mid-life"),
    *("staircase-two-guests", "file-cache-on", "pressure-on"),
)

MEMORY_BYTES = 3 << 30
"""Address space beyond what Python and its libraries have: the trace is of a megabyte."""

EXPECTED_CODES = {0, 2, 3, 4, 7, 8}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def base_trace(chance: random.Random, folder: Path) -> None:
    """Put a trace that is whole at `folder`: a bundled one, or one of a killed capture."""
    if chance.random() < 0.7:
        shutil.copytree(TRACES / f"{chance.choice(BUNDLED)}.trace", folder)
        return
    writer = TraceWriter(folder, manifest(complete=False))
    for first in range(0, len(TWO_BLOCKS), 4):
        rows = TWO_BLOCKS[first : first + 4]
        columns = {name: [row.get(name, 0) for row in rows] for name in EVENTS.column_names}
        columns["sequence"] = [first + number for number in range(len(rows))]
        writer.append("events", columns)
    writer.append("samples", two_block_samples())


def damage(chance: random.Random, folder: Path) -> list[str]:
    """Damage a trace, and say how."""
    done = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        kind = chance.random()
        if kind < 0.3:
            way = change_manifest
        elif kind < 0.6:
            way = chance.choice(FILE_DAMAGES)
        elif kind < 0.995:
            way = chance.choice(COLUMN_DAMAGES)
        else:
            way = chance.choice(LARGE_DAMAGES)
        # What was damaged before may be gone, or not be readable any more.
        with contextlib.suppress(Exception):
            way(chance, folder)
            done.append(way.__name__)
    return done


def command_lines(chance: random.Random, folder: Path, output: Path) -> list[list[str]]:
    """What is run on a damaged trace: `info`, `replay`, and sometimes what makes another trace."""
    asked = chance.choice([[], [], ["--totals"], ["--set", "guest.poison_val=0xaa"]])
    lines = [["info", str(folder)], ["replay", str(folder), *asked]]
    makes = chance.choice(["repair", "anonymize", "slice", "", ""])
    if makes:
        times = ["--from", "2s", "--to", "7s"] if makes == "slice" else []
        lines.append([makes, str(folder), *times, "-o", str(output)])
    return [line if chance.random() < 0.4 else [*line, "--json"] for line in lines]


def outcome_of(arguments: list[str]) -> tuple[int, str]:
    """Run a command; give its exit code, and what it did that no command may do, if anything."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
    except BaseException:  # noqa: BLE001 - whatever comes out of a command is wrong.
        return 1, traceback.format_exc()[-2000:]
    return code, _fault(arguments, code, out.getvalue(), err.getvalue())


def _fault(arguments: list[str], code: int, out: str, err: str) -> str:
    said = [line for line in err.splitlines() if line.startswith("workbench: ")]
    if code not in EXPECTED_CODES:
        return f"exit code {code}: {err[-2000:]}"
    if len(said) != (code != 0):
        return f"exit code {code} with {len(said)} lines: {err[-500:]!r}"
    if found := CONTROL.search(out + err):
        return f"{found[0]!r} went to the terminal"
    # A bad usage is refused before anything is printed; a loss is told after the answer.
    if code in {0, 7} and "--json" in arguments:
        try:
            json.loads(out, parse_constant=lambda name: 1 / len(name[:0]))
        except (ValueError, ZeroDivisionError):
            return f"not JSON: {out[-500:]!r}"
    return "" if len(err) < 50_000 else f"{len(err)} characters of stderr"


def mutate(seed: int, number: int, folder: Path) -> tuple[list[str], list[list[str]]]:
    """Make the mutation of this number at `folder`; give what was done and what is to be run."""
    chance = random.Random(f"{seed}:{number}")
    base_trace(chance, folder)
    done = damage(chance, folder)
    return done, command_lines(chance, folder, folder.with_name("made.trace"))


def main() -> None:
    """Do as the arguments say."""
    seed, first, stop = (int(text) for text in sys.argv[1:4])
    os.environ["WORKBENCH_DEBUG"] = "1"
    warnings.simplefilter("error")
    warm_up()
    _limit_memory()
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        for number in range(first, stop):
            folder = Path(name) / f"{number}" / "x.trace"
            folder.parent.mkdir()
            done, lines = mutate(seed, number, folder)
            for line in lines:
                began = time.monotonic()
                tell({"begins": number, "damage": done, "command": line[0]})
                code, fault = outcome_of(line)
                took = round(time.monotonic() - began, 2)
                said = {"damage": done, "command": line, "code": code, "s": took, "fault": fault}
                tell({"ended": number, **said})
            shutil.rmtree(folder.parent, ignore_errors=True)


def warm_up() -> None:
    """Import and compile all that commands use, before memory is limited."""
    with tempfile.TemporaryDirectory() as name:
        trace = str(TRACES / "pressure-on.trace")
        for line in (
            ["info", trace],
            ["replay", trace],
            ["replay", trace, "--totals"],
            ["replay", trace, "--set", "guest.poison_val=0xaa"],
            ["slice", trace, "--from", "1s", "-o", f"{name}/s.trace"],
            ["anonymize", trace, "-o", f"{name}/a.trace"],
            ["repair", trace, "-o", f"{name}/r.trace"],
        ):
            code, fault = outcome_of(line)
            assert (code, fault) == (0, ""), fault


def tell(document: dict[str, object]) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))


if __name__ == "__main__":
    main()
