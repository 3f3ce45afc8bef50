"""What a study is made of: guests, hosts, what is compared, and the limit to keep.

`workbench.study.file` makes one of a TOML file; everything here has been checked.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workbench import measure
from workbench.card import Shown
from workbench.quantity import time_text
from workbench.replay import Device, Guest, Settings
from workbench.study import rules
from workbench.study.checks import check_host, check_kind, check_study
from workbench.study.summary import digest_of, host_card, kind_card, study_card, variant_card
from workbench.units import format_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.card import Card
    from workbench.trace import GuestSeries, Trace


class Phase(enum.Enum):
    """When guests of one kind do what they do."""

    RECORDED = "recorded"
    """When they were seen to: what was busy at one time is busy at one time."""
    RANDOM = "random"
    """Each does the same again and again, begun at a random moment."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class GuestKind(Shown):
    """Guests that are described together: a ``[[guest]]`` of the study file.

    Attributes
    ----------
    members
        One recording of each guest that was seen; more guests of this kind do as they did.
    weight
        How many guests of this kind there are for each of a kind with weight 1.
    guests_per_phase
        So many guests that follow each other share one random moment.
    shift_ns
        By how much later they do it than they were seen to: a multiple of the study's step.
    clock_offset_ns
        What was added to the times of its recordings, which have it already.
    huge_share
        How much of what is free lies in blocks of 2 MiB or more, where a series does not tell.
    device, guest
        Settings that these guests have whatever is compared.
    """

    name: str
    members: tuple[GuestSeries | Trace, ...]
    weight: int = 1
    phase: Phase = Phase.RANDOM
    guests_per_phase: int = 1
    shift_ns: int = 0
    huge_share: float | None = None
    device: Device = field(default_factory=Device)
    guest: Guest = field(default_factory=Guest)
    clock_offset_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        rules.check(self, rules.GUEST_KIND)
        check_kind(self)

    @property
    def is_recorded(self) -> bool:
        """Whether its guests do what they do when they were seen to."""
        return self.phase is Phase.RECORDED

    def settings_under(self, variant: Variant) -> Settings:
        """Give the settings of these guests under a variant: their own win."""
        given = variant.settings
        device = given.device.model_copy(update=self.device.model_dump(exclude_none=True))
        guest = given.guest.model_copy(update=self.guest.model_dump(exclude_none=True))
        return given.model_copy(update={"device": device, "guest": guest})

    def _card(self) -> Card:
        return kind_card(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HostKind(Shown):
    """A host that could be bought: a ``[[host]]`` of the study file.

    Attributes
    ----------
    memory_bytes
        All of its memory.
    reserved_bytes
        Of it what is not for guests: the host itself, and what QEMU needs besides guest RAM.
    swap, swap_bytes
        As in `Host`: the kind of device, and its room.
    """

    name: str
    memory_bytes: int
    reserved_bytes: int = 0
    swap: str | None = None
    swap_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        rules.check(self, rules.HOST_KIND)
        check_host(self)

    @property
    def for_guests_bytes(self) -> int:
        """What guests can have together."""
        return self.memory_bytes - self.reserved_bytes

    def _card(self) -> Card:
        return host_card(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What has to hold for guests to fit: the ``[limit]`` of the study file.

    Attributes
    ----------
    share_of_time
        In which memory must be enough for all guests together.
    drain_seconds
        Until 90 % of a freed GiB can be used by another guest, at most.
    swap_in_pages_per_second
        Read back from swap, at the 99th percentile of seconds, at most: only traces can tell.
    """

    share_of_time: float = 0.99
    drain_seconds: float | None = None
    swap_in_pages_per_second: float | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        rules.check(self, rules.LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCosts:
    """What it takes of a processor to give a guest memory again: the ``[cost]`` of the study file.

    Sources: luhsra/hyperalloc-bench at a385a2d3, inflate (Xeon Gold 6252, Linux 6.1): a guest's
    allocation that needs a fault and a cleared page, minus one of a page that is there.
    """

    fault_ns: int = 3_157
    """Of 4 KiB: 3.544 us, minus 0.387 us."""
    huge_fault_ns: int = 339_900
    """Of 2 MiB."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        rules.check(self, rules.FAULT_COSTS)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Variant(Shown):
    """One of the things that are compared.

    Attributes
    ----------
    settings
        Of device and guest.  A kind of guests may have its own, which win.
    inhibited_share
        Of all guests: those whose discards something inhibits (VFIO), whatever the settings.
    page_cache_given_back
        Whether guests are taken to free their page cache, which no setting does by itself: it says
        how much of the answer the page cache holds back.
    """

    settings: Settings
    inhibited_share: float = 0.0
    page_cache_given_back: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        rules.check(self, rules.VARIANT)

    @property
    def reports(self) -> bool:
        """Whether guests report that have no setting of their own."""
        return self.settings.device.free_page_reporting is not False

    @property
    def label(self) -> str:
        """Name it the way people say it: ``order 9, delay 2 s``."""
        words = [*_reporting_words(self.settings)] if self.reports else ["without reporting"]
        others = self.settings.model_copy(
            update={
                "device": self.settings.device.model_copy(update={"free_page_reporting": None}),
                "guest": self.settings.guest.model_copy(update=dict.fromkeys(_REPORTING)),
            }
        )
        words += [others.label] if others.changed else []
        if self.inhibited_share:
            words.append(f"{format_number(100 * self.inhibited_share, 12)} % inhibited")
        if self.page_cache_given_back:
            words.append("page cache given back")
        return ", ".join(words)

    def _card(self) -> Card:
        return variant_card(self)


WITHOUT_REPORTING: Final = Variant(settings=measure.WITHOUT_REPORTING)
"""What everything is compared with: the first variant of every study."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Study(Shown):
    """All of it.

    Attributes
    ----------
    variants
        What is compared, `WITHOUT_REPORTING` first.
    seeds
        Of what is random: one draw of guests and moments each.
    step_ns
        From one moment at which memory is added up to the next.
    remarks
        What was found in the recordings: a sentence each.
    path
        The study file; None of a study that was made in Python.
    """

    name: str
    guests: tuple[GuestKind, ...]
    hosts: tuple[HostKind, ...]
    variants: tuple[Variant, ...]
    limit: Limit = Limit()
    costs: FaultCosts = FaultCosts()
    seeds: tuple[int, ...] = (1,)
    step_ns: int
    remarks: tuple[str, ...] = ()
    path: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be answered."""
        rules.check(self, rules.STUDY)
        check_study(self)

    @property
    def digest(self) -> str:
        """Name the content: a hash over all that answers depend on."""
        return digest_of(self)

    def _card(self) -> Card:
        return study_card(self)


_REPORTING: Final = ("reporting_order", "reporting_delay_ns", "reporting_capacity")


def _reporting_words(settings: Settings) -> Iterator[str]:
    guest = settings.guest
    if guest.reporting_order is not None:
        yield f"order {guest.reporting_order}"
    if guest.reporting_delay_ns is not None:
        yield f"delay {time_text(guest.reporting_delay_ns)}"
    if guest.reporting_capacity is not None:
        yield f"capacity {guest.reporting_capacity:,}"
    if all(getattr(guest, name) is None for name in _REPORTING):
        yield "reporting as Linux has it"
