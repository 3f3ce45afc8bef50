"""Guests on one host that takes the page touched longest ago, event by event, with one list.

Imports nothing of the workbench.
"""


def naive_shared_host(guests, *, size):
    """Count (swap-ins, swap-outs, first touches, refaults) of a host with memory for `size` pages.

    Each of the guests is (begin, events), an event (time since it began, "touch" or "discard",
    page).  What happens at one time happens in the order of the guests.
    """
    waiting = [
        (begin + time, number, place, kind, (number, page))
        for number, (begin, events) in enumerate(guests)
        for place, (time, kind, page) in enumerate(events)
    ]
    memory, swap, given_back = [], set(), set()
    ins = outs = first_touches = refaults = 0
    for *_, kind, page in sorted(waiting):
        was_there = page in memory or page in swap
        if page in memory:
            memory.remove(page)
        elif kind == "touch":
            if len(memory) == size:
                swap.add(memory.pop(0))
                outs += 1
            if page in swap:
                ins += 1
            elif page in given_back:
                refaults += 1
            else:
                first_touches += 1
        swap.discard(page)
        if kind == "touch":
            memory.append(page)
            given_back.discard(page)
        elif was_there:
            given_back.add(page)
    return ins, outs, first_touches, refaults
