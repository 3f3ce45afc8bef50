"""The guest: how much of its free memory Linux has reported, and when."""

from workbench.model.guest.buddy import new_guest
from workbench.model.guest.columns import (
    NEXT_PASS_NS,
    NO_REPORTING,
    NOT_FREE,
    Captured,
    Demand,
    GuestConstants,
    GuestState,
    Ownership,
    Placed,
)
from workbench.model.guest.demand import date_reports, group_what_stays, new_demand, read_demand
from workbench.model.guest.events import new_placed
from workbench.model.guest.place import free_blocks, free_pages, place_demand
from workbench.model.guest.reporting import (
    carry_blocks,
    full_reports,
    has_room_to_report,
    low_watermark_pages,
    take_unreported,
)
from workbench.model.guest.series import (
    OK,
    ORDERS,
    THOUSANDTHS,
    FreeShares,
    Instants,
    SeriesColumns,
    SeriesConstants,
    SeriesState,
    hidden_swing_pages,
    new_state,
    reportable_pages,
    run_series,
)

__all__ = [
    "NEXT_PASS_NS",
    "NOT_FREE",
    "NO_REPORTING",
    "OK",
    "ORDERS",
    "THOUSANDTHS",
    "Captured",
    "Demand",
    "FreeShares",
    "GuestConstants",
    "GuestState",
    "Instants",
    "Ownership",
    "Placed",
    "SeriesColumns",
    "SeriesConstants",
    "SeriesState",
    "carry_blocks",
    "date_reports",
    "free_blocks",
    "free_pages",
    "full_reports",
    "group_what_stays",
    "has_room_to_report",
    "hidden_swing_pages",
    "low_watermark_pages",
    "new_demand",
    "new_guest",
    "new_placed",
    "new_state",
    "place_demand",
    "read_demand",
    "reportable_pages",
    "run_series",
    "take_unreported",
]
