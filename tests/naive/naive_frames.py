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

    def remove_huge(self, number):
        """All of a huge page is gone."""
        for frame, (_, huge) in list(self.pages.items()):
            if number is not None and huge == number:
                del self.pages[frame]

    def vacate(self, frames):
        """Frames are handed out anew: what they held is gone, of a huge page all of it."""
        for frame in frames:
            if frame in self.pages:
                self.remove_huge(self.pages[frame][1])
                self.pages.pop(frame, None)

    def put(self, frame, is_huge, page):
        """A frame (or 512) holds a page (or 512) from now on, and no other frame does."""
        if not is_huge:
            self.vacate([frame])
            self.forget(page, page + 1)
            self.pages[frame] = (page, None)
            return
        start = page - page % PAGES_OF_HUGE
        self.vacate(range(frame, frame + PAGES_OF_HUGE))
        self.forget(start, start + PAGES_OF_HUGE)
        self.huge_count += 1
        for offset in range(PAGES_OF_HUGE):
            self.pages[frame + offset] = (start + offset, self.huge_count)

    def forget(self, first, stop):
        """Pages [first, stop) are gone; a huge page that loses some of its pages is split."""
        touched = {number for page, number in self.pages.values() if first <= page < stop}
        for number in touched:
            self.split(number)
        for frame, (page, _) in list(self.pages.items()):
            if first <= page < stop:
                del self.pages[frame]

    def take(self, frame):
        """What goes to swap with this frame: a list of pages."""
        if frame not in self.pages:
            return []
        page, number = self.pages[frame]
        if number is not None and frame % PAGES_OF_HUGE == 0:
            pages = sorted(page for page, huge in self.pages.values() if huge == number)
            self.remove_huge(number)
            return pages
        self.split(number)
        del self.pages[frame]
        return [page]
