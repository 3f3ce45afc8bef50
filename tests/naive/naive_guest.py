"""The guest's page allocator once more, with lists and sets; it imports nothing.

If this file and the kernels agree, they agree for different reasons: a free list is a list of
pages whose head is its first item, a zone's lists hold nothing of another zone, the array of a
report grows at its front, and the passes of a capture are first put together and then dated.
"""

from __future__ import annotations

LARGEST = 10
LIKELY = range(9)
PARTS = 16


def buddy_of(page, order):
    """The other half of the block twice as large."""
    return page + 2**order if page % 2 ** (order + 1) == 0 else page - 2**order


def budget_of(blocks, capacity):
    """Full reports a pass may make of a list before the last one."""
    return -(-blocks // (PARTS * capacity))


def order_of(pages):
    """Order of the largest block that many pages hold."""
    return min(pages.bit_length() - 1, LARGEST)


class Guest:
    """One guest, all of whose pages are in use and touched as it begins."""

    def __init__(self, zones, watermarks, order, delay, capacity, *, follows=False, kept=()):
        """Take `zones` as ranges of pages; `order` is None in a guest that does not report.

        What is free in the blocks of 512 pages that are `kept` is on lists of its own.
        """
        self.zones = zones
        self.watermarks = watermarks
        self.order = order
        self.delay = delay
        self.capacity = capacity
        self.follows = follows
        self.kept = set(kept)
        self.kept_for_groups = set()
        self.lists = [[[] for _ in range(LARGEST + 1)] for _ in zones for _ in ("any", "kept")]
        self.reported = set()
        self.untouched = set()
        self.places = {page: page for zone in zones for page in zone}
        self.groups = {}
        self.now = 0
        self.next_pass = None
        self.elements = 0
        self.events = []

    # --- the free lists -------------------------------------------------------------------------

    def zone_of(self, page):
        """The number of the zone that a page is in, or None."""
        return next((number for number, zone in enumerate(self.zones) if page in zone), None)

    def list_of(self, page, order):
        """The free list of a block: there is another for what is kept as a whole."""
        blocks = {each // 512 for each in range(page, page + 2**order)}
        is_kept = blocks <= self.kept | self.kept_for_groups
        return self.lists[2 * self.zone_of(page) + is_kept][order]

    def is_free_beside(self, page, block, order):
        """Whether a block is free as a whole, in the zone of a page."""
        same = self.zone_of(block) == self.zone_of(page)
        return same and block in self.list_of(block, order)

    def merge(self, page, order):
        """Join a block with its buddies as far as they are free."""
        while order < LARGEST and self.is_free_beside(page, buddy_of(page, order), order):
            buddy = buddy_of(page, order)
            self.list_of(buddy, order).remove(buddy)
            self.reported.discard(buddy)
            page, order = min(page, buddy), order + 1
        return page, order

    def put_back(self, page, order):
        """Free a block to the tail."""
        page, order = self.merge(page, order)
        self.list_of(page, order).append(page)
        return page, order

    def give(self, page):
        """Free a page: to the head, or to the tail if a larger merge is near."""
        page, order = self.merge(page, 0)
        parent = min(page, buddy_of(page, order))
        if order in LIKELY and self.is_free_beside(page, buddy_of(parent, order + 1), order + 1):
            self.list_of(page, order).append(page)
        else:
            self.list_of(page, order).insert(0, page)
        if self.order is not None and order >= self.order and self.next_pass is None:
            self.next_pass = self.now + self.delay

    def split(self, block, order, page):
        """Take a page out of a free block: halve it again and again, and free the other halves."""
        self.list_of(block, order).remove(block)
        self.reported.discard(block)
        while order > 0:
            order -= 1
            lower, upper = block, block + 2**order
            block, other = (lower, upper) if page < upper else (upper, lower)
            self.list_of(other, order).insert(0, other)
        return page

    def take(self):
        """Take a page, or None: the last zone first, the smallest block first."""
        for lists in reversed(self.lists[::2]):
            for order, pages in enumerate(lists):
                if pages:
                    return self.split(pages[0], order, pages[0])
        return None

    def take_large(self):
        """Take a page, or None: the last zone first, the largest block first."""
        for lists in reversed(self.lists[::2]):
            for order, pages in reversed(list(enumerate(lists))):
                if pages:
                    return self.split(pages[0], order, pages[0])
        return None

    def move(self, number, *, keep):
        """Keep a block of 512 pages for a group, or no more: its free blocks change their lists."""
        blocks = sorted(block for block in self.free_blocks() if block[0] // 512 == number)
        for page, order in blocks:
            self.list_of(page, order).remove(page)
        (self.kept_for_groups.add if keep else self.kept_for_groups.discard)(number)
        for page, order in blocks:
            self.list_of(page, order).append(page)

    def free_blocks(self):
        """All free blocks, of (page, order)."""
        return [
            (page, order)
            for lists in self.lists
            for order, pages in enumerate(lists)
            for page in pages
        ]

    def take_for(self, captured, group=-1):
        """Take that very page if it is free, for group -2; or one for a group; or any."""
        blocks = self.free_blocks()
        around = [block for block in blocks if block[0] <= captured < block[0] + 2 ** block[1]]
        if group == -2 and around:
            return self.split(*around[0], captured)
        return self.take() if group < 0 else self.take_in(group, blocks)

    def take_in(self, group, blocks):
        """Take a page beside the last of a group, in the same 512; or any.

        A group beyond the number of blocks is the same one, which keeps its block from now on.
        """
        keeps, group = divmod(group, self.zones[-1].stop // 512 + 1)
        beside = self.groups.get(group)
        near = [(page, order) for page, order in blocks if beside == page // 512]
        if near:
            page, order = min(near)
            self.split(page, order, page)
        else:
            page = self.take_large() if keeps else self.take()
        number = self.groups[group] = None if page is None else page // 512
        if keeps and number not in {None} | self.kept | self.kept_for_groups:
            self.move(number, keep=True)
        return page

    def begin_free(self, blocks, barred):
        """Begin with blocks of (page, pages) free that overlap neither each other nor `barred`."""
        gone = set(barred)
        for page, pages in blocks:
            block = set(range(page, page + pages))
            if block & gone:
                continue
            gone |= block
            self.untouched |= block
            for each in block:
                self.places[each] = None
            self.put_back(page, order_of(pages))

    # --- a pass ---------------------------------------------------------------------------------

    def send(self, array):
        """Send a report, first to last, and free its blocks to the tails."""
        for page, order in array:
            self.untouched |= set(range(page, page + 2**order))
            self.events.append((self.now, "report", page, 2**order, self.elements))
        for page, order in array:
            if order >= 8 and page // 512 in self.kept_for_groups:
                self.move(page // 512, keep=False)
            if self.put_back(page, order) == (page, order):
                self.reported.add(page)
        self.elements += 1
        array.clear()

    def walk(self, pages, order, array, budget):
        """Walk one free list as Linux does, with a budget that may become negative."""
        position = 0
        while position < len(pages):
            page = pages[position]
            if page in self.reported:
                position += 1
                continue
            if budget < 0:
                self.next_pass = self.now + self.delay
                pages[:] = pages[position:] + pages[:position]
                return
            if len(array) < self.capacity:
                array.insert(0, (page, order))
                del pages[position]
                continue
            pages[:] = pages[position:] + pages[:position]
            self.send(array)
            budget -= 1
            position = 0

    def report(self):
        """Make one pass: zone by zone, smallest blocks first."""
        self.next_pass = None
        for zone, watermark in enumerate(self.watermarks):
            both = list(zip(*self.lists[2 * zone : 2 * zone + 2], strict=True))
            free = sum(len(pages) * 2**order for order, lists in enumerate(both) for pages in lists)
            if free - watermark <= self.capacity * 2**self.order:
                continue
            array = []
            for order in range(self.order, LARGEST + 1):
                for pages in both[order]:
                    now = sum(map(len, both[order]))
                    self.walk(pages, order, array, budget_of(now, self.capacity))
            if array:
                self.send(array)

    def passes_until(self, time):
        """Make the passes that are due, the last of them at that very time."""
        while self.next_pass is not None and self.next_pass <= time:
            self.now = self.next_pass
            self.report()
        self.now = time

    # --- a demand -------------------------------------------------------------------------------

    def place(self, demand, stop):
        """Place rows of (time, action, page of the capture): 0 give, 1 take, 2 read, 3 write.

        A take may name a group.
        """
        for time, action, captured, *group in demand:
            self.passes_until(time)
            if action == 1:
                self.places[captured] = self.take_for(captured, *group)
            page = self.places[captured]
            event = {0: "free", 1: "written", 2: "read", 3: "written"}[action]
            if action == 0:
                self.places[captured] = None
                if page is not None:
                    self.give(page)
            elif page in self.untouched:
                self.untouched.remove(page)
                self.events.append((time, "fault", page, 1, -1))
                continue
            if self.follows and page is not None:
                self.events.append((time, event, page, 1, -1))
        self.passes_until(stop)
        return self.events


def date_reports(events, delay, capacity):
    """Date the reports among events of (time, kind, page, pages): number of event to time."""
    passes = []
    for number, (time, kind, _, pages, *_) in enumerate(events):
        if kind != "report":
            continue
        if not passes or time - passes[-1]["time"] > delay // 2:
            passes.append({"time": time, "orders": {}, "freed": {}})
        passes[-1]["orders"].setdefault(order_of(pages), []).append(number)
    dates = {}
    for position, this in enumerate(passes):
        last = passes[position - 1] if position else None
        for order, numbers in this["orders"].items():
            this["freed"][order] = this["time"] - delay
            if (
                last
                and order in last["orders"]
                and this["time"] - last["time"] < delay + delay // 2
            ):
                count = len(last["orders"][order])
                if count >= budget_of(count, capacity) * capacity:
                    this["freed"][order] = last["freed"][order]
            dates.update(dict.fromkeys(numbers, this["freed"][order]))
    return dates


def read_demand(events, dates, free):
    """Rows of (time, action, page, rank), and what is free, from events of a capture.

    Those are (time, kind, page, pages), and what a fault touched unless it is the first.
    """
    rows = []
    free = set(free)
    backed = set()
    last = {}
    taken = {}
    for number, (time, kind, first, pages, *touched) in enumerate(events):
        block = range(first, first + pages)
        if kind == "report":
            backed -= set(block)
            for page in block:
                if page not in free:
                    since = max(dates[number], last.get(page, 0))
                    rows.append((since, 0, page, taken.get(page, 0)))
            free |= set(block)
            continue
        if kind == "fault":
            backed |= set(block)
            used = touched or [first]
        else:
            used = [page for page in block if page not in free or page in backed]
        for page in used:
            if page in free:
                taken[page] = len(rows)
            action = 1 if page in free else {"read": 2}.get(kind, 3)
            rows.append((time, action, page, len(rows)))
            last[page] = time
        free -= set(used)
    return rows, free
