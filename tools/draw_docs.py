"""Draw the pictures of the documentation from the bundled traces, and from made monitoring data.

python tools/draw_docs.py      writes docs/images/*.png
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import workbench as wb
from workbench import measure

if TYPE_CHECKING:
    from workbench.study import Plan
    from workbench.trace import Trace

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tools.make_monitoring import write_monitoring  # noqa: E402 - found where this says.

IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Draw all of them."""
    IMAGES.mkdir(exist_ok=True)
    on, off = read("churn-on"), read("churn-off")
    pair = read("pressure-on"), read("pressure-off")
    pressure = read("pressure-order0")
    curves = [wb.curve(pressure), wb.curve(pressure, device=wb.Device(free_page_reporting=False))]
    runs = [wb.replay(read(name)) for name in ("churn-on", "churn-order0")]
    plan = worked_example()
    charts = {
        "resident_memory": wb.plot.resident_memory(runs[0]),
        "memory_reclaimed": wb.plot.memory_reclaimed(measure.reclaimed_over_time(on, off)),
        "address_map": wb.plot.address_map(measure.address_map_frame(wb.replay(pair[0]))),
        "refaults_over_time": wb.plot.refaults_over_time(*map(measure.refaults_over_time, runs)),
        "report_sizes": wb.plot.report_sizes(measure.report_sizes(*runs)),
        "drain": wb.plot.drain(*map(measure.drain_after_free, runs)),
        "io_avoided": wb.plot.io_avoided(measure.measured_pair(*pair)),
        "swap_over_memory": wb.plot.swap_over_memory(*map(measure.curve_frame, curves)),
        "io_avoided_over_memory": wb.plot.io_avoided_over_memory(
            measure.io_avoided_over_memory(curves[0], curves[1])
        ),
        "setting_matrix": wb.plot.setting_matrix(measure.setting_matrix(read("churn-order0"))),
        "predicted_against_measured": wb.plot.predicted_against_measured(
            measure.predicted_against_measured(*runs)
        ),
        "guests_against_risk": wb.plot.guests_against_risk(plan.risk),
        "memory_of_many": wb.plot.memory_of_many(plan.memory),
        "sensitivity": wb.plot.sensitivity(plan.sensitivity),
        "drain_times": wb.plot.drain_times(plan.answers),
    }
    for name, figure in charts.items():
        wb.plot.save(figure, IMAGES / f"{name}.png")


def read(name: str) -> Trace:
    """Read a bundled trace."""
    return wb.read_trace(ROOT / "traces" / f"{name}.trace")


def worked_example() -> Plan:
    """Compute the study of docs/capacity.md."""
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        write_monitoring(Path(folder) / "monitoring")
        path = Path(folder) / "spring.toml"
        path.write_text(text, encoding="utf-8")
        return wb.plan(wb.read_study(path))


if __name__ == "__main__":
    main()
