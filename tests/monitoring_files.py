"""Small files as monitoring tools write them."""

from __future__ import annotations

import json

from workbench.units import GIB, MIB

BEGIN_S = 1_700_000_000
STEP_S = 60


def matrix(*series):
    """Write an answer of Prometheus to a range query.

    Each series is its labels, and the values: numbers, of one a step; or pairs of seconds and text.
    """
    result = [{"metric": labels, "values": pairs(values)} for labels, values in series]
    return json.dumps(
        {"status": "success", "data": {"resultType": "matrix", "result": result}},
        separators=(",", ":"),
    )


def pairs(values):
    """Give what is no pair yet a time, one step after the other."""
    return [
        list(value) if isinstance(value, tuple) else [BEGIN_S + STEP_S * row, str(value)]
        for row, value in enumerate(values)
    ]


def metric(name, instance="web:9100", **labels):
    """Name a metric and its labels."""
    return {"__name__": name, "instance": instance, "job": "node", **labels}


def node(free, *, total=4 * GIB, instance="web:9100", **others):
    """Give the series of one guest with a node exporter; others are named without their ends."""
    all_memory = total if isinstance(total, list) else [total] * len(free)
    named = {"MemTotal": all_memory, "MemFree": free, **others}
    return [
        (metric(f"node_memory_{name}_bytes", instance), values) for name, values in named.items()
    ]


def write(folder, text, name="export.json"):
    """Write a file and give its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


FREE = [2 * GIB, 2 * GIB - 4 * MIB, 1 * GIB, 3 * GIB]
"""Of a guest with 4 GiB."""
