"""The names that exporters for Prometheus give to what a series is made of.

Sources: node_exporter since 0.16, which put the unit into names (collector/meminfo.go,
buddyinfo.go, stat_linux.go); Tinkoff/libvirt-exporter, README.md (memory_stats, actual_balloon,
disk_cache); zhangjianweibj/prometheus-libvirt-exporter before its rewrite (stat_memory, with the
balloon's size in domain_info only); later exporters say current_balloon and disk_caches.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from workbench.trace.monitoring.tracks import Quantity

Guest: TypeAlias = tuple[tuple[str, str], ...]
"""The labels that say whose a metric is, and their texts."""


class Meaning(NamedTuple):
    """What a metric is of; the lowest rank is taken where several tell all memory."""

    quantity: Quantity
    rank: int = 0


_NODE: Final = {
    "node_memory_MemFree_bytes": Meaning(Quantity.FREE),
    "node_memory_MemTotal_bytes": Meaning(Quantity.TOTAL),
    "node_memory_Cached_bytes": Meaning(Quantity.CACHED),
    "node_memory_Buffers_bytes": Meaning(Quantity.CACHED_TOO),
    "node_memory_SReclaimable_bytes": Meaning(Quantity.CACHED_TOO),
    "node_buddyinfo_blocks": Meaning(Quantity.HUGE),
    "node_boot_time_seconds": Meaning(Quantity.BOOT_TIME),
}

_LIBVIRT: Final = {
    "libvirt_domain_memory_stats_unused_bytes": Meaning(Quantity.FREE),
    "libvirt_domain_memory_stats_actual_balloon_bytes": Meaning(Quantity.TOTAL),
    "libvirt_domain_memory_stats_current_balloon_bytes": Meaning(Quantity.TOTAL),
    "libvirt_domain_info_memory_usage_bytes": Meaning(Quantity.TOTAL, rank=1),
    "libvirt_domain_memory_stats_available_bytes": Meaning(Quantity.TOTAL, rank=2),
    "libvirt_domain_memory_stats_disk_cache_bytes": Meaning(Quantity.CACHED),
    "libvirt_domain_memory_stats_disk_caches_bytes": Meaning(Quantity.CACHED),
    "libvirt_domain_memory_stats_rss_bytes": Meaning(Quantity.RESIDENT),
    "libvirt_domain_stat_memory_unused_bytes": Meaning(Quantity.FREE),
    "libvirt_domain_stat_memory_available_bytes": Meaning(Quantity.TOTAL, rank=2),
    "libvirt_domain_stat_memory_rss_bytes": Meaning(Quantity.RESIDENT),
}

MEANINGS: Final[dict[str, Meaning]] = {**_NODE, **_LIBVIRT}
"""By the name of the metric."""

NEEDED: Final = (
    "node_memory_MemTotal_bytes and node_memory_MemFree_bytes, or "
    "libvirt_domain_memory_stats_actual_balloon_bytes and "
    "libvirt_domain_memory_stats_unused_bytes"
)
"""Without these there is no series."""

_OF_ONE_METRIC: Final = frozenset({"__name__", "node", "zone", "size"})
"""Labels that tell apart what belongs to one guest; the others tell guests apart."""


def identity(labels: dict[str, str]) -> Guest:
    """Give the labels that say whose metric it is, in a fixed order."""
    # An exporter of libvirt's is on the host, and names its guests.
    is_libvirt = labels.get("__name__", "").startswith("libvirt_")
    named = ("domain", "instance") if is_libvirt else ("instance",)
    return tuple((name, labels[name]) for name in named if name in labels)


def others(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Give the labels besides, which are the same throughout one metric of a guest."""
    kept = dict(identity(labels))
    return tuple(
        (name, text)
        for name, text in sorted(labels.items())
        if name not in kept and name not in _OF_ONE_METRIC
    )


def spelled(labels: dict[str, str]) -> str:
    """Write a series the way Prometheus does."""
    inside = ",".join(
        f'{name}="{text}"' for name, text in sorted(labels.items()) if name != "__name__"
    )
    return f"{labels.get('__name__', '')}{{{inside}}}" if inside else labels.get("__name__", "")
