"""One host of one size that takes what was touched longest ago, step by step, with lists and sets.

Imports nothing of the workbench.
"""


class NaiveHost:
    def __init__(self, size, *, keeps_copies, in_swap=()):
        self.size = size
        self.keeps_copies = keeps_copies
        self.memory = []  # The page touched last stands last.
        self.swap = set(in_swap)
        self.dirty = set()
        self.dead = set()
        self.reads = self.dead_reads = self.writes = self.dead_writes = 0

    def touch(self, page, writes):
        if page in self.memory:
            self.memory.remove(page)
        else:
            if len(self.memory) == self.size:
                self._evict(self.memory.pop(0))
            if page in self.swap:
                self.reads += 1
                self.dead_reads += page in self.dead
                if not self.keeps_copies:
                    self.swap.remove(page)
                    self.dirty.add(page)
            else:
                self.dirty.add(page)
        self.memory.append(page)
        self.dead.discard(page)
        if writes:
            self.dirty.add(page)
            self.swap.discard(page)

    def _evict(self, page):
        if page in self.dirty:
            self.writes += 1
            self.dead_writes += page in self.dead
            self.dirty.remove(page)
        self.swap.add(page)

    def discard(self, page):
        if page in self.memory:
            self.memory.remove(page)
        for pages in (self.swap, self.dirty, self.dead):
            pages.discard(page)

    def free(self, page):
        if page in self.memory or page in self.swap:
            self.dead.add(page)


WRITES = {"write", "rewrite", "clear"}
CHANGES = {"access", "rewrite", "clear"}


def naive_curve(uses, *, sizes, keeps_copies, in_swap=()):
    """Count (reads, dead reads, writes, dead writes) of a host of each size.

    `uses` are (word, first page, pages): "touch" and "write" bring in what is nowhere, "access",
    "rewrite" and "clear" do not.
    """
    counts = []
    for size in sizes:
        host = NaiveHost(size, keeps_copies=keeps_copies, in_swap=in_swap)
        for word, first, pages in uses:
            for page in range(first, first + pages):
                is_there = page in host.memory or page in host.swap
                if word in {"touch", "write"} or (is_there and word in CHANGES):
                    host.touch(page, word in WRITES)
                if word == "discard":
                    host.discard(page)
                if word in {"free", "clear"}:
                    host.free(page)
        counts.append((host.reads, host.dead_reads, host.writes, host.dead_writes))
    return counts
