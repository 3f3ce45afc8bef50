"""The answer in sentences: what came back, what it spared or cost, and compared with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.measure import savings
from workbench.plot.chart import round_bytes
from workbench.report.text import name_text
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.report.findings import Findings, Found

SWAP: Final = ("swap_out_pages", "swap_in_pages")
"""What counts as swap I/O: pages out of memory, and pages back."""

_SMALL: Final = 0.005
"""Of what something is compared with: less is called no difference."""


def headline(findings: Findings) -> str:
    """Say in one sentence what the trace says of the question, and how sure that is."""
    captured, baseline, asked = findings.captured, findings.baseline, findings.asked
    if captured.run is None:
        return f"This trace cannot tell: {'; '.join(captured.answer.reasons)}."
    if captured.number("resident_bytes_mean") is None:
        said = _unseen_memory_sentence(findings)
    elif asked is not None and not asked.answer.reasons:
        said = _asked_sentence(findings, asked)
    elif findings.pair is not None:
        said = _pair_sentence(*findings.pair)
    elif baseline.answer.reasons:
        said = _alone_sentence(findings)
    else:
        said = _baseline_sentence(findings)
    return f"{said}; {sureness(captured.run.model_error)}."


def sureness(error: Mapping[str, Any]) -> str:
    """Say how far the replay as captured is from what the host measured."""
    resident = error.get("resident_bytes")
    if resident is None:
        return f"how right the model is, is not known: {error.get('reason') or 'not measured'}"
    return (
        f"replayed as captured, the model is on average {percent(resident['mean'])} of the "
        "measured peak away from what the host measured"
    )


def swap_error_pages(error: Mapping[str, Any]) -> int:
    """Give how far the model of the host is from the captured host, in pages of swap I/O."""
    host = error.get("host") or {}
    return sum(abs(counts["model"] - counts["captured"]) for counts in host.values())


def span_text(findings: Findings) -> str:
    """Give the span of the capture, for example ``49.5 s``."""
    return f"{findings.trace.manifest.duration_ns / NANOSECONDS:,.1f} s"


def ram_bytes(findings: Findings) -> int:
    """Give the RAM of all guests of the trace together."""
    machines = findings.trace.manifest.virtual_machines
    return sum(machine.memory_bytes for machine in machines)


def percent(share: float) -> str:
    """Write a share with as many digits as it takes to tell it from none."""
    value = 100 * share
    if value == 0 or value >= 10:  # noqa: PLR2004 - two digits are enough from there on.
        return f"{value:,.0f} %"
    if value < 0.01:  # noqa: PLR2004 - what two decimals show.
        return "less than 0.01 %"
    return f"{value:.1f} %" if value >= 1 else f"{value:.2f} %"


def _baseline_sentence(findings: Findings) -> str:
    captured, baseline = findings.captured, findings.baseline
    mean, without = (each.count("resident_bytes_mean") for each in (captured, baseline))
    swap = _swap_clause(findings, captured, baseline, "without it")
    return (
        f"{_kept(mean, without, f'over {span_text(findings)}')} in a replay of the same trace "
        f"without it{swap}"
    )


def _pair_sentence(on: Any, off: Any) -> str:  # noqa: ANN401
    saved = savings(on, off)
    mean_on = saved.resident_bytes_off - saved.resident_bytes
    kept = _kept(mean_on, saved.resident_bytes_off, "")
    pages_on = saved.swap_pages_off - saved.swap_pages
    swap = _pages_change(pages_on, saved.swap_pages_off, "without it", " of the whole host")
    scenario = name_text(on.manifest.scenario)
    return f"In two live runs of {scenario} {kept[0].lower()}{kept[1:]} without it{swap}"


def _kept(mean: float, without: float, over: str) -> str:
    """Say what reporting kept out of memory; the sentence goes on with what it was without."""
    saved = without - mean
    if not without or abs(saved) < _SMALL * without:
        return (
            f"Free page reporting made no difference to guest RAM in host memory on average {over}"
            f": {round_bytes(mean)}, as"
        ).replace(" :", ":")
    share = percent(abs(saved) / without)
    verb = "kept" if saved > 0 else "put"
    way = "out of" if saved > 0 else "into"
    return (
        f"Free page reporting {verb} {round_bytes(abs(saved))} ({share}) of guest RAM {way} host "
        f"memory on average {over}: {round_bytes(mean)} instead of {round_bytes(without)}"
    ).replace(" :", ":")


def _asked_sentence(findings: Findings, asked: Found) -> str:
    captured = findings.captured
    mean, before = (each.count("resident_bytes_mean") for each in (asked, captured))
    if not before or abs(mean - before) < _SMALL * before:
        change = f"{round_bytes(mean)} of host memory, as much as it did as captured,"
    else:
        way = "less" if mean < before else "more"
        change = (
            f"{round_bytes(mean)} of host memory instead of {round_bytes(before)} as captured "
            f"({percent(abs(mean - before) / before)} {way})"
        )
    swap = _swap_clause(findings, asked, captured, "as captured")
    return (
        f"With {asked.label}, guest RAM takes {change} on average over {span_text(findings)}{swap}"
    )


def _alone_sentence(findings: Findings) -> str:
    captured = findings.captured
    mean = round_bytes(captured.count("resident_bytes_mean"))
    final = round_bytes(captured.count("resident_bytes_final"))
    held = (
        f"guest RAM in host memory averaged {mean} over {span_text(findings)} and ended at {final} "
        f"of {round_bytes(ram_bytes(findings))}"
    )
    way = "without" if _is_without(findings) else "with"
    return (
        f"{_came_back(findings)}; {held}; what it would have been {way} reporting, this trace "
        "cannot tell"
    )


def _is_without(findings: Findings) -> bool:
    return findings.baseline.answer.settings.device.free_page_reporting is False


def _came_back(findings: Findings) -> str:
    """Say what reports gave back, or why nothing came back."""
    captured = findings.captured
    reported, discards = captured.count("ranges"), captured.count("discards")
    if not reported:
        why = "" if _is_without(findings) else ", as free page reporting was off"
        return f"Guests reported no free pages{why}"
    if not discards:
        skipped = {
            name.removeprefix("skipped_").replace("_", " "): captured.count(name)
            for name in captured.entries
            if name.startswith("skipped_")
        }
        reason = max(skipped, key=lambda name: skipped[name])
        return (
            f"Nothing came back: of {reported:,.0f} reported ranges QEMU discarded none ({reason})"
        )
    back = round_bytes(captured.count("reclaimed_bytes"))
    kept = "" if discards == reported else f" of {reported:,.0f} reported ranges"
    return f"Reports gave {back} back to the host, in {discards:,.0f} discards{kept}"


def _unseen_memory_sentence(findings: Findings) -> str:
    captured = findings.captured
    asked = round_bytes(captured.count("reported_bytes"))
    return (
        f"Guests reported {asked} of free pages over {span_text(findings)} and QEMU discarded "
        f"{round_bytes(captured.count('discarded_bytes'))}; how much of that was in memory is not "
        "known, because what guests touched was not captured"
    )


def _swap_clause(findings: Findings, found: Found, other: Found, than: str) -> str:
    """Say how swap I/O differs, unless the model of the host is less sure than that."""
    pages, before = found.count(*SWAP), other.count(*SWAP)
    error_pages = max(swap_error_pages(run.model_error) for run in findings.runs)
    if error_pages and abs(pages - before) <= error_pages:
        return (
            ", and what that does to swap I/O is less than the model of the host is wrong about it"
        )
    return _pages_change(pages, before, than, "")


def _pages_change(pages: float, before: float, than: str, whose: str) -> str:
    if not pages and not before:
        return ", and nothing was swapped either way"
    if pages == before:
        return f", and as many pages of swap I/O{whose} as {than} ({pages:,.0f})"
    if not before:
        return f", and cost {pages:,.0f} pages of swap I/O{whose}, where there was none {than}"
    share = percent(abs(before - pages) / before)
    if pages < before:
        return (
            f", and avoided {before - pages:,.0f} of {before:,.0f} pages of swap I/O{whose} "
            f"({share})"
        )
    return (
        f", and cost {pages - before:,.0f} pages of swap I/O{whose} more than the {before:,.0f} "
        f"{than} ({share})"
    )
