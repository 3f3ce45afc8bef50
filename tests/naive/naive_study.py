"""A study once more, with lists, loops and fractions; it imports nothing of ours.

If this file and the study agree, they agree for different reasons: what guests need together is
added up afresh for every number of them, percentiles are found by counting, and nothing is stopped
before its end.
"""

from __future__ import annotations

from fractions import Fraction

PAGE = 4096
MEANS = ("mean_bytes", "p95_bytes", "p99_bytes")
PEAKS = ("peak_bytes", "peaks_bytes")
SWAP_OUT = "swap_out_at_least_bytes_per_day"


def turns(weights, count):
    """The kinds of the first guests: each time the one that is furthest behind its share."""
    given = [0] * len(weights)
    order = []
    for number in range(1, count + 1):
        behind = [
            Fraction(number * weight, sum(weights)) - had
            for weight, had in zip(weights, given, strict=True)
        ]
        kind = next(kind for kind, each in enumerate(behind) if each == max(behind))
        given[kind] += 1
        order.append(kind)
    return order


def inhibited_numbers(share, count):
    """The numbers of inhibited guests: whenever their due number grows by one."""
    due = [Fraction(share) * number for number in range(count + 1)]
    return {
        number
        for number in range(1, count + 1)
        if int(due[number]) == int(due[number - 1]) + 1
    }  # fmt: skip


def needed(profile, shift, moment):
    """What a guest that does the same again and again needs at a moment."""
    return profile[(moment + shift) % len(profile)]


def percentile(values, percent):
    """The lowest value that so many of all do not exceed."""
    for value in sorted(set(values)):
        below = sum(1 for each in values if each <= value)
        if Fraction(below, len(values)) >= Fraction(percent, 100):
            return value
    return None


def row(needs, moments, host_pages):
    """What guests need together, each given as what it needs at each moment."""
    sums = [sum(need[moment] for need in needs) for moment in range(moments)]
    excess = [each - host_pages if each > host_pages else 0 for each in sums]
    rises = [
        excess[moment] - excess[moment - 1]
        for moment in range(moments)
        if excess[moment] > excess[moment - 1]
    ]
    return {
        "guests": len(needs),
        "mean_bytes": sum(sums) * PAGE // moments,
        "p95_bytes": percentile(sums, 95) * PAGE,
        "p99_bytes": percentile(sums, 99) * PAGE,
        "peak_bytes": max(sums) * PAGE,
        "over_moments": sum(1 for each in sums if each > host_pages),
        "moments": moments,
        "excess_bytes_mean": sum(excess) * PAGE // moments,
        "swap_out_at_least_bytes": sum(rises) * PAGE,
    }, min(sums)


def fill(draws, profiles, inhibited, share, *, moments, hosts_pages):
    """Rows for each number of guests and each host, until the lowest sum exceeds the largest host.

    `draws` are (kind, member, shift) of each guest, `inhibited` the profiles of such guests.
    """
    which = inhibited_numbers(share, len(draws))
    rows = []
    for count in range(1, len(draws) + 1):
        chosen = [
            ((inhibited if number in which else profiles)[kind][member], shift)
            for number, (kind, member, shift) in enumerate(draws[:count], 1)
        ]
        needs = [[needed(*guest, moment) for moment in range(moments)] for guest in chosen]
        lowest = 0
        for host, pages in enumerate(hosts_pages):
            found, lowest = row(needs, moments, pages)
            peaks = sum(max(profile) for profile, _ in chosen) * PAGE
            rows.append({"host": host, "peaks_bytes": peaks, **found})
        if lowest > max(hosts_pages):
            break
    return rows


def fitting(seeds, share):
    """The most guests of whom no fewer are ever too many, all seeds together.

    `seeds` are rows of a host, in the order of guests; behind its last row memory of a seed is
    short all the time.
    """
    guests = 0
    while True:
        over = moments = 0
        for rows in seeds:
            known = [row for row in rows if row["guests"] == guests + 1]
            moments += rows[0]["moments"]
            over += known[0]["over_moments"] if known else rows[0]["moments"]
        if Fraction(over, moments) > 1 - Fraction(share):
            return guests
        guests += 1
        if all(rows[-1]["guests"] < guests for rows in seeds):
            return guests - 1


def fitting_at_peaks(seeds, size):
    """The most guests whose peaks together are no more than a size, whoever they are."""
    return min(sum(1 for row in rows if row["peaks_bytes"] <= size) for rows in seeds)


def described(seeds, guests, days):
    """What so many need together: means over seeds, but peaks of all; and how often it is short."""
    if guests == 0:
        return dict.fromkeys((*MEANS, *PEAKS, "over_share", "excess_bytes_mean", SWAP_OUT), 0)
    rows = [next(row for row in rows if row["guests"] == guests) for rows in seeds]
    found = {
        name: Fraction(sum(row[name] for row in rows), len(rows))
        for name in (*MEANS, "excess_bytes_mean")
    }
    found |= {name: max(row[name] for row in rows) for name in PEAKS}
    found["over_share"] = Fraction(
        sum(row["over_moments"] for row in rows), sum(row["moments"] for row in rows)
    )
    out = Fraction(sum(row["swap_out_at_least_bytes"] for row in rows), len(rows))
    found[SWAP_OUT] = out / days
    return found
