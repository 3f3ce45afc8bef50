"""A comparison as JSON, with its schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from workbench.gate.comparison import Comparison, SideSummary
from workbench.gate.figure import Figure
from workbench.gate.words import headline


class ComparisonDocument(BaseModel):
    """What `workbench compare --json` prints."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="workbench compare")

    headline: str
    """The verdict in one line, with the worst metric and the size of its loss."""
    verdict: Literal["fine", "regression", "undecided", "no verdict"]
    exit_code: Literal[0, 5, 6, 7]
    counts: dict[str, int]
    """How many figures there are of each verdict."""
    is_exact: bool
    baseline: SideSummary
    candidate: SideSummary
    remarks: tuple[str, ...]
    """What differs besides the figures."""
    figures: tuple[Figure, ...]


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Give a comparison as plain JSON values."""
    document = ComparisonDocument.model_validate(
        {
            "headline": headline(comparison),
            "verdict": comparison.verdict,
            "exit_code": comparison.exit_code,
            "counts": comparison.counts,
            "is_exact": comparison.is_exact,
            "baseline": comparison.baseline,
            "candidate": comparison.candidate,
            "remarks": comparison.remarks,
            "figures": comparison.figures,
        }
    )
    return document.model_dump(mode="json")


def json_schema() -> dict[str, Any]:
    """Give the JSON schema of the document."""
    return ComparisonDocument.model_json_schema(mode="serialization")
