"""The guest: how much of its free memory Linux has reported, and when."""

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
    "OK",
    "ORDERS",
    "THOUSANDTHS",
    "FreeShares",
    "Instants",
    "SeriesColumns",
    "SeriesConstants",
    "SeriesState",
    "carry_blocks",
    "full_reports",
    "has_room_to_report",
    "hidden_swing_pages",
    "low_watermark_pages",
    "new_state",
    "reportable_pages",
    "run_series",
    "take_unreported",
]
