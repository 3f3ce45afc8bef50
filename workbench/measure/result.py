"""The result of a replay as files: one JSON document and the ledger as Parquet."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from workbench.measure.metrics import metrics
from workbench.replay import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.replay import Replay, Settings, UnanswerableError
    from workbench.trace import Trace


def result_document(run: Replay) -> dict[str, Any]:
    """Give what `workbench replay --json` prints: equal inputs give equal documents."""
    return {**run.to_dict(), "metrics": metrics(run)}


def refused_document(
    trace: Trace, refusal: UnanswerableError, settings: Settings, made_of: dict[str, Any]
) -> dict[str, Any]:
    """Give the same document for a question the trace cannot answer: reasons, and no metrics.

    What does not depend on the question is there: the error of the model as captured.

    Parameters
    ----------
    made_of
        Lineage, of the trace or of its files.
    """
    return {
        "lineage": made_of,
        "settings": settings.model_dump(),
        "identifiable": refusal.identifiable.to_dict(),
        "metrics": {},
        "model_error": refusal.model_error,
        "events": {"total": trace.event_count, "applied": 0, "skipped": {}},
    }


def write_ledger(run: Replay, path: Path) -> None:
    """Write the ledger as Parquet; its lineage and the names of the outcomes travel in the file."""
    import pyarrow as pa  # noqa: PLC0415 - not needed for the numbers.
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise.

    columns = {
        field.name: getattr(run.ledger, field.name) for field in dataclasses.fields(run.ledger)
    }
    names = {outcome.value: outcome.name.lower() for outcome in Outcome}
    table = pa.table(columns).replace_schema_metadata(
        {"lineage": json.dumps(run.lineage, sort_keys=True), "outcome": json.dumps(names)}
    )
    pq.write_table(table, path, compression="zstd")
