"""A pre-copy migration once more, with sets, in other words; imports nothing from the workbench."""

from __future__ import annotations


def migrate(present, zeros, steps, limit, *, clears):
    """Send pages until the last step.

    Parameters
    ----------
    present, zeros
        Sets of pages: those there are, and those that read as zeros.
    steps
        Tuples of time, word and set of pages.
    limit
        Length of an interval, bytes in it, bytes of a page with content and of one without.
    clears
        Whether the guest clears what it hints.

    Returns
    -------
    The pages in the order in which they are sent, each with whether it was full of zeros.
    """
    length, allowed, full, empty = limit
    waiting, written, zeros, sent = set(present), set(), set(zeros), []
    spent = {}

    def send(interval):
        last = sent[-1][0] if sent else -1
        page = min(waiting, key=lambda page: (page <= last, page))
        waiting.remove(page)
        sent.append((page, page in zeros))
        spent[interval] = spent.get(interval, 0) + (empty if page in zeros else full)

    done = 0
    for time, word, pages in steps:
        for interval in range(done, time // length + 1):
            while waiting and spent.get(interval, 0) < allowed:
                send(interval)
        done = time // length
        if word == "written":
            written |= pages
            zeros -= pages
        elif word == "hinted":
            waiting -= pages
            written |= pages if clears else set()
            zeros |= pages if clears else set()
        elif word == "discarded":
            zeros |= pages
        else:
            waiting |= written
            written = set()
        while word == "completed" and waiting:
            send("the end")
    return sent
