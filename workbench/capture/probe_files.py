"""The probes: their C files, the functions of QEMU and the trace points that run them."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.capture.attach import Entry
from workbench.capture.records import Source

BALLOON_ENTRIES = (
    Entry(symbol="virtqueue_pop", on_enter="on_pop_enter", on_return="on_pop_return"),
    Entry(
        symbol="ram_block_discard_range",
        on_enter="on_discard_enter",
        on_return="on_discard_return",
    ),
    Entry(symbol="qemu_guest_free_page_hint", on_enter="on_hint"),
    Entry(symbol="virtio_config_writeb", on_enter="on_config_write_byte"),
    Entry(symbol="virtio_config_writew", on_enter="on_config_write_word"),
    Entry(symbol="virtio_config_writel", on_enter="on_config_write_long"),
    Entry(symbol="virtio_config_modern_writeb", on_enter="on_config_write_byte"),
    Entry(symbol="virtio_config_modern_writew", on_enter="on_config_write_word"),
    Entry(symbol="virtio_config_modern_writel", on_enter="on_config_write_long"),
    Entry(
        symbol="virtio_set_features", on_enter="on_features_enter", on_return="on_features_return"
    ),
    Entry(symbol="virtio_set_status", on_enter="on_status"),
    Entry(symbol="virtio_reset", on_enter="on_reset"),
    Entry(symbol="precopy_notify", on_enter="on_precopy"),
    Entry(symbol="memory_global_after_dirty_log_sync", on_enter="on_bitmap_sync"),
    Entry(symbol="ram_block_discard_is_disabled", on_return="on_inhibit_check"),
    Entry(symbol="migration_in_incoming_postcopy", on_return="on_inhibit_check"),
    Entry(symbol="migration_in_bg_snapshot", on_return="on_last_inhibit_check"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFile:
    """One C file, and the trace points it cannot do without.

    Attributes
    ----------
    trace_points
        Each entry lists the names of one trace point, the newest first.
    required
        Whether a capture without it is worth nothing.
    """

    name: str
    sources: tuple[Source, ...]
    trace_points: tuple[tuple[str, ...], ...] = ()
    attach: str = ""
    """C function to attach to the trace point; empty where the C file names it itself."""
    required: bool = True


BALLOON_FILE = ProbeFile(
    name="balloon",
    sources=(
        Source.REPORT_RANGE,
        Source.DISCARD,
        Source.HINT_COMMAND,
        Source.HINT_RANGE,
        Source.CONFIG_WRITE,
        Source.FEATURES,
        Source.STATUS,
        Source.RESET,
        Source.PRECOPY,
        Source.BITMAP_SYNC,
        Source.INFLATE,
        Source.DEFLATE,
        Source.STATISTIC,
        Source.INHIBIT,
    ),
)

PROBE_FILES = (  # In the order in which they are compiled: a discard ends a fault.
    ProbeFile(
        name="memory",
        sources=(
            Source.FAULT,
            Source.SWAP_IN,
            Source.RECLAIM,
        ),
        trace_points=(
            ("exceptions:page_fault_user",),
            ("exceptions:page_fault_kernel",),
            ("kmem:mm_page_alloc",),
            ("kmem:rss_stat",),
            ("vmscan:mm_vmscan_direct_reclaim_begin",),
            ("vmscan:mm_vmscan_direct_reclaim_end",),
            ("vmscan:mm_vmscan_memcg_reclaim_begin",),
            ("vmscan:mm_vmscan_memcg_reclaim_end",),
        ),
    ),
    BALLOON_FILE,
    ProbeFile(
        name="swap",
        sources=(Source.SWAP_OUT,),
        trace_points=(("vmscan:mm_vmscan_write_folio", "vmscan:mm_vmscan_writepage"),),
        attach="on_swap_out",
    ),
    ProbeFile(
        name="collapse",
        sources=(Source.COLLAPSE,),
        trace_points=(("huge_memory:mm_collapse_huge_page",),),
        required=False,
    ),
    ProbeFile(
        name="kvm",
        sources=(Source.GUEST_FAULT,),
        trace_points=(("kvm:kvm_page_fault",),),
        required=False,
    ),
)
