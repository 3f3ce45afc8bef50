"""Frames that compute like any other and are shown as people read them.

This module imports pandas, which takes a second, so that others import it when they need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from workbench.card import Card
from workbench.measure.names import readable
from workbench.spelling import visible

if TYPE_CHECKING:
    from collections.abc import Callable


class MetricFrame(pd.DataFrame):
    """A pandas frame with the columns metric and unit, shown with its numbers in their units.

    What is derived from one is one too; without those two columns it is shown as pandas shows it.
    """

    @property
    def _constructor(self) -> Callable[..., MetricFrame]:
        return MetricFrame

    def __repr__(self) -> str:
        if not self._has_units:
            return super().__repr__()
        return visible("\n".join([self._title, readable(self).to_string(), self._left_out]))

    def _repr_html_(self) -> str:
        if not self._has_units:
            # The stubs of pandas do not know it.
            return str(super()._repr_html_())  # type: ignore[misc]
        written = readable(self)
        return Card(
            title=self._title,
            columns=["metric", *map(str, written.columns)],
            rows=[[str(cell) for cell in row] for row in written.itertuples()],
            remarks=[self._left_out],
        ).html()

    @property
    def _has_units(self) -> bool:
        return {"metric", "unit"} <= set(self.columns)

    @property
    def _title(self) -> str:
        return str(self.attrs.get("caption", "metrics"))

    @property
    def _left_out(self) -> str:
        lost = self.attrs.get("lost_events", 0)
        losses = f"; {lost:,} events of the capture were lost" if lost else ""
        count = len(self) - len(readable(self))
        return f"not shown: {count} metrics that are 0 or unknown throughout{losses}"


class AnswerFrame(pd.DataFrame):
    """A pandas frame with the columns question, answerable and reasons, shown as sentences.

    What is derived from one is a frame as pandas has them.
    """

    def __repr__(self) -> str:
        return self._card.text()

    def _repr_html_(self) -> str:
        return self._card.html()

    @property
    def _card(self) -> Card:
        rows = zip(self["question"], self["answerable"], self["reasons"], strict=True)
        return Card(
            title=str(self.attrs["title"]),
            facts=[(asked, "yes" if can else f"no: {why}") for asked, can, why in rows],
        )
