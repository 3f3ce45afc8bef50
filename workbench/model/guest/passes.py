"""A pass of free page reporting over the guest's free lists.

Source: Linux 6.1 mm/page_reporting.c (page_reporting_process, page_reporting_process_zone,
page_reporting_cycle, page_reporting_drain).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model.compiled import kernel
from workbench.model.guest.buddy import SETS, give_up_block, make_first, put_back, remove_block
from workbench.model.guest.columns import ELEMENT, NEVER, NEXT, NEXT_PASS_NS, NO_PAGE, NOW_NS, ROOM
from workbench.model.guest.events import REPORT, write_event
from workbench.model.guest.reporting import full_reports, has_room_to_report
from workbench.units import LARGEST_ORDER

if TYPE_CHECKING:
    from workbench.model.guest.columns import GuestConstants, GuestState, Placed


@kernel
def send_report(constants: GuestConstants, guest: GuestState, placed: Placed) -> None:
    """Report what was isolated, and put it back at the tails of its lists.

    A block counts as reported only if it is still a free block of its own, of the same order.
    """
    capacity = constants.reporting_capacity
    room = guest.worker[ROOM]
    for index in range(room, capacity):
        page = guest.isolated_page[index]
        pages = 1 << guest.isolated_order[index]
        guest.is_touched[page : page + pages] = False
        write_event(REPORT, page, pages, guest, placed)
    for index in range(room, capacity):
        page = guest.isolated_page[index]
        order = guest.isolated_order[index]
        give_up_block(page, order, constants, guest)
        if put_back(page, order, constants, guest) == order:
            guest.is_reported[page] = True
    guest.worker[ELEMENT] += 1
    guest.worker[ROOM] = capacity


@kernel
def isolate_block(page: int, order: int, zone: int, guest: GuestState) -> None:
    """Take a block off its list into the report, which is filled from its end."""
    remove_block(page, zone, guest)
    guest.worker[ROOM] -= 1
    guest.isolated_page[guest.worker[ROOM]] = page
    guest.isolated_order[guest.worker[ROOM]] = order


@kernel
def report_list(
    lists: int, order: int, constants: GuestConstants, guest: GuestState, placed: Placed
) -> None:
    """Isolate the unreported blocks of one list, sending each full report before the next block.

    What does not fill a report stays isolated, for the lists that follow.  Where the budget ends
    another pass is asked for, which begins at the block where this one stopped.
    """
    zone = lists // SETS
    free_blocks = guest.block_count[SETS * zone : SETS * (zone + 1), order].sum()
    reports_left = full_reports(free_blocks, constants.reporting_capacity)
    page = guest.first_page[lists, order]
    while page != NO_PAGE:
        next_page = guest.links[page >> 1, NEXT]
        if guest.is_reported[page]:
            page = next_page
        elif reports_left == 0:
            guest.worker[NEXT_PASS_NS] = guest.worker[NOW_NS] + constants.reporting_delay_ns
            break
        elif guest.worker[ROOM] > 0:
            isolate_block(page, order, zone, guest)
            page = next_page
        else:
            make_first(page, zone, order, guest)
            send_report(constants, guest, placed)
            reports_left -= 1
            page = guest.first_page[lists, order]


@kernel
def report_pass(constants: GuestConstants, guest: GuestState, placed: Placed) -> None:
    """Go over all zones, from the smallest reported blocks up.

    Zones with too little free memory are left alone.
    """
    guest.worker[NEXT_PASS_NS] = NEVER
    guest.worker[ROOM] = constants.reporting_capacity
    first_order = constants.reporting_order
    for zone in range(constants.zone_first.size):
        free_pages = guest.free_pages[zone]
        low_watermark = constants.low_watermark_pages[zone]
        if not has_room_to_report(
            free_pages, low_watermark, first_order, constants.reporting_capacity
        ):
            continue
        for order in range(first_order, LARGEST_ORDER + 1):
            for lists in range(SETS * zone, SETS * (zone + 1)):
                report_list(lists, order, constants, guest, placed)
        if guest.worker[ROOM] < constants.reporting_capacity:
            send_report(constants, guest, placed)
