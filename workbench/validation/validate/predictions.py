"""Predict the settings that were run live from captures of another, and compare."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workbench.errors import UnidentifiableError, UsageError
from workbench.replay import Host, replay
from workbench.spelling import suggestion
from workbench.validation.validate.baselines import BASELINES, baselines
from workbench.validation.validate.bootstrap import Interval, mean_interval, median_interval
from workbench.validation.validate.figures import (
    DRAIN,
    MEMORY,
    SWAP,
    Figures,
    live_figures,
    predicted_figures,
)
from workbench.validation.validate.setting import Setting, Workload, setting_of, settings_to_ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from workbench.replay import Replay, Settings
    from workbench.trace import Trace

QUANTITIES: Final = (*MEMORY, *SWAP, DRAIN)

TOLERANCE: Final = 0.03
SWAP_TOLERANCE: Final = 0.1
"""Two live runs of one command differ by 4 to 6 % in memory, and more in swap (docs/validation.md):
what is nearer than this to the middle of several is not told apart from it."""

HALF_WIDTH_MAX: Final = 0.06
"""Of the live value.  In a wider interval nearly anything lies: it takes more runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One quantity, predicted and live.

    Attributes
    ----------
    predicted
        Mean over the captures; None where no capture has a value.
    live
        Mean over the live runs, of swapped pages the median.
    interval
        Of that mean or median; None of a single run.
    baselines
        The relative difference of each baseline from the live value.
    """

    predicted: float | None
    live: float | None
    interval: Interval | None
    tolerance: float
    baselines: dict[str, float | None] = field(default_factory=dict)

    @property
    def difference(self) -> float | None:
        """Predicted minus live, relative to live."""
        return relative_difference(self.predicted, self.live)

    @property
    def verdict(self) -> str:
        """Say how near the prediction is: by the tolerance, else by the spread of the live runs."""
        if self.predicted is None or self.live is None:
            return "no value"
        difference = self.difference
        if difference is not None and abs(difference) <= self.tolerance:
            return f"inside {self.tolerance:.0%}".replace("%", " %")
        if self.interval is None or not self.interval.holds(self.predicted):
            return "outside"
        half_width = (self.interval.high - self.interval.low) / 2
        is_narrow = half_width < HALF_WIDTH_MAX * self.live
        return "inside the interval" if is_narrow else "interval too wide"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """The figures of every run of a comparison.

    Attributes
    ----------
    modelled
        The captures, as the model of the host has them; empty where nothing was swapped.
    captured
        The same captures, as measured.
    predicted, live
        Of the setting that is asked for.
    """

    modelled: tuple[Figures, ...]
    captured: tuple[Figures, ...]
    predicted: tuple[Figures, ...]
    live: tuple[Figures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One setting of one workload, predicted from captures of another setting.

    Attributes
    ----------
    captures, live
        Names of the traces; captures that cannot answer are not among them.
    window_ns
        Over which means are taken.
    reasons
        Why captures cannot answer.
    notes
        What the answers leave open.
    model_error
        The largest mean error of the captures as captured, as a fraction of their peak.
    captured_ns, live_ns
        How long the runs lasted from the beginning of the window, on average.  A prediction takes
        as long as its capture did.
    figures
        What was compared, run by run; None where nothing was.
    """

    workload: Workload
    captured: Setting
    asked: Setting
    captures: tuple[str, ...]
    live: tuple[str, ...]
    window_ns: int = 0
    quantities: dict[str, Compared] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    model_error: float | None = None
    captured_ns: float = 0.0
    live_ns: float = 0.0
    figures: RunFigures | None = None


Runs = dict[Setting, list["Replay"]]


def compare_settings(
    traces: Sequence[Trace],
    *,
    captured_label: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Comparison]:
    """Predict, in every workload, each setting that was run live from captures of another.

    Parameters
    ----------
    captured_label
        The setting to predict from, such as "order 0"; by default the finest order that was
        captured, of guests that do not poison.

    Raises
    ------
    UsageError
        The lab did not make one of the traces, or none has the setting that was named.
    InputError
        A trace is damaged.
    """
    workloads: defaultdict[Workload, Runs] = defaultdict(dict)
    for trace in traces:
        workload, setting = setting_of(trace)
        progress(f"replaying {trace.name}")
        workloads[workload].setdefault(setting, []).append(replay(trace))
    if captured_label is not None:
        _check_label(captured_label, workloads.values())
    found = []
    for workload in sorted(workloads):
        runs = workloads[workload]
        sources = sorted(_sources(runs, captured_label), key=lambda setting: setting.label)
        for asked in sorted(runs, key=lambda setting: setting.label):
            if sources and asked not in sources:
                source = _nearest(sources, asked)
                progress(f"{workload.label}: {asked.label} from {source.label}")
                found.append(_compare(workload, runs, source, asked))
    return found


def _check_label(label: str, workloads: Iterable[Runs]) -> None:
    known = sorted({setting.label for runs in workloads for setting in runs})
    if label not in known:
        meant = suggestion(label, known, otherwise=f"there are {'; '.join(known)}")
        raise UsageError(f"no trace has the setting {label!r}{meant}")


def _sources(runs: Runs, label: str | None) -> list[Setting]:
    """Choose what to predict from: for each memory limit one setting, where there is one."""
    if label is not None:
        return [setting for setting in runs if setting.label == label]
    reporting = [s for s in runs if s.order is not None and s.poison == "none"]
    finest = min((s.order for s in reporting if s.order is not None), default=None)
    return [setting for setting in reporting if setting.order == finest]


def _nearest(sources: Sequence[Setting], asked: Setting) -> Setting:
    """Prefer captures under the same memory limit."""
    return min(sources, key=lambda source: source.memory_limit_bytes != asked.memory_limit_bytes)


def _compare(workload: Workload, runs: Runs, source: Setting, asked: Setting) -> Comparison:
    live = runs[asked]
    names = tuple(run.trace.name for run in live)
    try:
        settings = settings_to_ask(source, asked)
    except UsageError as error:
        return Comparison(
            workload=workload,
            captured=source,
            asked=asked,
            captures=(),
            live=names,
            reasons=(str(error),),
        )
    answers, reasons = _ask(runs[source], settings)
    comparison = Comparison(
        workload=workload,
        captured=source,
        asked=asked,
        captures=tuple(run.trace.name for run in answers),
        live=names,
        reasons=reasons,
    )
    return _filled(comparison, runs[source], answers, live) if answers else comparison


def _ask(captures: Sequence[Replay], settings: Settings) -> tuple[list[Replay], tuple[str, ...]]:
    """Give the answers, and the reasons of the captures that have none."""
    answers, reasons = [], []
    for captured in captures:
        try:
            answers.append(replay(captured.trace, settings=settings))
        except UnidentifiableError as refusal:
            reasons.append(str(refusal))
    return answers, tuple(reasons)


def _filled(
    comparison: Comparison,
    captures: Sequence[Replay],
    answers: Sequence[Replay],
    live: Sequence[Replay],
) -> Comparison:
    answering = [run for run in captures if run.trace.name in set(comparison.captures)]
    predicted = [predicted_figures(*pair) for pair in zip(answers, answering, strict=True)]
    measured = [live_figures(run) for run in live]
    simple: defaultdict[str, list[Figures]] = defaultdict(list)
    for captured in answering:
        for name, found in baselines(captured, comparison.asked.order).items():
            simple[name].append(found)
    window_ns = min(one.window_ns for one in (*predicted, *measured))
    errors = [run.model_error["resident_bytes"] for run in answers]
    return Comparison(
        workload=comparison.workload,
        captured=comparison.captured,
        asked=comparison.asked,
        captures=comparison.captures,
        live=comparison.live,
        window_ns=window_ns,
        quantities=compare_figures(predicted, measured, simple, window_ns),
        reasons=comparison.reasons,
        notes=tuple(dict.fromkeys(note for run in answers for note in run.identifiable.notes)),
        captured_ns=statistics.fmean(one.window_ns for one in predicted),
        live_ns=statistics.fmean(one.window_ns for one in measured),
        figures=RunFigures(
            modelled=tuple(_modelled(answering)),
            captured=tuple(live_figures(run) for run in answering),
            predicted=tuple(predicted),
            live=tuple(measured),
        ),
        model_error=max((error["mean"] for error in errors if error), default=None),
    )


def _modelled(captures: Sequence[Replay]) -> Iterator[Figures]:
    """Let the model of the host decide what of the captures themselves goes to swap."""
    for run in captures:
        if run.ledger.swapped_delta_pages.any():
            yield predicted_figures(replay(run.trace, host=_AS_CAPTURED), run)


_AS_CAPTURED: Final = Host(reclaim="two-list")


def compare_figures(
    predicted: Sequence[Figures],
    live: Sequence[Figures],
    simple: Mapping[str, Sequence[Figures]],
    window_ns: int,
) -> dict[str, Compared]:
    """Compare every quantity; swapped pages only where any run or prediction swapped."""
    found = {}
    for name in QUANTITIES:
        is_swap = name in SWAP
        measured = _present(name, live, window_ns)
        expected = _mean(_present(name, predicted, window_ns))
        if is_swap and not any(measured) and not expected:
            continue
        middle = (statistics.median(measured) if is_swap else _mean(measured)) if measured else None
        # They are about memory: of swap they say nothing but what was captured.
        errors = {
            baseline: relative_difference(
                _mean(_present(name, simple[baseline], window_ns)), middle
            )
            for baseline in BASELINES
            if baseline in simple and not is_swap
        }
        found[name] = Compared(
            predicted=expected,
            live=middle,
            interval=median_interval(measured) if is_swap else mean_interval(measured),
            tolerance=SWAP_TOLERANCE if is_swap else TOLERANCE,
            baselines=errors,
        )
    return found


def relative_difference(value: float | None, live: float | None) -> float | None:
    """Give a value's difference from the live one, relative to it; none relative to nothing."""
    if value is None or live is None:
        return None
    if live == 0:
        return 0.0 if value == 0 else None
    return (value - live) / live


def _present(name: str, runs: Sequence[Figures], window_ns: int) -> list[float]:
    values = (run.values(window_ns)[name] for run in runs)
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
