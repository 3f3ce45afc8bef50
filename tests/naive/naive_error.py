"""How far a replay is from the samples of its machine, sample by sample over all rows.

Imports nothing of the workbench.
"""

import itertools
from fractions import Fraction

BEFORE_NS = 100_000_000
AFTER_NS = 50_000_000
PAGE = 4096
ALWAYS_MOVE = {"report", "discard", "swap_out", "collapse"}
SWAP_IN = 2


def naive_error(rows, samples, *, resident, swapped, ram_bytes):
    """Rows and samples of one machine; pages that were there at first."""
    quiet = [sample for sample in samples if is_quiet(sample, rows)]
    return {
        "samples": len(samples),
        "quiet_samples": len(quiet),
        "resident_bytes": distance(rows, samples, quiet, ("resident", resident, ram_bytes)),
        "swapped_bytes": distance(rows, samples, quiet, ("swapped", swapped, ram_bytes)),
    }


def is_quiet(sample, rows):
    for row in rows:
        moves = row["kind"] in ALWAYS_MOVE
        if row["kind"] == "fault":
            moves = row["length_bytes"] != 0 or row["status"] & SWAP_IN
        begins_later = row["time_ns"] > sample["time_ns"] + sample["duration_ns"] + AFTER_NS
        ended_before = row["time_ns"] + row["duration_ns"] < sample["time_ns"] - BEFORE_NS
        if moves and not begins_later and not ended_before:
            return False
    return True


def distance(rows, samples, quiet, what):
    name, initial, ram_bytes = what
    measured = [sample[name + "_bytes"] for sample in samples]
    if not samples or -1 in measured:
        return None

    def difference(sample):
        middle_ns = sample["time_ns"] + sample["duration_ns"] // 2
        pages = initial + sum(row[name] for row in rows if row["time_ns"] <= middle_ns)
        return pages * PAGE - sample[name + "_bytes"]

    peak = max(*measured, PAGE)
    found = {"peak_bytes": peak, "final": None, "final_pages": None, "quiet_max": None}
    if quiet:
        found["final"] = difference(quiet[-1]) / peak
        found["final_pages"] = difference(quiet[-1]) // PAGE
        found["quiet_max"] = max(abs(difference(sample)) for sample in quiet) / ram_bytes
    off = [(sample["time_ns"], abs(difference(sample))) for sample in samples]
    span_ns = off[-1][0] - off[0][0]
    if span_ns == 0:
        mean = Fraction(sum(size for _, size in off), len(off))
    else:
        steps = itertools.pairwise(off)
        area = sum(Fraction((b + a) * (t - s), 2) for (s, a), (t, b) in steps)
        mean = area / span_ns
    found["mean"] = float(mean / peak)
    return found
