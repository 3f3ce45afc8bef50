"""The answers of a study: how many guests fit, what they need together, what reporting costs."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import InputError, UsageError
from workbench.replay import reporting_of
from workbench.schema import UNKNOWN
from workbench.study.draws import drawn_guests
from workbench.study.fits import fit_of, sums_of
from workbench.study.profiles import member_reportings
from workbench.study.rule import drain_seconds
from workbench.study.timeline import timeline_of
from workbench.units import GIB, HUGE_PAGE_BYTES, HUGE_PAGE_ORDER, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from workbench.study.fits import Sums
    from workbench.study.study import GuestKind, HostKind, Study, Variant
    from workbench.trace import Reporting

_DAY_SECONDS: Final = 86_400

REPORTING_COLUMNS: Final = ("reporting_order", "reporting_delay_ns", "reporting_capacity")

_SAID_ELSEWHERE: Final = frozenset(
    {"device.free_page_reporting", *(f"guest.{name}" for name in REPORTING_COLUMNS)}
)
"""Settings that have columns of other names."""

_MEANS: Final = ("mean_bytes", "p95_bytes", "p99_bytes")

_PEAKS: Final = ("peak_bytes", "peaks_bytes")


def answers(
    study: Study,
    together: pd.DataFrame,
    facts: pd.DataFrame,
    *,
    swap_in_guests: Mapping[tuple[int, int], int] | None = None,
) -> pd.DataFrame:
    """Say for each host and each variant how many guests fit, and what that means.

    Parameters
    ----------
    together
        The columns of `fill_hosts` for every variant and seed, and variant (index into
        `Study.variants`).
    facts
        Of every guest under every variant, and with its discards inhibited where some are: variant,
        kind and member (indexes), inhibited, and the fields of `Facts`.
    swap_in_guests
        By host and variant (indexes), how many guests keep the limit of what is read back from
        swap; needed if the study has one.

    Returns
    -------
    A row for each host and variant:

    * host, variant, label; reporting (whether guests report at all), reporting_order,
      reporting_delay_ns and reporting_capacity (missing where they do not), inhibited_share,
      page_cache_given_back, and a column for each other setting that is compared.
    * guests: so many fit, and each smaller number; guests_least and guests_most by single seeds;
      guests_at_peaks, if all needed most at once; limited_by: memory, swap_in, drain, or
      nothing where `MOST_GUESTS` fit.
    * Of so many together: mean_bytes, p95_bytes and p99_bytes, on the average of the seeds;
      peak_bytes and peaks_bytes (if all needed most at once), the highest of the seeds; over_share,
      the part of the time in which memory is short; excess_bytes_mean, what is beyond the host's
      memory on the average of all moments, and the same `_without_reporting`, of as many guests;
      swap_out_at_least_bytes_per_day, and the same `_at_guests_without_reporting`, of as many as
      fit without: missing where those are not as many as fit.
    * Per guest, on the average of all: refault_bytes_per_guest_day,
      refault_cpu_seconds_per_guest_day, byte_seconds_per_guest_day; on the average of those that
      know theirs, missing if none does: held_back_bytes (no trace does) and cached_bytes.
    * drain_90_seconds and drain_all_seconds, of 1 GiB freed by a guest that has nothing else free
      and takes longest; infinite where no guest gives any back.

    Raises
    ------
    InputError
        The frames are not of this study: something is missing.
    UsageError
        `swap_in_guests` is needed and missing.
    """
    _check_swap(study, swap_in_guests)
    sums = sums_of(study, together)
    known = _known(study, facts)
    rows: list[dict[str, Any]] = []
    for place, host in enumerate(study.hosts):
        of_host = [sums[place, number] for number in range(len(known))]
        limits = [(swap_in_guests or {}).get((place, number)) for number in range(len(known))]
        rows += _of_host(study, host, known, of_host, limits)
    _add_excess_without_reporting(study, facts, rows)
    return _frame(study, rows)


def _check_swap(study: Study, swap_in_guests: Mapping[tuple[int, int], int] | None) -> None:
    """Refuse to leave out a limit."""
    if swap_in_guests is None and study.limit.swap_in_pages_per_second is not None:
        raise UsageError(
            f"{study.name}: the limit has swap_in_pages_per_second and swap_in_guests is None, "
            "expected how many guests keep it; sums of memory do not tell"
        )


def _of_host(
    study: Study,
    host: HostKind,
    known: list[dict[str, Any]],
    sums: list[Sums],
    swap_in_guests: list[int | None],
) -> list[dict[str, Any]]:
    """Make the rows of a host: a list item of each argument for each variant."""
    fits = [
        fit_of(
            of_variant,
            host,
            study.limit,
            drain_seconds=each["drain_90_seconds"],
            swap_in_guests=most,
        )
        for of_variant, each, most in zip(sums, known, swap_in_guests, strict=True)
    ]
    return [
        {
            "host": host.name,
            **each,
            **fit._asdict(),
            **_together(of_variant, fit.guests, fits[0].guests),
        }
        for of_variant, each, fit in zip(sums, known, fits, strict=True)
    ]


def _frame(study: Study, rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    frame = pd.DataFrame(rows)
    for name in REPORTING_COLUMNS:
        frame[name] = frame[name].astype("Int64")
    frame.attrs = {
        "title": study.name,
        "share_of_time": study.limit.share_of_time,
        "hosts": {host.name: host.for_guests_bytes for host in study.hosts},
    }
    return frame


def _together(sums: Sums, guests: int, guests_without: int) -> dict[str, float]:
    """Say what so many guests need together, and what as many as fit without reporting swap."""
    over, moments = sums.over_moments[:, guests - 1], sums.columns["moments"][:, guests - 1]
    is_any = guests > 0
    swap_out = "swap_out_at_least_bytes"
    return {
        **{name: sums.mean(name, guests) for name in _MEANS},
        **{name: float(sums.columns[name][:, guests - 1].max() * is_any) for name in _PEAKS},
        "over_share": float(over.sum() / moments.sum() * is_any),
        "excess_bytes_mean": sums.mean("excess_bytes_mean", guests),
        f"{swap_out}_per_day": sums.mean(swap_out, guests) / sums.days,
        f"{swap_out}_per_day_at_guests_without_reporting": (
            sums.mean(swap_out, guests_without) / sums.days
        ),
    }


def _add_excess_without_reporting(
    study: Study, facts: pd.DataFrame, rows: list[dict[str, Any]]
) -> None:
    """Say what of as many guests would be beyond the host: without reporting their peaks stay."""
    of_first = facts[facts["variant"] == 0].set_index(["kind", "member"])["peak_bytes"]
    peaks = {place: int(size) for place, size in of_first.items()}
    most = max(row["guests"] for row in rows)
    timeline = timeline_of(study)
    needs = []
    for seed in study.seeds:
        guests = islice(drawn_guests(study, timeline, seed), most)
        needs.append(np.cumsum([0, *(peaks[each.kind, each.member] for each in guests)]))
    sizes = {host.name: host.for_guests_bytes for host in study.hosts}
    for row in rows:
        beyond = [max(int(need[row["guests"]]) - sizes[row["host"]], 0) for need in needs]
        row["excess_bytes_mean_without_reporting"] = sum(beyond) / len(beyond)


def _known(study: Study, facts: pd.DataFrame) -> list[dict[str, Any]]:
    """Say of each variant what does not depend on the host."""
    facts_of = dict(iter(facts.groupby("variant")))
    return [
        {**about, **_of_variant(study, number, facts_of.get(number, facts[:0]))}
        for number, about in enumerate(_compared(study))
    ]


def _compared(study: Study) -> Iterator[dict[str, Any]]:
    """Say what each variant is."""
    names = [name for each in study.variants for name in each.settings.changed]
    others = [name for name in dict.fromkeys(names) if name not in _SAID_ELSEWHERE]
    for number, variant in enumerate(study.variants):
        changed = variant.settings.changed
        yield {
            "variant": number,
            "label": variant.label,
            "reporting": variant.reports,
            **_reporting(study, variant),
            "inhibited_share": variant.inhibited_share,
            "page_cache_given_back": variant.page_cache_given_back,
            **{name: changed.get(name) for name in others},
        }


def _reporting(study: Study, variant: Variant) -> dict[str, int | None]:
    """Say how guests report that have no settings of their own."""
    if not variant.reports:
        return dict.fromkeys(REPORTING_COLUMNS)
    members = (each for kind in study.guests for each in member_reportings(kind, variant))
    like = next((each for each in members if each is not None), None)
    asked = reporting_of(variant.settings.guest.model_copy(update={"poison_val": None}), like)
    return dict(zip(REPORTING_COLUMNS, asked, strict=True))


def _of_variant(study: Study, number: int, facts: pd.DataFrame) -> dict[str, float]:
    """Say what comes of a variant on any host: the mean guest, and how long a free takes."""
    kinds = [_of_kind(study, number, place, facts) for place in range(len(study.guests))]
    weights = np.array([kind.weight for kind in study.guests])
    found = {}
    for name in kinds[0]:
        values = np.array([kind[name] for kind in kinds])
        is_known = ~np.isnan(values)
        found[name] = math.nan
        if is_known.any():
            found[name] = float(np.average(values[is_known], weights=weights[is_known]))
    return found | _drains(study, study.variants[number])


def _of_kind(study: Study, number: int, place: int, facts: pd.DataFrame) -> dict[str, float]:
    """Average over the guests of a kind, those with inhibited discards by their part."""
    variant, kind = study.variants[number], study.guests[place]
    of_kind = facts[facts["kind"] == place]
    parts = []
    for is_inhibited, share in (
        (False, 1 - variant.inhibited_share),
        (True, variant.inhibited_share),
    ):
        rows = of_kind[of_kind["inhibited"] == is_inhibited]
        if share and len(rows) != len(kind.members):
            raise InputError(
                f"{study.name}: there are facts of {len(rows)} guests {kind.name} under "
                f"{variant.label}, expected {len(kind.members)}; run the study again"
            )
        if share:
            parts.append((share, _means(study, kind, variant, rows)))
    names = parts[0][1]
    return {name: sum(share * means[name] for share, means in parts) for name in names}


def _means(study: Study, kind: GuestKind, variant: Variant, rows: pd.DataFrame) -> dict[str, float]:
    days = rows["seconds"].to_numpy() / _DAY_SECONDS
    refault_bytes = rows["rises_bytes"].to_numpy() / days
    fault_seconds = np.array(
        [_fault_seconds_per_byte(study, each) for each in member_reportings(kind, variant)]
    )
    known = {name: rows[name].where(rows[name] != UNKNOWN) for name in _KNOWN}
    return {
        **{name: float(values.mean()) for name, values in known.items()},
        "refault_bytes_per_guest_day": float(refault_bytes.mean()),
        "refault_cpu_seconds_per_guest_day": float(
            (refault_bytes * fault_seconds[rows["member"].to_numpy()]).mean()
        ),
        "byte_seconds_per_guest_day": float((rows["byte_seconds"].to_numpy() / days).mean()),
    }


def _fault_seconds_per_byte(study: Study, reporting: Reporting | None) -> float:
    """Say what memory that is given again takes: in faults as large as what was reported."""
    if reporting is not None and reporting.order >= HUGE_PAGE_ORDER:
        return study.costs.huge_fault_ns / HUGE_PAGE_BYTES / NANOSECONDS
    return study.costs.fault_ns / PAGE_BYTES / NANOSECONDS


_KNOWN: Final = ("held_back_bytes", "cached_bytes")


def _drains(study: Study, variant: Variant) -> dict[str, float]:
    """Say how long a freed GiB takes in the guests in which it takes longest."""
    found = [each for kind in study.guests for each in member_reportings(kind, variant)]
    reporting = [each for each in dict.fromkeys(found) if each is not None]
    return {
        name: max(
            (drain_seconds(GIB, each, free_bytes=GIB, share=share) for each in reporting),
            default=math.inf,
        )
        for name, share in (("drain_90_seconds", 0.9), ("drain_all_seconds", 1.0))
    }
