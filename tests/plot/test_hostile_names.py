"""Names of a trace may be anything: charts spell out what would be obeyed rather than seen."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.plot.overlap import written
from tests.synthetic import TWO_BLOCKS, started, two_block_samples, write_trace
from workbench import measure, plot
from workbench.replay import curve, replay

NAME = "a\x00\x1b[31m\u202eb"
SPELT = "a\\x00\\x1b[31m\\u202eb"


@pytest.fixture
def trace(tmp_path):
    return write_trace(
        tmp_path / "x.trace",
        TWO_BLOCKS,
        machines=[started(NAME)],
        samples=two_block_samples(),
        scenario=NAME,
    )


CHARTS = {
    "resident_memory": plot.resident_memory,
    "address_map": lambda run: plot.address_map(measure.address_map_frame(run)),
    "refaults_over_time": lambda run: plot.refaults_over_time(measure.refaults_over_time(run)),
    "drain": lambda run: plot.drain(measure.drain_after_free(run)),
    "swap_over_memory": lambda run: plot.swap_over_memory(measure.curve_frame(curve(run.trace))),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_hostile_name_is_spelt_out_and_the_picture_is_valid(name, trace, tmp_path):
    figure = CHARTS[name](replay(trace))
    path = plot.save(figure, tmp_path / "chart.svg")

    ET.parse(path)  # noqa: S314 - our own file: it is what is tested.
    assert any(SPELT in text for text, _ in written(figure))
