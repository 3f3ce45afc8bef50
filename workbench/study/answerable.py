"""Whether recordings hold what the settings to compare need: asked before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.errors import UsageError
from workbench.replay import (
    LINUX_REPORTING,
    Guest,
    Identifiable,
    Settings,
    UnanswerableError,
    judge,
    reporting_of,
)
from workbench.replay.question import as_captured
from workbench.schema import UNKNOWN
from workbench.spelling import on_one_line
from workbench.study.rules import WrongStudyError
from workbench.trace import GuestSeries, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from workbench.replay import Device
    from workbench.study.study import GuestKind, Study, Variant
    from workbench.study.toml_lines import Place


class UnanswerableStudyError(UnanswerableError):
    """A trace does not hold what something that is compared needs.

    Attributes
    ----------
    who
        The guest, its trace and the setting.
    places
        Where these are in the study file.
    """

    def __init__(
        self,
        who: str,
        identifiable: Identifiable,
        model_error: Mapping[str, Any],
        places: tuple[Place, ...],
    ) -> None:
        self.who = on_one_line(who)
        super().__init__(self.who, identifiable, model_error)
        self.places = places


class _Asked(NamedTuple):
    """What of a variant decides whether a series tells enough: there may be very many variants."""

    reporting_order: int | None
    reporting_delay_ns: int | None
    poison_val: int | None
    discard_inhibited: bool | None

    @classmethod
    def of(cls, settings: Settings) -> _Asked:
        """Take it from settings."""
        guest, device = settings.guest, settings.device
        return cls(
            guest.reporting_order,
            guest.reporting_delay_ns,
            guest.poison_val,
            device.discard_inhibited,
        )


def check_series(study: Study) -> None:
    """Refuse what samples cannot tell.

    Raises
    ------
    WrongStudyError
        A reporting order above 0 is compared, and it is not known what is free in huge pages; or
        a delay that is too short.
    """
    asked = dict.fromkeys(_Asked.of(each.settings) for each in study.variants if each.reports)
    for index, kind in enumerate(study.guests):
        series = [member for member in kind.members if isinstance(member, GuestSeries)]
        unknown = [] if kind.huge_share is not None else [*filter(_tells_no_huge_pages, series)]
        for guest in _guests_that_report(kind, asked) if series else ():
            for each in unknown:
                _check_order(kind, index, each, guest)
            try:
                reporting_of(guest)
            except UsageError as error:
                raise WrongStudyError(
                    f"guest {kind.name!r}: {error}, take a longer delay",
                    *_where(kind, index, "guest.reporting_delay_ns"),
                ) from None


def _tells_no_huge_pages(series: GuestSeries) -> bool:
    return bool(series.columns["free_huge_pages"][0] == UNKNOWN)


def _guests_that_report(kind: GuestKind, asked: Iterable[_Asked]) -> Iterator[Guest]:
    """Give the order and the delay of guests of this kind, where they report."""
    device, guest = kind.device, kind.guest
    if device.free_page_reporting is False or device.discard_inhibited:
        return
    own = {name: value for name, value in guest.model_dump().items() if value is not None}
    found: set[_Asked] = set()
    for each in asked:
        merged = each._replace(**{name: own[name] for name in own if name in _Asked._fields})
        is_inhibited = each.discard_inhibited and device.discard_inhibited is None
        if is_inhibited or merged.poison_val:
            continue
        merged = merged._replace(poison_val=None, discard_inhibited=None)
        if merged not in found:
            found.add(merged)
            yield Guest(
                reporting_order=merged.reporting_order, reporting_delay_ns=merged.reporting_delay_ns
            )


def _check_order(kind: GuestKind, index: int, series: GuestSeries, guest: Guest) -> None:
    known = series.reporting or LINUX_REPORTING
    order = known.order if guest.reporting_order is None else guest.reporting_order
    if order > 0:
        raise WrongStudyError(
            f"guest {kind.name!r}: {series.name} does not tell how much is free in huge pages, "
            f"expected that for reporting order {order}; sample it with node exporter's buddyinfo "
            "collector (--collector.buddyinfo), or set huge_share",
            ("guest", index, "series"),
            *_where(kind, index, "guest.reporting_order"),
        )


def check_traces(study: Study) -> None:
    """Refuse what traces cannot answer.

    Raises
    ------
    UnanswerableError
        The first such question.
    """
    asked = {
        (each.settings, each.reports, is_inhibited): each
        for each in study.variants
        for is_inhibited in {False, each.inhibited_share > 0}
    }
    for index, kind in enumerate(study.guests):
        for trace in kind.members:
            if isinstance(trace, Trace):
                for (_, _, is_inhibited), variant in asked.items():
                    _check_trace(
                        kind, index, trace, _question(kind, variant, inhibited=is_inhibited)
                    )


def _question(kind: GuestKind, variant: Variant, *, inhibited: bool) -> Settings:
    """Give the settings of guests of this kind; of those that report, as asked for by name.

    A trace that was captured with reporting off would else answer as captured.
    """
    settings = kind.settings_under(variant)
    device: dict[str, bool] = {}
    if settings.device.free_page_reporting is None:
        device["free_page_reporting"] = True
    if inhibited:
        device["discard_inhibited"] = True
    return settings.model_copy(update={"device": settings.device.model_copy(update=device)})


def _check_trace(kind: GuestKind, index: int, trace: Trace, settings: Settings) -> None:
    known = as_captured(trace)
    found = judge(known.facts, settings)
    if found.answerable:
        return
    name, single = _culprit(trace, settings)
    raise UnanswerableStudyError(
        f"guest {kind.name!r}, trace {trace.name}, {single.label}",
        found,
        known.model_error,
        (("guest", index, "trace"), *_where(kind, index, name)),
    )


class _Culprit(NamedTuple):
    """A setting that a trace cannot answer for, and alone."""

    name: str
    settings: Settings


def _culprit(trace: Trace, settings: Settings) -> _Culprit:
    """Find the setting that is too much; all of them where none is by itself."""
    facts = as_captured(trace).facts
    for name in settings.changed:
        table, _, key = name.partition(".")
        choices: Device | Guest = getattr(settings, table)
        alone = type(choices)(**{key: getattr(choices, key)})
        single = Settings().model_copy(update={table: alone})
        if not judge(facts, single).answerable:
            return _Culprit(name, single)
    return _Culprit("", settings)


def _where(kind: GuestKind, index: int, name: str) -> tuple[Place, ...]:
    """Say where a setting comes from: the guest's own table, or what is compared."""
    table, _, key = name.partition(".")
    if table and getattr(getattr(kind, table), key) is not None:
        return (("guest", index, table, key),)
    return (("compare", table, key),)
