"""What swap costs in time, by the kind of device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.replay.facts import swaps_to_zram

if TYPE_CHECKING:
    from workbench.replay.settings import Settings
    from workbench.trace import Trace


class SwapCosts(NamedTuple):
    """What a swap device takes.

    Attributes
    ----------
    read_latency_ns
        From a fault to its page.
    read_bytes_per_second
        At which further pages of the same read follow.
    """

    read_latency_ns: int
    read_bytes_per_second: int
    write_bytes_per_second: int


DEVICES: Final = {
    "zram": SwapCosts(2_235, 1_832_000_000, 560_000_000),
    "ssd": SwapCosts(85_000, 3_200_000_000, 1_050_000_000),
    "disk": SwapCosts(11_560_000, 64_800_000, 64_800_000),
}
"""By the words of `host.swap`; each is one published device, and no measurement of ours.

* zram: reads as "Zram Performance Analysis" (notes.xeome.dev) has them for lzo-rle and single
  pages, one after the other; writes by one of three threads with LZO, from the commit "zram: add
  lz4 algorithm backend" of Linux 3.15.
* ssd: Intel SSD DC P4500 of 2 TB, random reads, by Lenovo's product guide.
* disk: average seek of a read and half a turn at 7,200 rpm, WD Ultrastar DC HC310 specification;
  rate as sustained in the outer zone, Hitachi Deskstar 7K500 specification.
"""


def swap_costs(trace: Trace, settings: Settings) -> SwapCosts:
    """Give what swap costs: as asked for, or else as the kind of device does.

    A swap device of a capture that is not zram counts as an SSD.
    """
    usual = DEVICES[settings.host.swap or ("zram" if swaps_to_zram(trace) else "ssd")]
    cost = settings.cost
    asked = (
        cost.swap_read_latency_ns,
        cost.swap_read_bytes_per_second,
        cost.swap_write_bytes_per_second,
    )
    return SwapCosts._make(
        of_device if own is None else own for own, of_device in zip(asked, usual, strict=True)
    )
