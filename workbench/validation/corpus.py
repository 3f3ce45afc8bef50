"""Programs that once showed a difference: stored in a folder, and replayed first ever after."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.validation.finding import Finding

BUNDLED = "programs"
"""The folder of this package that holds those which every run replays."""


def stored_programs(folder: Path | None) -> list[Path]:
    """List the stored programs: the bundled ones, then those of the user's own folder."""
    bundled = Path(str(resources.files("workbench.validation"))) / BUNDLED
    folders = [bundled] if folder is None else [bundled, folder]
    return [path for place in folders for path in sorted(place.glob("*.json"))]


def store_program(finding: Finding, folder: Path) -> Path:
    """Store a program under a name made of its content, so that it is stored once."""
    document = finding.to_json()
    content = json.dumps([document["setup"], document["steps"]], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{finding.kind_name.replace(' ', '-')}-{digest}.json"
    path.write_text(_text(document), "utf-8")
    return path


def _text(document: dict[str, Any]) -> str:
    """Write JSON as people read programs: a line a step, and a line for all the rest of a kind."""
    steps = ",\n".join(f"    {json.dumps(step)}" for step in document["steps"])
    rest = [
        f'  "{name}": {json.dumps(value)}' for name, value in document.items() if name != "steps"
    ]
    lines = [*rest, f'  "steps": [\n{steps}\n  ]']
    return "{\n" + ",\n".join(lines) + "\n}\n"
