"""The replay once more, with sets and dictionaries, slowly and in other words.

If this file and the kernels agree, they agree for different reasons: it imports nothing from the
workbench, keeps pages by block and number instead of in one page space, keeps sets instead of
counters, and counts everything anew after every event.
"""

from __future__ import annotations

PAGE = 4096

WRITE, SWAP_IN, REFUSED = 1, 2, 4
PAGE_POISON_BIT = 4


class Machine:
    """A guest's device and its memory on the host."""

    def __init__(
        self,
        blocks,
        huge,
        *,
        frees_tables=True,
        features=0,
        poison_val=0,
        always_poison=None,
        always_inhibited=None,
    ):
        """Take `blocks` as dictionaries: pages, start, offset, page_bytes, shared, thp."""
        self.blocks = blocks
        self.huge = huge
        self.frees_tables = frees_tables
        self.always_poison = always_poison
        self.always_inhibited = always_inhibited
        self.features = {bit for bit in range(64) if features >> bit & 1}
        self.poison_val = poison_val
        self.config = {12 + byte: poison_val >> 8 * byte & 0xFF for byte in range(4)}
        self.inhibited = False
        self.resident = set()
        self.swapped = set()
        self.zero = set()
        self.given_back = set()
        self.tables = set()  # Huge pages of address space with a page table.
        self.giants = {}  # Huge pages of address space: the pages of the huge page still mapped.
        self.huge_zero = set()

    # --- places ---------------------------------------------------------------------------------

    def home(self, page):
        """The huge page of address space that `page` is in."""
        block, number = page
        return block, (self.blocks[block]["offset"] + number) // self.huge

    def family(self, home):
        """All pages that a block has in this huge page of address space."""
        block = home[0]
        every = [(block, number) for number in range(self.blocks[block]["pages"])]
        return [page for page in every if self.home(page) == home]

    def is_complete(self, home):
        return len(self.family(home)) == self.huge

    def held(self):
        """Host pages in use."""
        in_giants = {page for pages in self.giants.values() for page in pages}
        return len(self.resident - in_giants) + self.huge * len(self.giants)

    def giant_fits(self, home):
        here = set(self.family(home))
        free = not here & (self.resident | self.swapped | self.zero)
        return self.is_complete(home) and (free or home in self.huge_zero)

    def giant_by_rule(self, home, flags):
        block = self.blocks[home[0]]
        mapped = home in self.tables or (home in self.giants and self.is_huge_mapped(home))
        return (
            block["thp"]
            and not block["shared"]
            and block["page_bytes"] == PAGE
            and self.is_complete(home)
            and not mapped
            and not flags & REFUSED
        )

    def is_huge_mapped(self, home):
        return home in self.giants and home not in self.tables

    # --- the host -------------------------------------------------------------------------------

    def take(self, page):
        """Put a page into memory."""
        for place in (self.swapped, self.zero, self.given_back):
            place.discard(page)
        self.resident.add(page)

    def take_alone(self, page):
        if page not in self.resident:
            self.take(page)
            self.tables.add(self.home(page))
            self.huge_zero.discard(self.home(page))

    def take_giant(self, home):
        for page in self.family(home):
            self.take(page)
        self.giants[home] = set(self.family(home))
        self.tables.discard(home)
        self.huge_zero.discard(home)

    def give_back(self, pages):
        pages = set(pages)
        for home in {self.home(page) for page in pages}:
            here = pages & set(self.family(home))
            whole = len(here) == self.huge
            something = home in self.tables or self.is_huge_mapped(home) or home in self.huge_zero
            if whole:
                if self.frees_tables or home not in self.tables:
                    self.tables.discard(home)
                self.huge_zero.discard(home)
            elif something:
                self.tables.add(home)
                self.huge_zero.discard(home)
            self.given_back |= here & (self.resident | self.swapped)
            for place in (self.resident, self.swapped, self.zero):
                place.difference_update(here)
            if home in self.giants:
                self.giants[home] -= here
                if not self.giants[home]:
                    del self.giants[home]

    def evict(self, pages):
        for page in pages:
            if page in self.resident:
                if page in self.giants.get(self.home(page), ()):
                    del self.giants[self.home(page)]
                self.tables.add(self.home(page))
                self.resident.remove(page)
                self.swapped.add(page)

    def fault(self, page, allocated, flags):
        """Return the outcome and the surprise."""
        block = self.blocks[page[0]]
        home = self.home(page)
        fresh = "refault" if page in self.given_back else "first_touch"
        if flags & SWAP_IN or page in self.swapped:
            surprise = "no_surprise"
            if not flags & SWAP_IN:
                surprise = "swap_in_missed"
            elif page in self.resident:
                surprise = "swap_out_missed"
            elif page not in self.swapped:
                surprise = "first_touch_missed"
            for other in self.allocation(page, allocated):
                if other in self.swapped:
                    self.take(other)
            self.take_alone(page)
            return "swapped_in", surprise
        if page in self.resident:
            return "resident_already", "no_surprise"
        if block["page_bytes"] > PAGE or block["shared"]:
            for other in self.allocation(page, allocated):
                if other not in self.swapped:
                    self.take_alone(other)
            return fresh, "no_surprise"
        return self.private_fault(
            page, allocated, flags, fresh, by_rule=self.giant_by_rule(home, flags)
        )

    def private_fault(self, page, allocated, flags, fresh, *, by_rule):
        home = self.home(page)
        writes = bool(flags & WRITE)
        if allocated == -1 and writes:
            if by_rule:
                self.take_giant(home)
            else:
                self.take_alone(page)
            return fresh, "no_surprise"
        if allocated >= self.huge * PAGE:
            surprise = "no_surprise" if by_rule else "huge_page_unexpected"
            if self.giant_fits(home):
                self.take_giant(home)
            else:
                self.take_around(page, allocated)
            return fresh, surprise
        if allocated > 0:
            surprise = "huge_page_not_had" if by_rule and page not in self.zero else "no_surprise"
            self.take_around(page, allocated)
            return fresh, surprise
        if writes:
            outcome = "zero_page_mapped" if page in self.zero else "no_outcome"
            return outcome, "nothing_allocated" if allocated == 0 else "no_surprise"
        if page not in self.zero:
            if by_rule:
                self.zero |= set(self.family(home))
                self.huge_zero.add(home)
            else:
                self.zero.add(page)
                self.tables.add(home)
        return "zero_page_mapped", "no_surprise"

    def take_around(self, page, allocated):
        """Back what is nowhere of one allocation, and the page itself in any case."""
        for other in self.allocation(page, allocated):
            if other not in self.resident | self.swapped | self.zero:
                self.take_alone(other)
        self.take_alone(page)

    def allocation(self, page, allocated):
        """The pages that one allocation for `page` could serve."""
        block = self.blocks[page[0]]
        numbers = range(block["pages"])
        offset = block["offset"]
        if block["page_bytes"] > PAGE:
            size, offset = block["page_bytes"] // PAGE, 0
        else:
            size = max(allocated // PAGE, 1)
            if size >= self.huge and not block["shared"]:
                size = 1 if self.is_complete(self.home(page)) else self.huge
        slot = (offset + page[1]) // size
        if block["page_bytes"] == PAGE:
            # Aligned in the page space, in which the block begins on a huge page of its own.
            start = block["start"] - offset
            slot = (start + offset + page[1]) // size
            return [(page[0], n) for n in numbers if (start + offset + n) // size == slot]
        return [(page[0], n) for n in numbers if n // size == slot]

    # --- the device -----------------------------------------------------------------------------

    def write_config(self, offset, width, value):
        if offset < 0 or offset + width > 16:
            return
        for byte in range(width):
            self.config[offset + byte] = value >> 8 * byte & 0xFF
        shadow = sum(self.config[12 + byte] << 8 * byte for byte in range(4))
        self.poison_val = shadow if PAGE_POISON_BIT in self.features else 0

    def judge(self, block, offset, length):
        inhibited = self.inhibited if self.always_inhibited is None else self.always_inhibited
        poison = self.poison_val if self.always_poison is None else self.always_poison
        if inhibited:
            return "skipped_inhibited"
        if poison:
            return "skipped_poisoned"
        if block == -1:
            return "skipped_bad_address"
        size = self.blocks[block]["page_bytes"]
        if offset % size or length % size:
            return "skipped_unaligned"
        if offset + length > self.blocks[block]["pages"] * PAGE:
            return "skipped_overrun"
        return "discarded"

    # --- events ---------------------------------------------------------------------------------

    def is_acceptable(self, kind, block, offset, length):
        if kind not in {"report", "discard", "fault", "swap_out", "access"}:
            return kind != "unknown"
        if not -1 <= block < len(self.blocks):
            return False
        if kind == "report":
            return length >= 0 and (offset >= 0 or block == -1)
        if block == -1 or offset < 0:
            return False
        ram = self.blocks[block]["pages"] * PAGE
        if kind == "fault":
            return offset < ram
        return length >= 0 and offset + length <= ram

    def step(self, row):
        """Apply an event.  Returns its row of the ledger, or None if it cannot be."""
        kind, block, offset, length, status, element, refusal = row
        if not self.is_acceptable(kind, block, offset, length):
            return None
        before = len(self.resident), len(self.swapped), self.held()
        outcome, surprise = "no_outcome", "no_surprise"
        whole = [(block, n) for n in range(-(-offset // PAGE), (offset + length) // PAGE)]
        if kind == "report":
            outcome = self.judge(block, offset, length)
            if outcome == "discarded" and refusal:
                outcome = "discard_failed"
            elif outcome == "discarded":
                self.give_back(whole)
        elif kind == "discard" and element == -1:
            outcome = "skipped_inhibited" if self.always_inhibited else "discarded"
            if outcome == "discarded" and status:
                outcome = "discard_failed"
            elif outcome == "discarded":
                self.give_back(whole)
        elif kind == "fault":
            outcome, surprise = self.fault((block, offset // PAGE), length, status)
        elif kind == "swap_out":
            outcome = "swapped_out"
            self.evict(whole)
            if len(self.swapped) == before[1]:
                surprise = "swap_out_of_absent"
        elif kind == "features":
            self.features = {bit for bit in range(63) if status >> bit & 1}
        elif kind == "config_write":
            self.write_config(offset, length, status)
        elif kind == "reset":
            self.features, self.poison_val = set(), 0
        elif kind == "inhibit":
            self.inhibited = bool(status)
        resident, swapped, held = len(self.resident), len(self.swapped), self.held()
        return (
            outcome,
            surprise,
            resident - before[0],
            swapped - before[1],
            max(before[2] - held, 0),
        )
