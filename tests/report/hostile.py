"""A trace of which every text is an attack."""

from __future__ import annotations

import json

from tests.synthetic import TWO_BLOCKS, machine, started, two_block_samples, write_trace
from workbench.trace import read_trace

NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    "</style><script>alert(4)</script>",
    "]]></text><script>alert(5)</script>",
    "\x1b[2J\x1b]0;owned\x07\0\x85",
    "\u202egnp.exe\u2066\u200b",
    "{{ 7 * 7 }}{% include 'x' %}",
    r"$\nonsense{$ \$ %s {0}",
    "javascript:alert(6)",
    "&lt;b&gt; &#60;i&#62;",
    "n" * 10_000,
)


def write_hostile(folder):
    """Write a trace with a guest of each name; every other text of its manifest is one too."""
    machines = [
        machine(name, qemu_version=NAMES[0], machine_type=NAMES[1], accelerator=NAMES[6])
        for name in NAMES
    ]
    machines[0] = started(NAMES[0])
    path = folder / "hostile.trace"
    write_trace(path, TWO_BLOCKS, machines=machines, samples=two_block_samples(), lost=3)
    manifest_path = path / "manifest.json"
    document = json.loads(manifest_path.read_text())
    document |= {"scenario": NAMES[1], "command": " ".join(NAMES), "created": NAMES[5]}
    document |= {"scenario_text": "\n".join(NAMES), "lab_settings": dict.fromkeys(NAMES, NAMES[1])}
    document["host"] |= {"kernel": NAMES[2], "transparent_huge_page": NAMES[3], "swap": NAMES}
    document["not_captured"] = [{"name": name, "reason": name} for name in NAMES]
    document["probes"] = [
        {"name": name, "attached": False, "reason": name, "lost": {name: 1}} for name in NAMES
    ]
    for guest, name in zip(document["virtual_machines"], NAMES, strict=True):
        guest["ram_blocks"][0]["name"] = name
        guest["guest"]["kernel"] = name
    manifest_path.write_text(json.dumps(document))
    return read_trace(path)
