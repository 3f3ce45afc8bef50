"""What guests of a study swap, page by page, on the average of draws: a frame, and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.spelling import on_one_line
from workbench.study.study import WITHOUT_REPORTING
from workbench.units import PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    import pandas as pd

_BY: Final = ("host", "variant", "guests")

_FIGURES: Final = (
    "swap_in_pages",
    "swap_out_pages",
    "swap_in_pages_per_second_p99",
    "swap_wait_seconds",
    "refaults",
    "unmet_bytes",
    "swap_in_avoided_pages",
    "swap_out_avoided_pages",
)


def swap_means(swap: pd.DataFrame) -> pd.DataFrame:
    """Give the mean of all draws.

    Parameters
    ----------
    swap
        As `workbench.study.swap.swap_frame`.

    Returns
    -------
    A row for each host, variant and number of guests, in this order: these, how many draws there
    were, and the figures of `swap` that are not about dead pages.
    """
    plain = swap.astype(dict.fromkeys(_FIGURES, float))
    groups = plain.groupby([*_BY], sort=False)
    frame = groups[[*_FIGURES]].mean()
    frame.insert(0, "draws", groups.size())
    return frame.reset_index()


def swap_sentences(swap: pd.DataFrame, answers: pd.DataFrame) -> list[str]:
    """Say for each host what as many guests as fit with reporting swap, and without it.

    Parameters
    ----------
    swap
        As for `swap_means`.
    answers
        The frame of that name.
    """
    means = swap_means(swap)
    most = answers.groupby("host")["guests"].max()
    found = []
    for host, rows in means.groupby("host", sort=False):
        fitting = rows[rows["guests"] == most[host]]
        without = fitting[fitting["variant"] == WITHOUT_REPORTING.label]
        if not without.empty:
            found.append(_of_host(without.iloc[0], fitting.drop(without.index)))
    return found


def _of_host(without: Any, others: pd.DataFrame) -> str:  # noqa: ANN401 - a row.
    guests, draws = int(without["guests"]), int(without["draws"])
    who = f"{guests:,} guest{'s' * (guests != 1)}"
    swaps = f"On {on_one_line(without['host'])} {who} swap{'s' * (guests == 1)}"
    end = f", on the average of {draws:,} draws." if draws > 1 else "."
    best = None if others.empty else others.iloc[0]
    if not _pages(without) and (best is None or not _pages(best)):
        return f"{swaps} nothing{'' if best is None else ', with reporting or without'}."
    said = f"{swaps} in {without['swap_in_pages']:,.0f} pages and out "
    said += f"{without['swap_out_pages']:,.0f} without reporting"
    if best is None:
        return said + end
    said += f", {best['swap_in_pages']:,.0f} and {best['swap_out_pages']:,.0f} with "
    said += f"{best['variant']}: {_avoided(best)}"
    return said + end


def _pages(row: Any) -> float:  # noqa: ANN401 - as above.
    return float(row["swap_in_pages"] + row["swap_out_pages"])


def _avoided(best: Any) -> str:  # noqa: ANN401 - as above.
    """Say what reporting avoids, read and written: it may also cost."""
    pages = [best["swap_in_avoided_pages"], best["swap_out_avoided_pages"]]
    sizes = [format_bytes(abs(each) * PAGE_BYTES) for each in pages]
    if min(pages) >= 0:
        return f"{sizes[0]} read and {sizes[1]} written are avoided"
    parts = [
        f"{size} {'less' if each >= 0 else 'more'} {what}"
        for size, each, what in zip(sizes, pages, ("read", "written"), strict=True)
    ]
    return " and ".join(parts)
