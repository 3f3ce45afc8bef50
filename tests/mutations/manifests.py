"""Ways to damage manifest.json: fields of other types, hostile texts, wild numbers."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from pathlib import Path

TEXTS = [
    "",
    "\x1b[2J\x1b]0;owned\x07",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a" * 100_000,
    "\u202egnp.exe",
    "\0",
    "line\nworkbench: nothing is wrong\n",
    "%s%n{0}{}[bold]",
    "\ud800",
    "NaN",
    "9" * 400,
    "🐏" * 50,
]
NUMBERS: list[Any] = [-1, 0, 1, 3, 4095, 4096, 2**31, 2**46, 2**52, 2**62, 2**63, 2**64, -(2**63)]
NUMBERS += [10**400, 0.5, 1e308, float("nan"), float("inf"), True]
OTHERS: list[Any] = [None, [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, [1] * 1000]


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document, as keys and indices from its root."""
    found = [path] if path else []
    items = document.items() if isinstance(document, dict) else ()
    items = enumerate(document) if isinstance(document, list) else items
    for key, value in items:
        found += places(value, (*path, key))
    return found


def change_fields(chance: random.Random, document: Any) -> Any:
    """Put something else into some fields."""
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        *way, last = chance.choice(places(document))
        parent = document
        for key in way:
            parent = parent[key]
        match chance.choice(["text", "number", "number", "other", "remove", "alike"]):
            case "text":
                parent[last] = chance.choice(TEXTS)
            case "number":
                parent[last] = chance.choice(NUMBERS)
            case "other":
                parent[last] = copy.deepcopy(chance.choice(OTHERS))
            case "remove":
                del parent[last]
            case _ if isinstance(parent[last], int):
                parent[last] = parent[last] * chance.choice([2, 3, 1000, 10**6]) + 1
            case _ if isinstance(parent[last], str):
                parent[last] += chance.choice(TEXTS)
        if not places(document):
            break
    return document


def many_machines(chance: random.Random, document: Any) -> Any:
    """Let there be more machines, or more blocks, than the rows are about."""
    machines = document["virtual_machines"]
    if chance.random() < 0.5:
        document["virtual_machines"] = machines * chance.choice([2, 100, 5000])
    else:
        machines[0]["ram_blocks"] *= chance.choice([2, 100, 40_000])
    return document


def large_memory(chance: random.Random, document: Any) -> Any:
    """Give a machine as much memory as the format lets it have."""
    block = document["virtual_machines"][0]["ram_blocks"][0]
    block["used_bytes"] = chance.choice([1, 4095, 1 << 40, (1 << 42) + 1, 1 << 46])
    return document


def change_text(chance: random.Random, path: Path) -> None:
    """Write what is no document, or a strange one."""
    text = path.read_text("utf-8")
    path.write_bytes(
        chance.choice(
            [
                b"[" * 200_000,
                b'{"a":' * 100_000,
                b"\xef\xbb\xbf" + text.encode(),
                text.encode("utf-16"),
                b"null",
                b"[]",
                b'"text"',
                b"",
                b"\xff\xfe\xfa",
                (text + text).encode(),
                text.replace("schema_version", "schema_versiom").encode(),
                text.replace(": 0", ": -0.0").encode(),
                text.replace(": 1", ": 1e999").encode(),
                text.replace('"name"', '"name": "x", "name"').encode(),
                b" " * 5_000_000 + text.encode(),
            ]
        )
    )


def change_manifest(chance: random.Random, folder: Path) -> None:
    """Damage the manifest in one of these ways."""
    path = folder / "manifest.json"
    if not path.is_file() or path.is_symlink():
        return  # A pipe by now, or a link to what is nobody's to damage.
    if chance.random() < 0.2:
        change_text(chance, path)
        return
    ways = [change_fields] * 8 + [many_machines, large_memory]
    document = chance.choice(ways)(chance, json.loads(path.read_text("utf-8")))
    path.write_text(json.dumps(document), encoding="utf-8")
