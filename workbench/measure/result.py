"""The result of a replay as files: one JSON document and the ledger as Parquet."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

from workbench.errors import InputError
from workbench.measure.metrics import metrics
from workbench.replay import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

    from workbench.replay import Replay, Settings, UnanswerableError
    from workbench.trace import Trace


RESULT_NAME: Final = "result.json"
"""The file that marks a folder as a result: the document."""

LEDGER_NAME: Final = "ledger.parquet"
"""The file beside it that holds the ledger."""


_LARGEST_BYTES: Final = 1 << 26
"""Of a document, as of a manifest; most take 8 KiB."""

Part = TypeVar("Part", bound="BaseModel")


def read_document(path: Path, part: type[Part], *, expected: str) -> Part:
    """Read of a result's document what a model of it looks at.

    Parameters
    ----------
    expected
        What the caller takes, for the message where the file is none of it.

    Raises
    ------
    InputError
        It is damaged, too large to be one, or another command's.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - whoever writes results need not wait.

    again = "; replay the trace again" if path.name == RESULT_NAME else ""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
        if len(content) > _LARGEST_BYTES:
            raise InputError(f"{path}: is larger than {_LARGEST_BYTES:,} bytes, expected a result")
        found = json.loads(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not readable as JSON ({error}), expected {expected}{again}"
        ) from None
    if not isinstance(found, dict) or "metrics" not in found:
        raise InputError(f"{path}: is no result of a replay, expected {expected}")
    try:
        return part.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(name) for name in first["loc"])
        raise InputError(f"{path}: field {field!r} is wrong: {first['msg']}{again}") from None


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
