"""What the rows of a trace say of its run, row by row.

Imports nothing of the workbench.
"""

ASKED = {"discarded", "discard_failed"}
REPORTING = 32
PAGE_POISON = 16
SWAP_IN = 2


def naive_facts(rows, *, machines, features, began_swapped):
    """Facts of each machine; `features` it had when the capture began."""
    swapped = [
        row["kind"] == "swap_out" or (row["kind"] == "fault" and row["status"] & SWAP_IN)
        for row in rows
    ]
    swaps = began_swapped or any(swapped)
    shows_limit = any(row["outcome"] == "swapped_out" for row in rows)
    found = []
    for vm in range(machines):
        own = [row for row in rows if row["vm"] == vm]
        counts = count(own)
        kept = kept_features(own, features[vm])
        counts["negotiated_reporting"] = kept & REPORTING != 0
        counts["negotiated_page_poison"] = kept & PAGE_POISON != 0
        found.append({**counts, "swaps": swaps, "shows_limit": shows_limit})
    return found


def count(rows):
    names = ("ranges", "discarded", "poisoned", "inflated", "inhibitions", "hinted")
    counts = dict.fromkeys(names, 0)
    for row in rows:
        kind, outcome = row["kind"], row["outcome"]
        if kind == "report":
            counts["ranges"] += 1
            counts["discarded"] += outcome in ASKED
            counts["poisoned"] += outcome == "skipped_poisoned"
        elif kind == "discard":
            counts["inflated"] += outcome in ASKED
        elif kind == "inhibit":
            counts["inhibitions"] += row["status"] != 0
        elif kind == "hint_range":
            counts["hinted"] += 1
    return counts


def kept_features(rows, initial):
    """The last word of each negotiation, all of them together."""
    words = [[initial]]
    for row in rows:
        if row["kind"] == "features":
            words[-1].append(row["status"])
        elif row["kind"] == "reset":
            words.append([0])
    kept = 0
    for negotiation in words:
        kept |= negotiation[-1]
    return kept
