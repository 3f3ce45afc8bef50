"""Which page each frame holds, told frame by frame; it imports nothing of the workbench.

If this file and the frame table agree, they agree for different reasons: here a huge page is 512
frames that happen to share a number, there it is one entry.
"""

PAGES_OF_HUGE = 512


class NaiveFrames:
    """A dictionary from frame to (page, number of its huge page or None)."""

    def __init__(self):
        self.pages = {}
        self.huge_count = 0

    def split(self, number):
        """The pages of a huge page go their own ways."""
        for frame, (page, huge) in list(self.pages.items()):
            if number is not None and huge == number:
                self.pages[frame] = (page, None)

    def forget_huge(self, number):
        """All of a huge page is gone."""
        self.pages = {
            frame: held for frame, held in self.pages.items() if number is None or held[1] != number
        }

    def put(self, frame, is_huge, page):
        """A frame (or 512) holds a page (or 512) from now on."""
        first = frame - frame % PAGES_OF_HUGE
        for number in {self.pages[f][1] for f in range(first, first + 512) if f in self.pages}:
            self.forget_huge(number)
        if not is_huge:
            self.pages[frame] = (page, None)
            return
        start = page - page % PAGES_OF_HUGE
        for held, number in list(self.pages.values()):
            if number is not None and start <= held < start + PAGES_OF_HUGE:
                self.forget_huge(number)
        self.huge_count += 1
        for offset in range(PAGES_OF_HUGE):
            self.pages[frame + offset] = (start + offset, self.huge_count)

    def forget(self, first, stop):
        """Pages [first, stop) were discarded: huge pages wholly inside are gone, others split."""
        touched = {
            number
            for page, number in self.pages.values()
            if number is not None and first <= page < stop
        }
        for number in touched:
            pages = {page for page, huge in self.pages.values() if huge == number}
            if all(first <= page < stop for page in pages):
                self.forget_huge(number)
            else:
                self.split(number)

    def take(self, frame):
        """What goes to swap with this frame: a list of pages."""
        held = self.pages.get(frame)
        if held is None:
            return []
        page, number = held
        if number is not None and frame % PAGES_OF_HUGE == 0:
            pages = sorted(page for page, huge in self.pages.values() if huge == number)
            self.forget_huge(number)
            return pages
        self.split(number)
        del self.pages[frame]
        return [page]
