"""The guest's reporting once more, block by block and event by event; it imports nothing.

If this file and the kernels agree, they agree for different reasons: here a free list is a list of
blocks that is walked as Linux walks it, and a series is a queue of events in the order of time.
"""

from __future__ import annotations

import heapq
import itertools

PAGES_OF_HUGE_ORDER = 9
ORDERS = 11


def walk_list(reported_flags, free_blocks, array, capacity):
    """Walk one free list; True is a block that is reported already.

    `array` holds what earlier lists put there, and is left as the next list finds it.  Gives the
    sizes of the reports made, how many blocks were taken, and whether another pass is asked for.
    """
    budget = -(-free_blocks // (16 * capacity))
    reports = []
    taken = 0
    for is_reported in reported_flags:
        if is_reported:
            continue
        if len(array) == capacity:
            if budget < 0:
                return reports, taken, True
            reports.append(len(array))
            array.clear()
            budget -= 1
            if budget < 0:
                return reports, taken, True
        elif budget < 0:
            return reports, taken, True
        array.append("block")
        taken += 1
    return reports, taken, False


def spread(pages, parts, orders):
    """Split pages by parts; the last order takes what does not divide."""
    whole = sum(parts[order] for order in orders)
    shares = {order: pages * parts[order] // whole for order in orders[:-1]}
    shares[orders[-1]] = pages - sum(shares.values())
    return shares


class NaiveSeries:
    """One run over samples, which are dictionaries."""

    def __init__(self, samples, settings, instants):
        self.samples = samples
        self.settings = settings
        self.instants = instants
        self.waiting = dict.fromkeys(range(ORDERS), 0)
        self.free = samples[0]
        self.row = 0
        self.next_pass = samples[0]["time"] + instants["first_pass"]
        self.reported = []
        self.small = [o for o in range(ORDERS) if settings["order"] <= o < PAGES_OF_HUGE_ORDER]
        self.large = [o for o in range(9, ORDERS) if o >= settings["order"]]

    def waits(self, orders):
        """Sum up what waits in these orders."""
        return sum(self.waiting[order] for order in orders)

    def take(self, pages, orders):
        """Take from what waits, smallest blocks first."""
        for order in orders:
            for _ in range(min(pages, self.waiting[order])):
                self.waiting[order] -= 1
                pages -= 1

    def put(self, pages, orders):
        """Let freed pages wait."""
        for order, share in spread(pages, self.settings["freed"], orders).items():
            self.waiting[order] += share

    def put_both(self, small, large):
        """Let freed pages wait, and follow blocks that were split or merged."""
        if small:
            self.put(small, self.small)
        if large:
            self.put(large, self.large)
        for orders, others, group in (
            (self.small, self.large, "small"),
            (self.large, self.small, "large"),
        ):
            excess = self.waits(orders) - self.free[group]
            if excess > 0:
                self.take(excess, orders)
                self.put(excess, others)

    def change(self, row):
        """Go from a sample to the next."""
        old, new = self.samples[row], self.samples[row + 1]
        self.free = new
        net = new["small"] + new["large"] - old["small"] - old["large"]
        if net < 0:
            self.take(-net, range(ORDERS))
            self.put_both(0, 0)
            return False
        grown = max(new["large"] - old["large"], 0)
        self.put_both(net - min(grown, net), min(grown, net))
        return net > 0

    def swing(self, row):
        """Take pages and free them again."""
        small, large = self.free["small"], self.free["large"]
        size = min(self.samples[row]["swing"], small + large)
        more = size - self.waits(range(ORDERS))
        if more > 0:
            from_small = more * small // (small + large)
            self.put_both(from_small, more - from_small)
        return size > 0

    def report(self):
        """Make one pass over all lists; True if it asks for another."""
        order, capacity = self.settings["order"], self.settings["capacity"]
        if self.free["free"] <= self.settings["low_watermark"] + capacity * 2**order:
            return False
        array = []
        asks = False
        for orders, group in ((self.small, "small"), (self.large, "large")):
            whole = sum(self.settings["free"][o] for o in orders)
            for o in orders:
                held = self.free[group] * self.settings["free"][o] // whole // 2**o
                blocks = -(-self.waiting[o] // 2**o)
                flags = [False] * blocks
                _, taken, more = walk_list(flags, max(held, blocks), array, capacity)
                self.waiting[o] = max(self.waiting[o] - taken * 2**o, 0)
                asks = asks or more
        return asks

    def run(self):
        """Play all events; gives what is reported and free whenever host memory is read."""
        number = itertools.count()
        queue = []
        for row, sample in enumerate(self.samples):
            if row + 1 < len(self.samples):
                length = self.samples[row + 1]["time"] - sample["time"]
                for rank, name in ((1, "change"), (2, "swing")):
                    at = sample["time"] + length * self.instants[name] // 1000
                    heapq.heappush(queue, (at, 0, row, rank, next(number), name))
                heapq.heappush(
                    queue, (self.samples[row + 1]["time"], -1, row, 0, next(number), "next")
                )
            read = sample["time"] + self.settings["lag"]
            heapq.heappush(queue, (read, 1, row, 0, next(number), "read"))
        while queue:
            at, _, row, _, _, name = heapq.heappop(queue)
            self.passes_until(at)
            if name == "read":
                free = self.free["small"] + self.free["large"]
                self.reported.append(free - self.waits(range(ORDERS)))
            elif name == "next":
                self.row = row + 1
            elif getattr(self, name)(row) and self.next_pass is None:
                self.next_pass = at + self.settings["delay"]
        return self.reported

    def passes_until(self, at):
        """Make the passes that are due before an instant."""
        while self.next_pass is not None and self.next_pass < at:
            if self.report() or self.samples[self.row]["swing"] > 0:
                self.next_pass += self.settings["delay"]
            else:
                self.next_pass = None
