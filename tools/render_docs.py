"""Write the tables of the documentation anew from the code and the traces they describe.

python tools/render_docs.py      rewrites what stands between `<!-- NAME -->` and `<!-- end -->`

tests/test_docs.py checks that nothing would change.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.capture.records import LOSS_MEANINGS, Loss
from workbench.cli.app import COMMANDS
from workbench.gate.budgets import RUNS
from workbench.gate.conditions import CONDITIONS
from workbench.measure import BY_NAME, MEASURED_METRICS, METRICS, quantity_text
from workbench.model.balloon.rules import RULES, UNPROVED
from workbench.replay import replay
from workbench.schema import (
    GUEST_SERIES,
    KIND_MEANINGS,
    TABLES,
    FaultFlag,
    Feature,
    Kind,
    PageFlag,
    PageState,
)
from workbench.study.tables import TABLES as STUDY_TABLES
from workbench.study.tables import expected_of
from workbench.trace import manifest, read_trace
from workbench.trace.monitoring.names import MEANINGS
from workbench.validation.kinds import KINDS
from workbench.validation.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from workbench.measure import Metric
    from workbench.schema import Table

ROOT = Path(__file__).resolve().parent.parent

PAGES = (
    "README.md",
    "docs/capacity.md",
    "docs/capture.md",
    "docs/conformance.md",
    "docs/gate.md",
    "docs/guest-series.md",
    "docs/interchange.md",
    "docs/trace-format.md",
    "docs/metrics.md",
)

_BLOCK = re.compile(r"(<!-- ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Give a page with its tables as the code has them now; what was measured stays."""
    tables = _tables()

    def anew(match: re.Match[str]) -> str:
        is_measured = match[2].startswith("bench-")
        return match[0] if is_measured else f"{match[1]}{tables[match[2]]}\n{match[4]}"

    return _BLOCK.sub(anew, text)


def _tables() -> dict[str, str]:
    return {
        "commands": _table(
            ("command", "what it does"),
            [(f"`workbench {name}`", entry.summary) for name, entry in COMMANDS.items()],
        ),
        "metrics": _metrics(METRICS),
        "measured-metrics": _metrics(MEASURED_METRICS),
        **{f"table-{name.replace('_', '-')}": _columns(table) for name, table in TABLES.items()},
        "table-guest-series": _columns(GUEST_SERIES),
        "kinds": _table(
            ("kind", "code", "meaning"),
            [(f"`{kind.name.lower()}`", str(kind.value), KIND_MEANINGS[kind]) for kind in Kind],
        ),
        "codes": _table(
            ("what", "name", "code"),
            [
                (what, f"`{code.name.lower()}`", str(code.value))
                for what, codes in (
                    ("bit of a fault's status", FaultFlag),
                    ("page_state", PageState),
                    ("bit of page_state, in a slice", PageFlag),
                    ("bit of the features", Feature),
                )
                for code in codes
                if code.name
            ],
        ),
        "losses": _table(
            ("reason", "what it means"),
            [(f"`{loss.name.lower()}`", LOSS_MEANINGS[loss]) for loss in Loss],
        ),
        "manifest": _manifest(),
        "monitoring-metrics": _table(
            ("metric", "what it is taken for"),
            [
                (f"`{name}`", f"{meaning.quantity.value}{_if_alone(meaning.rank)}")
                for name, meaning in MEANINGS.items()
            ],
        ),
        "rules": _table(
            ("rule", "section", "what it says"),
            [(f"`{name}`", rule.section, rule.statement) for name, rule in RULES.items()],
        ),
        "programs": _programs(),
        "unproved": "\n".join(f"* {statement}" for statement in UNPROVED),
        "model-error": _model_error(),
        "budgets": _table(
            ("metric", "relative", "absolute"),
            [
                (f"`{name}`", f"{budget.relative:.0%}", _absolute(budget.absolute, name))
                for name, budget in RUNS.items()
                if not budget.ignored
            ],
        ),
        "conditions": _table(
            ("what is found", "verdict", "exit code"),
            [(each.found, each.verdict, str(each.exit_code)) for each in CONDITIONS.values()],
        ),
        "trace-sizes": _trace_sizes(),
        "table-study": "\n\n".join(_study_table(*each) for each in STUDY_TABLES.items()),
    }


def _if_alone(rank: int) -> str:
    return f", if no better one tells it ({rank + 1}.)" if rank else ""


def _absolute(value: float, metric: str) -> str:
    return quantity_text(value, BY_NAME[metric].unit)


def _programs() -> str:
    """List the kinds of random programs, with how many of each there are in a million."""
    counts: Counter[str] = Counter()
    for job in make_plan("any", 1_000_000, list(KINDS.values())):
        counts[job.kind_name] += job.program_count
    return _table(
        ("kind", "what it is about", "in a million"),
        [(name, kind.about, f"{counts[name]:,}") for name, kind in KINDS.items()],
    )


@functools.cache
def _model_error() -> str:
    """Replay every bundled trace as captured, and say how far that is from the samples."""
    rows = []
    for path in sorted((ROOT / "traces").glob("*.trace")):
        error = replay(read_trace(path)).model_error
        resident, swapped = error["resident_bytes"], error["swapped_bytes"]
        largest = max(resident["quiet_max"], swapped["quiet_max"])
        rows.append(
            (
                f"`{path.stem}`",
                f"{resident['final_pages']:,}",
                f"{100 * resident['mean']:.2f} %",
                f"{100 * largest:.4f} %" if largest else "0",
                f"{error['quiet_samples']:,} of {error['samples']:,}",
            )
        )
    header = (
        "trace",
        "pages off at the end",
        "mean error, of the peak",
        "largest error at a quiet sample, of RAM",
        "quiet samples",
    )
    return _table(header, rows)


def _trace_sizes() -> str:
    """Say what every bundled trace takes on disk, all its files included."""
    rows = []
    for path in sorted((ROOT / "traces").glob("*.trace")):
        events = read_trace(path).event_count
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        in_events = sum(file.stat().st_size for file in (path / "events").iterdir())
        shares = (f"{in_events / events:.2f}", f"{size / events:.2f}")
        rows.append((f"`{path.stem}`", f"{events:,}", f"{size:,}", *shares))
    header = ("trace", "events", "bytes", "of `events`, an event", "of all files, an event")
    return _table(header, rows)


def _columns(table: Table) -> str:
    rows = [
        (f"`{column.name}`", column.dtype, column.unit, column.meaning) for column in table.columns
    ]
    return f"{table.meaning}\n\n{_table(('column', 'type', 'unit', 'meaning'), rows)}"


def _metrics(metrics: Iterable[Metric]) -> str:
    return _table(
        ("metric", "unit", "kind", "better", "formula"),
        [(f"`{m.name}`", m.unit, m.aggregate.value, m.better.value, m.formula) for m in metrics],
    )


def _manifest() -> str:
    models = (
        manifest.Manifest,
        manifest.HostFacts,
        manifest.VirtualMachine,
        manifest.RamBlock,
        manifest.QueueIndices,
        manifest.BalloonProperties,
        manifest.GuestFacts,
        manifest.Probe,
        manifest.NotCaptured,
    )
    return "\n\n".join(
        f"**{model.__name__}.** {model.__doc__}\n\n{_fields(model)}" for model in models
    )


def _fields(model: type[BaseModel]) -> str:
    return _table(
        ("field", "type"),
        [(f"`{name}`", f"`{_type(field)}`") for name, field in model.model_fields.items()],
    )


def _study_table(header: str, table: type[BaseModel]) -> str:
    """Say of every key what it is, what may be given, and what holds where nothing is."""
    rows = [
        (
            f"`{name}`",
            (field.description or "").replace("|", "\\|"),
            expected_of(field),
            _default(field),
        )
        for name, field in table.model_fields.items()
    ]
    shown = f"`{header}`" if "[" in header else header.capitalize()
    columns = _table(("key", "what it is", "expected", "default"), rows)
    return f"**{shown}.** {table.__doc__}\n\n{columns}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    default = field.default
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, tuple) and default:
        return f"`{list(default)}`"
    return f"`{default}`" if isinstance(default, int | float) and default else ""


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"[\w.]*\.(\w+)", r"\1", text).replace("|", "\\|")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Rewrite every page."""
    for name in PAGES:
        path = ROOT / name
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
