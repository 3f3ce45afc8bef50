"""Print the tables of docs/validation.md from what `workbench validate --json` wrote.

python tools/validation_tables.py churn.json fragment.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MEMORY = {
    "resident_bytes_mean": "mean",
    "resident_bytes_peak": "peak",
    "resident_bytes_final": "final",
    "resident_byte_seconds": "byte-seconds",
}
MIB = 1 << 20


def percent(ratio: float | None) -> str:
    """A signed percentage."""
    return "-" if ratio is None else f"{100 * ratio:+.1f}"


def memory_rows(comparison: dict[str, Any]) -> list[str]:
    """One row a setting: predicted, live with its interval, difference and verdict."""
    rows = []
    for name, word in MEMORY.items():
        found = comparison["quantities"][name]
        scale = MIB * 1024 if name.endswith("seconds") else MIB
        predicted, live = found["predicted"] / scale, found["live"] / scale
        interval = found["live_interval"]
        spread = "-"
        if interval:
            spread = " to ".join(percent(end / found["live"] - 1) for end in interval)
        cells = (
            comparison["scenario"],
            comparison["asked"],
            f"{len(comparison['captures'])} / {len(comparison['live'])}",
            word,
            f"{predicted:.1f}",
            f"{live:.1f}",
            spread,
            percent(found["difference"]),
            found["verdict"],
            percent(found["baselines"].get("high_water")),
            percent(found["baselines"].get("cut")),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def swap_rows(comparison: dict[str, Any]) -> list[str]:
    """One row a kind of swapped page, likewise."""
    rows = []
    for name, found in comparison["quantities"].items():
        if not name.startswith("swap_") or None in (found["predicted"], found["live"]):
            continue
        interval = found["live_interval"]
        cells = (
            comparison["scenario"],
            comparison["asked"],
            f"{len(comparison['captures'])} / {len(comparison['live'])}",
            name,
            f"{found['predicted']:,.0f}",
            f"{found['live']:,.0f}",
            " to ".join(f"{end:,.0f}" for end in interval) if interval else "-",
            percent(found["difference"]),
            found["verdict"],
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def avoided_rows(entry: dict[str, Any]) -> list[str]:
    """One row a kind of page that reporting kept from swap."""
    rows = []
    for name, found in entry["quantities"].items():
        if found["measured"] is None:
            continue
        numbers = (found[key] for key in ("without", "measured", "predicted", "predicted_dead"))
        without, measured, predicted, dead = (
            "-" if number is None else f"{number:,.0f}" for number in numbers
        )
        interval = found["measured_interval"]
        spread = " to ".join(f"{end:,.0f}" for end in interval) if interval else "-"
        runs = f"{entry['live_without']} / {entry['live_with']}"
        cells = (entry["scenario"], entry["setting"], runs, name)
        rows.append(f"| {' | '.join((*cells, without, measured, spread, predicted, dead))} |")
    return rows


def main(paths: list[str]) -> None:
    """Print memory, swap, and what was avoided, one after the other."""
    documents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    compared = [one for found in documents for one in found["comparisons"] if one["quantities"]]
    for make in (memory_rows, swap_rows):
        print("\n".join(row for one in compared for row in make(one)), end="\n\n")
    entries = [one for found in documents for one in found["avoided"]]
    print("\n".join(row for one in entries for row in avoided_rows(one)))


if __name__ == "__main__":
    main(sys.argv[1:])
