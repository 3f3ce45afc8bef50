"""What the frames of a chart are of, in words, and how they are told apart on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def all_titles(frames: Sequence[pd.DataFrame]) -> str:
    """Name what was captured, each scenario once."""
    return " and ".join(dict.fromkeys(str(frame.attrs.get("title", "")) for frame in frames))


def run_names(frames: Sequence[pd.DataFrame]) -> list[str]:
    """Name frames by their settings, and where that is not enough by their traces as well."""
    labels = [str(frame.attrs.get("label", "")) for frame in frames]
    if len(set(labels)) == len(labels):
        return labels
    return [str(frame.attrs.get("run", label)) for frame, label in zip(frames, labels, strict=True)]
