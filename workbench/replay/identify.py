"""What a trace can answer: for each setting, whether the capture holds what the answer needs.

Addresses do not survive a change of settings that changes what the guest does (which blocks it
reports, when, in which sizes).  They do survive one that changes only what the device does with
reports that still arrive, because the guest cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from workbench.card import Card, Shown
from workbench.errors import UnidentifiableError
from workbench.model import GuestPoison, negotiate
from workbench.replay.facts import NO_FAULTS
from workbench.replay.reporting import clears_anew, guest_poison, reporting_under
from workbench.replay.settings import Settings
from workbench.replay.summary import identifiable_card
from workbench.units import PAGE_BYTES, format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workbench.replay.facts import MachineFacts, TraceFacts

_POISONING: Final = GuestPoison(init_on_free=False, page_poisoning=True)


PLACED: Final = (
    "a guest that reports otherwise uses other addresses: a model of Linux's allocator placed what "
    "it takes and gives back (docs/models.md says how right that is)"
)


CANNOT_BE_PLACED: Final = "cannot be placed anew: "
"""In a reason, before what stands in the way."""


CLEARED: Final = (
    "a guest with init_on_free clears all of its memory at boot: here as steadily as the boot of "
    "the capture touched its part, and within the same time"
)


HINTS_LEFT_OUT: Final = (
    "without hints the guest keeps its free pages: the writes by which it took them are left out; "
    "what it used of them afterwards, before it reported them, has no event and is missing"
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Identifiable(Shown):
    """Whether a trace can answer a question, and why not."""

    answerable: bool
    reasons: tuple[str, ...] = ()
    """Why not; none where it can."""
    notes: tuple[str, ...] = ()
    """What the answer leaves open."""

    def noting(self, notes: Sequence[str]) -> Identifiable:
        """Give the same, with `notes` on more that the answer leaves open."""
        return replace(self, notes=(*self.notes, *notes))

    def _card(self) -> Card:
        return identifiable_card(self)

    def to_dict(self) -> dict[str, object]:
        """Give the judgement as JSON takes it."""
        return {
            "answerable": self.answerable,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
        }


class UnanswerableError(UnidentifiableError):
    """The trace cannot answer; `identifiable` has the reasons.

    `model_error` is that of the replay as captured, which does not depend on the question.
    """

    def __init__(
        self, trace_name: str, identifiable: Identifiable, model_error: Mapping[str, Any]
    ) -> None:
        super().__init__(f"{trace_name}: {'; '.join(identifiable.reasons)}")
        self.identifiable = identifiable
        self.model_error = model_error


def judge(facts: TraceFacts, settings: Settings) -> Identifiable:
    """Judge whether a trace with these facts can answer for these settings."""
    reasons: list[str] = []
    notes = list(facts.notes)
    if facts.lowered_after_ns is not None:
        reasons.append(_lowered(facts.lowered_after_ns))
    for machine in facts.machines:
        where = f"{machine.name}: " if len(facts.machines) > 1 else ""
        found = [rule(machine, settings) for rule in _RULES]
        reasons += [where + reason for reason in found if reason]
    if any(is_placed(machine, settings) for machine in facts.machines):
        notes.append(PLACED)
    if any(clears_anew(machine, settings) for machine in facts.machines):
        notes.append(CLEARED)
    if settings.device.free_page_hint is False and any(m.hinted for m in facts.machines):
        notes.append(HINTS_LEFT_OUT)
    if settings.guest.poison_val:
        notes.append(
            "a guest that poisons also writes every page it frees, at boot all of them; the answer "
            "is about what the device does with this poison_val, not about those writes"
        )
    return Identifiable(
        answerable=not reasons,
        reasons=tuple(dict.fromkeys(reasons)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _lowered(after_ns: int) -> str:
    if after_ns == 0:
        return (
            "the capture had lowered its detail to stay within its budget: not every event is here"
        )
    return (
        f"{format_ns(after_ns)} after its start the capture lowered its detail to stay within its "
        f"budget: `workbench slice --to {after_ns // 1_000_000}ms` keeps what came before"
    )


def is_placed(machine: MachineFacts, settings: Settings) -> bool:
    """Tell whether the guest would notice the settings, and use other addresses."""
    before, after = (reporting_under(machine, each) for each in (Settings(), settings))
    return before != after or clears_anew(machine, settings)


def _judge_reporting(machine: MachineFacts, settings: Settings) -> str | None:
    wanted = settings.device.free_page_reporting
    captured = machine.offers_reporting
    if wanted is None or wanted == captured:
        return None
    if captured is None:
        return "the trace does not say whether free_page_reporting was on"
    if wanted:
        return (
            "captured with free_page_reporting off: what the guest would have reported, and when, "
            "is not in the trace; capture it with reporting on"
        )
    if not machine.reports:
        return None
    return _judge_placing(machine, settings, "captured with free_page_reporting on: without it")


def _judge_page_poison(machine: MachineFacts, settings: Settings) -> str | None:
    wanted = settings.device.page_poison
    captured = machine.offers_page_poison
    if wanted is None or wanted == captured:
        return None
    then = negotiate(
        guest_poison(machine, settings),
        offers_page_poison=wanted,
        offers_reporting=machine.reports or machine.offers_reporting is not False,
    )
    if then.reporting == machine.reports:
        return None
    if machine.reports:
        return _judge_placing(
            machine, settings, f"the guest fills the pages it frees, and {then.reason}:"
        )
    if captured is None:
        return "the trace does not say whether page_poison was on"
    return (
        "captured with page_poison off, and the driver did not keep REPORTING: with it on the "
        "guest may report, and what it would report is not in the trace"
    )


def _judge_hint(machine: MachineFacts, settings: Settings) -> str | None:
    wanted = settings.device.free_page_hint
    if wanted is None:
        return None
    if wanted:
        if machine.offers_hint or machine.hinted:
            return None
        return (
            "captured without free_page_hint: what the guest would have hinted is not in the "
            "trace; capture it with hinting"
        )
    if machine.hinted and machine.swaps:
        return (
            "captured with free_page_hint on, and pages were swapped: without the pages that the "
            "guest took to hint them the host would have chosen others"
        )
    return None


def _judge_inhibited(machine: MachineFacts, settings: Settings) -> str | None:
    wanted = settings.device.discard_inhibited
    if wanted is None:
        return None
    if wanted:
        return _judge_fewer_discards(machine, settings, machine.discarded + machine.inflated)
    if machine.inhibitions == 0:
        return None
    return (
        "discards were inhibited for a while: the faults that bring pages back after those "
        "discards were never captured"
    )


def _judge_poison_val(machine: MachineFacts, settings: Settings) -> str | None:
    wanted = settings.guest.poison_val
    if wanted is None:
        return None
    if wanted == 0:
        if machine.poisoned == 0:
            return None
        return (
            f"captured with a poison_val that kept QEMU from discarding {machine.poisoned} ranges: "
            "with poison_val 0 they go, and the refaults that follow were never captured"
        )
    if machine.discarded == 0:
        return None
    offered = settings.device.page_poison
    if offered is None:
        offered = machine.offers_page_poison
    then = negotiate(_POISONING, offers_page_poison=offered is not False, offers_reporting=True)
    if then.poison_val is None:
        return (
            f"in a guest that poisons, {then.reason}, and QEMU keeps poison_val 0; ask with "
            "device.page_poison=on"
        )
    return _judge_fewer_discards(machine, settings, machine.discarded)


def _judge_init_on_free(machine: MachineFacts, settings: Settings) -> str | None:
    wanted = settings.guest.init_on_free
    captured = machine.init_on_free
    if wanted is None or wanted == captured:
        return None
    if captured is None:
        return "the trace does not say whether the guest had init_on_free"
    if captured:
        return (
            "captured with init_on_free on, which touches all memory at boot: what the guest "
            "would have touched without it is not in the trace; capture it without"
        )
    if machine.negotiated_page_poison:
        return (
            "the driver kept PAGE_POISON without init_on_free: the guest fills its free pages "
            "with a pattern, which goes before clearing them"
        )
    if not machine.began_at_boot:
        return (
            "captured in mid-life: which pages were reported since the boot that would have "
            "touched all of them is not in the trace; capture from the boot on"
        )
    return _judge_placing(machine, settings, "captured with init_on_free off: with it on")


_UNKNOWN_LIMIT: Final = (
    "pages were swapped, and how much memory there was does not show: set host.memory_bytes"
)


def _knows_limit(machine: MachineFacts, settings: Settings) -> bool:
    """Tell whether it is known with how much memory the host must do, if that matters."""
    knows = machine.shows_limit or settings.host.memory_bytes is not None
    return knows or not machine.swaps


def _judge_fewer_discards(machine: MachineFacts, settings: Settings, discards: int) -> str | None:
    """Fewer discards leave less room: where pages were swapped the host would choose others."""
    return None if discards == 0 or _knows_limit(machine, settings) else _UNKNOWN_LIMIT


def _judge_host(machine: MachineFacts, settings: Settings) -> str | None:
    """The model of the host swaps private pages of 4 KiB, and needs to know its memory."""
    if settings.runs_as_captured:
        return None
    if not settings.host.is_chosen and not machine.swaps:
        return None
    if not machine.saw_faults:
        return NO_FAULTS
    if machine.page_bytes > PAGE_BYTES or machine.shares_memory:
        return "guest RAM is of huge pages or shared: the model of the host does not swap such"
    if not machine.is_whole:
        return (
            "the guest came after the start of the capture or ended before its end: the model of "
            "the host knows only guests that stay; capture without --all, or for a shorter time"
        )
    is_unknown = not machine.shows_limit and settings.host.memory_bytes is None
    if settings.host.is_chosen and is_unknown:
        return (
            "nothing went to swap, so how much memory there was is unknown: set host.memory_bytes"
        )
    return None


def _judge_placing(machine: MachineFacts, settings: Settings, change: str) -> str | None:
    """Say why the guest's demand cannot be read from its capture and placed anew after a change.

    It is read from reports, and from the faults of what is taken after QEMU has discarded it.
    """
    obstacles = {
        "no report is in the trace": machine.ranges == 0,
        "no fault is in the trace": not machine.saw_faults,
        _UNKNOWN_LIMIT: not _knows_limit(machine, settings),
        "discards were inhibited for a while": machine.inhibitions > 0,
        f"QEMU did not discard {machine.poisoned} poisoned ranges": machine.poisoned > 0,
        "pages were in the balloon": machine.inflated > 0,
        "the guest held pages that it hinted": machine.hinted > 0,
        "its memory is of huge pages": machine.page_bytes > PAGE_BYTES,
        f"its memory is in {machine.ram_blocks} RAM blocks": machine.ram_blocks != 1,
    }
    found = [obstacle for obstacle, holds in obstacles.items() if holds]
    if not found:
        return None
    return (
        f"{change} the guest would use other addresses, and what it takes and gives back "
        f"{CANNOT_BE_PLACED}{'; '.join(found)}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """A number of the guest's reporting, and the words for its two directions."""

    name: str
    beyond: str
    """The direction in which the guest would report what it did not report in the capture."""
    within: str
    larger_is_beyond: bool


_SCALES: Final = (
    _Scale(name="reporting_order", beyond="finer", within="coarser", larger_is_beyond=False),
    _Scale(name="reporting_delay_ns", beyond="shorter", within="longer", larger_is_beyond=False),
    _Scale(name="reporting_capacity", beyond="larger", within="smaller", larger_is_beyond=True),
)


def _scale_rule(scale: _Scale) -> Callable[[MachineFacts, Settings], str | None]:
    def judge_scale(machine: MachineFacts, settings: Settings) -> str | None:
        wanted: int | None = getattr(settings.guest, scale.name)
        captured: int | None = getattr(machine, scale.name)
        if wanted is None or wanted == captured or not machine.reports:
            return None
        if captured is None:
            return f"the trace does not say which {scale.name} the guest had"
        if (wanted > captured) != scale.larger_is_beyond:
            change = f"captured with {scale.name} {captured}: with a {scale.within} one"
            return _judge_placing(machine, settings, change)
        return (
            f"captured with {scale.name} {captured}: what a {scale.beyond} one would report is not "
            "in the trace; capture with it"
        )

    return judge_scale


_RULES: Final[Sequence[Callable[[MachineFacts, Settings], str | None]]] = (
    _judge_reporting,
    _judge_page_poison,
    _judge_hint,
    _judge_inhibited,
    _judge_poison_val,
    _judge_init_on_free,
    _judge_host,
    *(_scale_rule(scale) for scale in _SCALES),
)
