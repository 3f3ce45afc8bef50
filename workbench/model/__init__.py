"""The models of the device and of the host: arrays and numbers in, a ledger out.

Takes columns and constants, gives ledger columns.  Kernels do not protect anybody from wrong
dimensions or units: `workbench.replay` is the door that does.
"""

from workbench.model.columns import (
    AS_CAPTURED,
    BLOCK_COLUMNS,
    BLOCK_PAGE_BYTES,
    FIRST_PAGE,
    IS_SHARED,
    PAGE_COUNT,
    TAKES_HUGE_PAGES,
    USED_BYTES,
    Constants,
    DeviceState,
    Events,
    HostState,
    Ledger,
)
from workbench.model.compiled import model_digest
from workbench.model.device import new_device
from workbench.model.host import (
    HELD_PAGES,
    HUGE_PAGE,
    MAPPING,
    OCCUPIED_PAGES,
    PAGE_TABLE,
    PAGES_LEFT,
    RESIDENT_PAGES,
    SWAPPED_PAGES,
    new_host,
    page_states,
    set_pages,
    settle_mappings,
)
from workbench.model.negotiation import PAGE_POISON_VAL, GuestPoison, Negotiated, negotiate
from workbench.model.outcomes import Outcome, Surprise
from workbench.model.page_bits import IS_HUGE, WAS_DISCARDED
from workbench.model.run import OK, new_ledger, run_events

__all__ = [
    "AS_CAPTURED",
    "BLOCK_COLUMNS",
    "BLOCK_PAGE_BYTES",
    "FIRST_PAGE",
    "HELD_PAGES",
    "HUGE_PAGE",
    "IS_HUGE",
    "IS_SHARED",
    "MAPPING",
    "OCCUPIED_PAGES",
    "OK",
    "PAGES_LEFT",
    "PAGE_COUNT",
    "PAGE_POISON_VAL",
    "PAGE_TABLE",
    "RESIDENT_PAGES",
    "SWAPPED_PAGES",
    "TAKES_HUGE_PAGES",
    "USED_BYTES",
    "WAS_DISCARDED",
    "Constants",
    "DeviceState",
    "Events",
    "GuestPoison",
    "HostState",
    "Ledger",
    "Negotiated",
    "Outcome",
    "Surprise",
    "model_digest",
    "negotiate",
    "new_device",
    "new_host",
    "new_ledger",
    "page_states",
    "run_events",
    "set_pages",
    "settle_mappings",
]
