"""A host that runs out of memory, once more: slowly, with Python's lists and no numbers for folios.

It stands on the naive replay for huge pages and page tables, and imports nothing of the workbench.
A folio is a tuple: ("page", page) or ("giant", home).  The head of a list is at index 0.
"""

from __future__ import annotations

import math

from tests.naive.naive_replay import PAGE, SWAP_IN, WRITE, Machine

WITHOUT_READ = 8
CAME_BACK_DEAD = 16
CLEAN, ZEROS, DEAD = 1, 2, 4
CLUSTER = 32
GIB = 1 << 18


class Host(Machine):
    """The memory of all guests' RAM blocks."""

    def __init__(self, blocks, huge, rules, *, frees_tables=True):
        """Take `rules` as a dictionary with the fields of ReclaimConstants, by name."""
        super().__init__(blocks, huge, frees_tables=frees_tables)
        self.rules = rules
        self.exact = rules["policy"] == "least_recent"
        self.inactive, self.active = [], []
        self.accessed, self.referenced = set(), set()
        self.copies, self.ahead, self.live, self.zeros = set(), set(), set(), set()
        self.evicted_at = {}
        self.age = self.refaults = self.refaults_seen = self.unmet = 0
        self.faults = {number: [(number, -start_of(b)), 0, 0] for number, b in enumerate(blocks)}
        self.moves = []
        self.request = 0
        self.limit = 0

    # --- folios ---------------------------------------------------------------------------------

    def folio(self, page):
        home = self.home(page)
        return ("giant", home) if page in self.giants.get(home, ()) else ("page", page)

    def size(self, folio):
        return self.huge if folio[0] == "giant" else 1

    def members(self, folio):
        return self.family(folio[1]) if folio[0] == "giant" else [folio[1]]

    def length(self, which):
        return sum(self.size(folio) for folio in which)

    def drop_from_lists(self, folio):
        for which in (self.inactive, self.active):
            if folio in which:
                which.remove(folio)

    def slots(self):
        return len(self.swapped) + len(self.copies)

    def in_use(self):
        return self.held() + len(self.ahead)

    # --- eviction -------------------------------------------------------------------------------

    def move(self, kind, page, count, status):
        self.moves.append((self.request, kind, page, count, status))

    def evict_whole(self, folio):
        """Returns the pages freed, or None where swap is full."""
        pages = self.members(folio)
        if pages[0] in self.ahead:
            self.ahead.remove(pages[0])
        else:
            is_copied = pages[0] in self.copies
            if not is_copied and self.slots() + len(pages) > self.rules["swap_pages"]:
                return None
            status = CLEAN if is_copied else 0
            if self.rules["skips_zeros"] and set(pages) <= self.zeros:
                status |= ZEROS
            runs = []
            for page in pages:
                alive = page in self.live
                if runs and runs[-1][1] == alive:
                    runs[-1][2] += 1
                else:
                    runs.append([page, alive, 1])
            for page, alive, count in runs:
                self.move("swap_out", page, count, status if alive else status | DEAD)
            self.copies -= set(pages)
            self.evict(pages)
        for marks in (self.accessed, self.referenced):
            marks.discard(folio)
        for page in pages:
            self.evicted_at[page] = self.age
        self.age += len(pages)
        return len(pages)

    def evict_folio(self, folio):
        kind, place = folio
        room = self.rules["swap_pages"] - self.slots()
        if kind == "giant" and room > 0 and min(room, len(self.giants[place])) < self.huge:
            parts = [("page", page) for page in sorted(self.giants.pop(place))]
            for marks in (self.accessed, self.referenced):
                marks.discard(folio)
        else:
            parts = [folio]
        taken = 0
        for part in parts:
            freed = self.evict_whole(part)
            if freed is None:
                self.active.insert(0, part)
            else:
                taken += freed
        return taken

    # --- reclaim --------------------------------------------------------------------------------

    def verdict(self, folio):
        if self.exact or folio not in self.accessed:
            return "take"
        if folio in self.referenced:
            return "activate"
        kind, place = folio
        if kind == "giant" and place in self.tables and len(self.giants[place]) > 1:
            return "activate"
        return "keep"

    def scan_one(self):
        folio = self.inactive[-1]
        verdict = self.verdict(folio)
        self.inactive.pop()
        if verdict == "take":
            return self.evict_folio(folio)
        self.accessed.discard(folio)
        self.referenced.add(folio)
        (self.active if verdict == "activate" else self.inactive).insert(0, folio)
        return 0

    def scan_inactive(self, pages):
        budget, taken = min(pages, self.length(self.inactive)), 0
        while budget > 0 and self.inactive:
            budget -= self.size(self.inactive[-1])
            taken += self.scan_one()
        return taken

    def deactivate(self, pages):
        budget = min(pages, self.length(self.active))
        while budget > 0 and self.active:
            folio = self.active.pop()
            budget -= self.size(folio)
            self.accessed.discard(folio)
            self.inactive.insert(0, folio)

    def inactive_is_low(self):
        inactive, active = self.length(self.inactive), self.length(self.active)
        gib = (inactive + active) // GIB
        return inactive * (math.isqrt(10 * gib) if gib else 1) < active

    def reclaim(self, wanted):
        taken = 0
        if self.exact:
            while taken < wanted and self.inactive:
                taken += self.scan_one()
            return taken
        for priority in range(12, -1, -1):
            if taken >= wanted:
                break
            deactivates = self.refaults != self.refaults_seen or self.inactive_is_low()
            inactive = self.length(self.inactive) >> priority
            active = self.length(self.active) >> priority
            goal = wanted - taken
            round_taken = 0
            while inactive > 0 and round_taken < goal:
                round_taken += self.scan_inactive(min(inactive, CLUSTER))
                if deactivates:
                    self.deactivate(min(active, CLUSTER))
                inactive -= CLUSTER
                active -= CLUSTER
            taken += round_taken
            if self.inactive_is_low():
                self.deactivate(CLUSTER)
        self.refaults_seen = self.refaults
        return taken

    def charge(self, pages):
        free = self.limit - self.in_use() - pages
        low = self.rules["low_free_pages"]
        is_stuck = self.slots() >= self.rules["swap_pages"] and not self.rules["keeps_copies"]
        if low and free < low and not is_stuck:
            self.reclaim(self.rules["high_free_pages"] - free)
        fruitless = 0
        while self.in_use() + pages > self.limit and fruitless < 16:
            if self.slots() >= self.rules["swap_pages"] and not self.rules["keeps_copies"]:
                break
            fruitless += self.reclaim(1 if self.exact else max(pages, CLUSTER)) == 0
        return self.in_use() + pages <= self.limit

    def charge_one(self):
        self.unmet += not self.charge(1)

    # --- what guests do -------------------------------------------------------------------------

    def back_list(self, page):
        """The list for a page that comes from swap."""
        at = self.evicted_at.get(page)
        if self.exact or at is None or self.age - at > self.length(self.active):
            return self.inactive
        self.age += 1
        self.refaults += 1
        return self.active

    def window(self, page):
        """The pages that are read for a fault from swap."""
        block, number = page
        (_, last), before, hits = self.faults[block]
        if hits:
            count = max(4, 1 << math.ceil(math.log2(hits + 2)))
        else:
            count = 2 if number in (last - 1, last + 1) else 1
        count = max(min(count, self.rules["readahead_pages"]), before // 2)
        self.faults[block] = [page, count, 0]
        if number == last + 1:
            first = number
        elif number == last - 1:
            first = number - count + 1
        else:
            first = number - (count - 1) // 2
        return [p for p in self.family(self.home(page)) if first <= p[1] < first + count]

    def swap_in(self, page, writes):
        status = SWAP_IN | (WRITE if writes else 0)
        found = page in self.ahead
        if found:
            self.ahead.remove(page)
            _, count, hits = self.faults[page[0]]
            self.faults[page[0]] = [page, count, min(hits + 1, 63)]
        else:
            if self.rules["readahead_pages"] > 1:
                for other in self.window(page):
                    if other != page and other in self.swapped and other not in self.ahead:
                        self.charge_one()
                        self.ahead.add(other)
                        self.back_list(other).insert(0, ("page", other))
                        self.move("read_ahead", other, 1, 0)
            self.charge_one()
            self.back_list(page).insert(0, ("page", page))
        if found or (self.rules["skips_zeros"] and page in self.zeros):
            status |= WITHOUT_READ
        if page not in self.live:
            status |= CAME_BACK_DEAD
        half_full = 2 * self.slots() > self.rules["swap_pages"]
        self.take(page)
        self.accessed.add(("page", page))
        if self.rules["keeps_copies"] and not writes and not half_full:
            self.copies.add(page)
        self.move("fault", page, 0 if found else 1, status)

    def first_touch(self, page, allocated, flags):
        home, writes = self.home(page), flags & WRITE
        whole = self.huge * PAGE
        before = set(self.resident)
        wants_giant = self.giant_by_rule(home, flags) if allocated == -1 else allocated >= whole
        if not writes and allocated <= 0:
            if page not in self.zero:
                self.fault(page, allocated, flags)
                self.move("fault", page, 0, flags)
            return
        if writes and allocated == 0:
            return
        if wants_giant and self.giant_fits(home):
            if self.charge(self.huge):
                self.fault(page, allocated, flags)
                self.move("fault", page, self.huge, flags)
                self.settle(before)
                return
            allocated = PAGE
        elif allocated == -1:
            allocated = PAGE
        served = self.allocation(page, allocated)
        for other in served:
            nowhere = other not in self.resident | self.swapped | self.zero
            if nowhere or other == page:
                self.charge_one()
        before = set(self.resident)
        self.take_around(page, allocated)
        # What the end of a block cuts off is still aligned to the size that was asked for.
        count = len(served) if len(served) == 1 else max(len(served), allocated // PAGE)
        self.move("fault", page, count, flags)
        self.settle(before)

    def settle(self, before):
        """Put what has come into memory on the list."""
        for page in sorted(self.resident - before):
            folio = self.folio(page)
            if folio not in self.inactive:
                self.inactive.insert(0, folio)
                self.accessed.add(folio)
                self.referenced.discard(folio)
            self.zeros.add(page)

    def touch(self, page, allocated, flags):
        writes = bool(flags & WRITE)
        if page in self.resident:
            folio = self.folio(page)
            self.accessed.add(folio)
            if writes:
                self.copies.discard(page)
            if self.exact:
                self.drop_from_lists(folio)
                self.inactive.insert(0, folio)
        elif page in self.swapped:
            self.swap_in(page, writes)
        else:
            self.first_touch(page, allocated, flags)
        if writes:
            (self.zeros.add if self.rules["writes_zeros"] else self.zeros.discard)(page)
        self.live.add(page)

    def discard(self, pages):
        for page in pages:
            self.evicted_at.pop(page, None)
            self.copies.discard(page)
            if page in self.ahead or (page in self.resident and self.folio(page)[0] == "page"):
                self.ahead.discard(page)
                self.drop_from_lists(("page", page))
        homes = {self.home(page) for page in pages if self.home(page) in self.giants}
        self.give_back(pages)
        for home in homes - set(self.giants):
            self.drop_from_lists(("giant", home))

    def serve(self, kind, page, count, status, allocated, limit):
        self.limit = limit
        block, number = page
        pages = [(block, number + n) for n in range(count)]
        if kind == "discard":
            self.discard(pages)
        elif kind == "free" and not status & WRITE:
            self.live.difference_update(pages)
        else:
            for each in pages:
                self.touch(each, allocated, status)
            if kind == "free":
                self.live.difference_update(pages)
                self.zeros.update(pages)
        self.request += 1


def start_of(block):
    return block["start"]
