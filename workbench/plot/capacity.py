"""Charts of studies: guests against risk, and the memory of many guests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from workbench.measure import with_settings
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.spelling import shorten
from workbench.units import format_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HOSTS_MAX: Final = 4
"""Panels: more hosts than this are more than a page is high."""

_NAME_LETTERS: Final = 50
"""As many as stand beside another name."""

_HOST_LETTERS: Final = 28

_END_LETTERS: Final = 10
"""Of a host's name before what it has for guests, at the end of its line."""

_STRIP: Final = -0.7
"""Of the even part of the axis of risk: below nought is the room for the numbers that fit."""

_LEAST_RISK: Final = 1e-3
"""Up to which the axis is even, so that nought has a place on it; finer where the limit is."""

_WIDER_POINTS: Final = 1.6

_NO_CHOICE: Final = 0.1
"""Of the time: a host that is short of memory more often is none to choose."""

_SIDE: Final = 0.12
"""Of the axis, at each side of what is told apart: room for a number."""

_MARGIN: Final = 1.1


class _Fit(NamedTuple):
    """How many guests fit on a host with one of the things that are compared."""

    label: str
    guests: int


_IF_GIVEN_BACK: Final = "page_cache_given_back"
"""The column that marks what no setting does: it is drawn beside what can be had."""


@takes("wb.plan(study).risk", "host", "label", "guests", "over_share", "fits", _IF_GIVEN_BACK)
def guests_against_risk(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw how often the memory of a host is short, over the number of guests, and who fits.

    Parameters
    ----------
    frame
        From `Plan.risk`: a row for each host, thing compared and number of guests.
    ax
        Draw the first host here, instead of a panel for each in a new figure.
    """
    hosts = list(dict.fromkeys(frame["host"]))
    shown = hosts[: _HOSTS_MAX if ax is None else 1]
    with chart.styled():
        if ax is not None:
            panels = [ax]
        else:
            figure = chart.new_chart(9, 2.1 + 2.4 * len(shown))
            panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0].tolist()
        fits = {
            str(host): _draw_risk(panel, frame[frame["host"] == host])
            for panel, host in zip(panels, shown, strict=True)
        }
        scales.legend_above(panels[0], *panels[0].get_legend_handles_labels())
        for panel, host in zip(panels, shown, strict=True):
            panel.set_ylabel("memory is short (of the time)" if len(shown) == 1 else "is short")
            if len(hosts) > 1:
                _name_host(panel, str(host))
        panels[-1].set_xlabel("guests")
        more = f"; the first {len(shown)} of {len(hosts)} hosts" * (len(shown) < len(hosts))
        chart.explain(
            panels,
            f"Guests that fit, by how often memory is short (limit {_limit_text(frame)})",
            f"{frame.attrs.get('title', '')}: {_fits_text(fits)}{more}",
            frame.attrs,
        )
    return chart.figure_of(panels[0])


def _fits_text(fits: dict[str, tuple[_Fit, _Fit]]) -> str:
    if len(fits) == 1:
        ((host, both),) = fits.items()
        said = (f"{fit.guests:,} {with_settings(fit.label)}" for fit in dict.fromkeys(both))
        return f"{host} takes {', '.join(said)}"
    said = (f"{host} {base.guests:,} and {best.guests:,}" for host, (base, best) in fits.items())
    return f"the first and the best, {'; '.join(said)}"


def _name_host(axes: Axes, host: str) -> None:
    """Write its name where no line is: at the right, below the limit."""
    axes.text(
        0.995, 0.3, shorten(host, _HOST_LETTERS), transform=axes.transAxes, ha="right",
        fontweight="bold", fontsize=9.5, zorder=6,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": chart.colour("background"), "lw": 0},
    )  # fmt: skip


def _limit_text(frame: pd.DataFrame) -> str:
    return f"{format_number(100 * _limit(frame))} % of the time"


def _limit(frame: pd.DataFrame) -> float:
    return 1 - float(frame.attrs.get("share_of_time", 0.99))


def _draw_risk(axes: Axes, frame: pd.DataFrame) -> tuple[_Fit, _Fit]:
    """Draw one host; give how many guests fit with the first thing compared, and with the best."""
    real = frame[~frame[_IF_GIVEN_BACK]]
    by_label = {str(label): rows for label, rows in real.groupby("label", sort=False)}
    fits = [_Fit(label, int(rows["fits"].sum())) for label, rows in by_label.items()]
    base, best = fits[0], max(fits[1:], key=lambda fit: fit.guests, default=fits[0])
    limit = _limit(frame)
    _risk_axis(axes, limit)
    stop = 2 * (int(frame["guests"].max()) + 1)  # Beyond the axis, wherever that ends.
    named = [fit for fit in fits if len(fits) <= chart.run_count() or fit in {base, best}]
    for index, fit in enumerate(fits):
        look = {"color": chart.colour("measured"), "linewidth": 0.8, "zorder": 2}
        if fit in named:
            # Settings that make no difference have one line: the wider ones show behind the others.
            above = [other for other in (*named[named.index(fit) + 1 :], best) if other != fit]
            behind = sum(other.guests == fit.guests for other in above) * (fit != best)
            look = {**chart.run_style(_place(index, fits.index(best)))}
            look |= {"linewidth": 1.8 + _WIDER_POINTS * behind}
            look |= {"label": shorten(fit.label, _NAME_LETTERS), "zorder": 3 + (fit == best)}
        _draw_shares(axes, by_label[fit.label], stop, look)
        if fit in {base, best}:
            _mark_fit(axes, by_label[fit.label], fit, str(look["color"]))
    if len(named) < len(fits):
        others = f"{len(fits) - len(named)} others"
        axes.plot([], [], color=chart.colour("measured"), linewidth=0.8, label=others)
    for label, rows in frame[frame[_IF_GIVEN_BACK]].groupby("label", sort=False):
        look = {"color": chart.colour("quiet"), "linewidth": 1.2, "linestyle": ":"}
        _draw_shares(axes, rows, stop, {**look, "label": shorten(str(label), _NAME_LETTERS)})
    axes.axhline(limit, color=chart.colour("quiet"), linewidth=1, linestyle=(0, (4, 3)))
    lines = [rows for _, rows in frame.groupby("label", sort=False)]
    _guest_axis(axes, lines, [fit.guests for fit in (base, best)])
    _write_fits(axes, {base, best})
    return base, best


def _draw_shares(axes: Axes, rows: pd.DataFrame, stop: int, look: dict[str, Any]) -> None:
    """Draw one line, which goes on to `stop` where it has reached all of the time."""
    guests, risk = [0, *rows["guests"]], [0, *rows["over_share"]]
    if risk[-1] >= 1:  # More guests need no less: all numbers from here on are always short.
        guests, risk = [*guests, stop], [*risk, 1]
    axes.plot(guests, risk, **look)


def _place(index: int, best: int) -> int:
    """Give the place of a line among the styles: what reports best comes first, then the base."""
    if index == best:
        return 0
    return 1 if index == 0 else index + (index < best)


def _risk_axis(axes: Axes, limit: float) -> None:
    least = min(_LEAST_RISK, 10.0 ** math.floor(math.log10(limit)) if limit > 0 else _LEAST_RISK)
    axes.set_yscale("symlog", linthresh=least, linscale=0.6)
    axes.set_ylim(_STRIP * least, 1.25)
    decades = range(round(math.log10(least)), 1)
    ticks = [0.0, *(10.0**decade for decade in decades)]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)


def _guest_axis(axes: Axes, lines: Sequence[pd.DataFrame], fits: Sequence[int]) -> None:
    """Show the numbers of guests from a little before the first that is short of memory."""
    first = min(*fits, *(int((rows["over_share"] <= 0).sum()) for rows in lines))
    last = max(int((rows["over_share"] < _NO_CHOICE).sum()) + 1 for rows in lines)
    side = max(_SIDE * (last - first), 1)
    axes.set_xlim(first - side, last + side)
    ticks = MaxNLocator(9, integer=True, steps=[1, 2, 5, 10]).tick_values(max(first, 0), last)
    axes.set_xticks([tick for tick in ticks if max(0, first - side) <= tick <= last + side])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _mark_fit(axes: Axes, rows: pd.DataFrame, fit: _Fit, ink: str) -> None:
    risk = float(rows["over_share"].iloc[fit.guests - 1]) if fit.guests else 0.0
    axes.plot([fit.guests] * 2, [axes.get_ylim()[0], risk], color=ink, linewidth=1, zorder=5)
    axes.plot(fit.guests, risk, "o", color=ink, markersize=6, zorder=6)


def _write_fits(axes: Axes, fits: set[_Fit]) -> None:
    """Write the numbers below nought, where no line is: the smaller at the left of its own."""
    numbers = sorted({fit.guests for fit in fits})
    for guests, side, after in zip(numbers, ("right", "left"), (-6, 6), strict=False):
        axes.annotate(
            f"{guests:,} fit" if guests else "none fits", (guests, axes.get_ylim()[0] / 2),
            (after, 0), textcoords="offset points", ha=side, va="center", fontweight="bold",
            fontsize=9.5,
        )  # fmt: skip


@takes(
    "wb.plan(study).memory",
    "label",
    "guests",
    "mean_bytes",
    "p99_bytes",
    "peak_bytes",
    _IF_GIVEN_BACK,
)
def memory_of_many(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what so many guests need together, beside what hosts have: the first, and the best.

    Parameters
    ----------
    frame
        From `Plan.memory`: a row for each thing compared and number of guests.  Of the things
        compared are drawn the first, and the one whose guests need least 99 % of the time.
    """
    hosts: dict[str, int] = dict(frame.attrs["hosts"])
    real = frame[~frame[_IF_GIVEN_BACK]]
    by_label = {str(label): rows for label, rows in real.groupby("label", sort=False)}
    base = next(iter(by_label))
    shown = list(dict.fromkeys((base, _least(by_label))))
    top = _MARGIN * max(hosts.values())
    stop = max(int((by_label[label]["mean_bytes"] <= top).sum()) for label in shown)
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 4.8).subplots()
        for label in shown:
            style = chart.run_style(int(label == base and len(shown) > 1))
            _draw_sizes(axes, by_label[label], label, style)
        for for_guests_bytes in set(hosts.values()):
            axes.axhline(for_guests_bytes, color=chart.colour("quiet"), linewidth=1)
        chart.byte_axis(axes, top, "needed together")
        axes.set_xlim(0, stop + 1)
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("guests")
        chart.label_ends(
            axes,
            [(size, _host_text(name, size), chart.colour("quiet")) for name, size in hosts.items()],
        )
        scales.legend_above(axes, *axes.get_legend_handles_labels())
        chart.explain(
            [axes],
            "Memory that many guests need together",
            f"{frame.attrs.get('title', '')}: 99 % of the time (thick), 95 % (thin); from mean to "
            "peak (band); cut above the largest host",
            frame.attrs,
        )
    return chart.figure_of(axes)


def _host_text(name: str, for_guests_bytes: int) -> str:
    """Name a host, and what it has for guests where its name does not say that."""
    size = chart.round_bytes(for_guests_bytes)
    if name.replace(".00", "") == size.replace(".0 ", " "):
        return name
    return f"{shorten(name, _END_LETTERS)}, {size} for guests"


def _least(by_label: dict[str, pd.DataFrame]) -> str:
    """Name what needs least, at the largest number of guests that was counted of all."""
    guests = min(len(rows) for rows in by_label.values())
    return min(by_label, key=lambda label: int(by_label[label]["p99_bytes"].iloc[guests - 1]))


def _draw_sizes(axes: Axes, rows: pd.DataFrame, label: str, style: dict[str, Any]) -> None:
    guests = rows["guests"]
    axes.fill_between(
        guests, rows["mean_bytes"], rows["peak_bytes"], color=style["color"], alpha=0.2,
        linewidth=0,
    )  # fmt: skip
    axes.plot(guests, rows["p95_bytes"], linewidth=0.8, **style)
    name = shorten(label, _NAME_LETTERS)
    axes.plot(guests, rows["p99_bytes"], linewidth=1.8, label=name, **style)
