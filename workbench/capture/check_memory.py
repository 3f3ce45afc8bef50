"""How this host treats memory: rows of `workbench doctor`."""

from __future__ import annotations

from workbench.capture import host
from workbench.capture.check import Check, Status, judge, yes
from workbench.units import format_bytes


def check_memory() -> list[Check]:
    """Look at swap, limits, huge pages, and what reclaims."""
    return [_swap(), _cgroup(), _huge_pages(), _khugepaged(), _multi_generation()]


def _swap() -> Check:
    devices = host.swap_devices()
    zram = host.has_zram()
    listed = ", ".join(f"{swap.name} {format_bytes(swap.size_bytes)}" for swap in devices)
    return Check(
        name="swap",
        status=judge(devices or zram, Status.WARN),
        found=f"{listed or 'none active'}; zram: {yes(zram)}",
        fix="modprobe zram (the lab puts its swap there; without swap there is no I/O to avoid)",
    )


def _cgroup() -> Check:
    found = host.memory_cgroup()
    return Check(
        name="memory cgroup",
        status=judge(found, Status.WARN),
        found=f"{found[0]} on {found[1]}" if found else "not mounted",
        fix="mount a cgroup hierarchy with the memory controller (the lab limits guests with it)",
    )


def _huge_pages() -> Check:
    mode = host.transparent_huge_pages()
    return Check(
        name="huge pages",
        status=judge(mode in {"always", "madvise"}, Status.WARN),
        found=f"transparent huge pages: {mode}",
        fix="echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (QEMU asks for them)",
    )


def _khugepaged() -> Check:
    active = host.khugepaged_defrag()
    return Check(
        name="khugepaged",
        status=judge(not active, Status.WARN),
        found="collapses pages in the background" if active else "does not collapse pages",
        fix="echo 0 > /sys/kernel/mm/transparent_hugepage/khugepaged/defrag while capturing, for "
        "replays that are exact to the page (the lab does, and restores it)",
    )


def _multi_generation() -> Check:
    bits = host.lru_gen()
    meaning = "in use" if bits and int(bits, 16) & 1 else "not in use: two lists"
    return Check(
        name="multi-gen LRU",
        status=Status.OK,
        found="not in this kernel: two lists" if bits is None else f"enabled={bits}, {meaning}",
        fix="echo y > /sys/kernel/mm/lru_gen/enabled (or n); a replay models two lists",
    )
