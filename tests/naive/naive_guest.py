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

    def __init__(self, zones, watermarks, order, delay, capacity, *, follows=False):
        """Take `zones` as ranges of pages; `order` is None in a guest that does not report."""
        self.zones = zones
        self.watermarks = watermarks
        self.order = order
        self.delay = delay
        self.capacity = capacity
        self.follows = follows
        self.lists = [[[] for _ in range(LARGEST + 1)] for _ in zones]
        self.reported = set()
        self.untouched = set()
        self.places = {page: page for zone in zones for page in zone}
        self.groups = {}
        self.now = 0
        self.next_pass = None
        self.elements = 0
        self.events = []

    # --- the free lists -------------------------------------------------------------------------

    def lists_of(self, page):
        """The free lists of the zone that a page is in."""
        return next(
            lists for lists, zone in zip(self.lists, self.zones, strict=True) if page in zone
        )

    def merge(self, page, order):
        """Join a block with its buddies as far as they are free."""
        lists = self.lists_of(page)
        while order < LARGEST and buddy_of(page, order) in lists[order]:
            buddy = buddy_of(page, order)
            lists[order].remove(buddy)
            self.reported.discard(buddy)
            page, order = min(page, buddy), order + 1
        return page, order

    def put_back(self, page, order):
        """Free a block to the tail."""
        lists = self.lists_of(page)
        page, order = self.merge(page, order)
        lists[order].append(page)
        return page, order

    def give(self, page):
        """Free a page: to the head, or to the tail if a larger merge is near."""
        lists = self.lists_of(page)
        page, order = self.merge(page, 0)
        parent = min(page, buddy_of(page, order))
        if order in LIKELY and buddy_of(parent, order + 1) in lists[order + 1]:
            lists[order].append(page)
        else:
            lists[order].insert(0, page)
        if self.order is not None and order >= self.order and self.next_pass is None:
            self.next_pass = self.now + self.delay

    def take(self):
        """Take a page, or None: the last zone first, the smallest block first."""
        for lists in reversed(self.lists):
            for order, pages in enumerate(lists):
                if not pages:
                    continue
                page = pages.pop(0)
                self.reported.discard(page)
                for half in range(order):
                    lists[half].insert(0, page + 2**half)
                return page
        return None

    def take_for(self, group=-1):
        """Take a page beside the last one of a group, of the same 512, or any."""
        if group == -1:
            return self.take()
        beside = self.groups.get(group)
        if beside is not None:
            near = [
                (page, order, lists)
                for lists in self.lists
                for order, pages in enumerate(lists)
                for page in pages
                if page // 512 == beside // 512
            ]
            if near:
                page, order, lists = min(near, key=lambda block: block[0])
                lists[order].remove(page)
                self.reported.discard(page)
                for half in range(order):
                    lists[half].insert(0, page + 2**half)
                return page
        page = self.groups[group] = self.take()
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
            if self.put_back(page, order) == (page, order):
                self.reported.add(page)
        self.elements += 1
        array.clear()

    def walk(self, pages, order, array):
        """Walk one free list as Linux does, with a budget that may become negative."""
        budget = budget_of(len(pages), self.capacity)
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
        for lists, watermark in zip(self.lists, self.watermarks, strict=True):
            free = sum(len(pages) * 2**order for order, pages in enumerate(lists))
            if free - watermark <= self.capacity * 2**self.order:
                continue
            array = []
            for order in range(self.order, LARGEST + 1):
                self.walk(lists[order], order, array)
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
                self.places[captured] = self.take_for(*group)
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
