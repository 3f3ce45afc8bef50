"""The page: what is in it and in which order, and that it needs nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.report.pages import Page
from tests.synthetic import TWO_BLOCKS, started, write_off, write_trace, write_two_blocks
from workbench.replay import Device, Guest, Host, Settings
from workbench.report import find, render, report_on
from workbench.report.guest_charts import MAP_BYTES_MAX
from workbench.report.headline import headline
from workbench.report.settings import changed_text, settings_text
from workbench.trace import read_trace

TRACES = Path(__file__).parents[2] / "traces"
ORDER = ["machine", "unknown", "answer", "charts", "tables", "settings", "error", "lineage"]


def page_of(trace, asked=Settings(), other=None):  # noqa: B008 - settings are frozen.
    return Page(render(report_on(find(trace, asked, other))))


@pytest.fixture(scope="module")
def churn():
    """The report on a trace that can answer what it is asked."""
    return report_on(find(read_trace(TRACES / "churn-order0.trace"), Settings()))


@pytest.fixture(scope="module")
def page(churn):
    return Page(render(churn))


def test_the_story_is_told_in_its_order(churn, page):
    sections = page.values("section", "id")

    assert [section.key for section in churn.sections] == ORDER
    assert sections == ORDER
    assert page.values("a", "href")[: len(ORDER)] == [f"#{key}" for key in ORDER]


def test_what_is_lost_is_said_before_the_answer(churn, page):
    assert page.text.index("No event was lost") < page.text.index(churn.headline)
    assert page.text.index("What this trace cannot tell") < page.text.index(churn.headline)


def test_times_and_sizes_of_settings_are_shown_in_units_that_people_read(page):
    assert "With a shorter delay? reporting_delay_ns 250.00 ms" in page.text
    host = Settings(guest=Guest(reporting_delay_ns="4s"), host=Host(memory_bytes="64M"))
    assert settings_text(host) == "reporting_delay_ns 4.00 s, memory_bytes 64.00 MiB"
    assert changed_text(host) == "guest.reporting_delay_ns = 4.00 s, host.memory_bytes = 64.00 MiB"
    assert (settings_text(Settings()), changed_text(Settings())) == ("as captured", "nothing")


def test_a_page_is_well_formed_and_needs_nothing_else(page):
    page.check()

    assert "script" not in page.tags
    (policy,) = [v for v in page.values("meta", "content") if v.startswith("default-src")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_chart_is_there_for_light_and_dark_pages_and_says_what_it_finds(churn, page):
    texts = page.values("img", "alt")

    assert texts[::2] == texts[1::2]
    assert len(set(texts)) == len(churn.figure_keys) >= 1
    assert page.values("img", "class") == ["on-light", "on-dark"] * len(churn.figure_keys)
    assert all(any(character.isdigit() for character in text) for text in texts)
    for media_type, content in page.pictures:
        assert media_type == "image/svg+xml"
        assert ET.fromstring(content).tag.endswith("svg")  # noqa: S314 - we have just drawn it.


def test_every_metric_is_in_the_tables_with_unit_better_side_and_meaning(page):
    assert "resident_bytes_mean Guest RAM in host memory, averaged over the span" in page.text
    assert "179.72 MiB 321.51 MiB mean lower" in page.text
    assert "0 throughout: " in page.text
    assert "swap_in_pages" in page.text


def test_equal_traces_give_equal_bytes(tmp_path):
    trace = write_two_blocks(tmp_path)
    first = render(report_on(find(trace, Settings())))
    again = render(report_on(find(read_trace(trace.path), Settings())))

    assert first == again


def test_a_refused_question_stands_before_the_answer_with_its_reason():
    trace = read_trace(TRACES / "churn-poisoned.trace")
    asked = Settings.model_validate({"guest": {"poison_val": 0}})
    made = report_on(find(trace, asked))
    text = Page(render(made)).text

    assert text.index("the refaults that follow were never captured") < text.index(made.headline)
    assert "With poison_val 0x0 this trace cannot answer: captured with" in text
    assert "Nothing came back: of 297 reported ranges QEMU discarded none (poisoned)" in text


def test_combinations_are_replayed_where_that_is_asked_for(tmp_path):
    trace = write_two_blocks(tmp_path)
    made = report_on(find(trace, Settings(), combine=True))
    page = Page(render(made))

    page.check()
    assert "matrix-reclaimed-bytes" in made.figure_keys
    assert "Every combination of how the guest poisons and reports" in page.text
    assert "matrix-reclaimed-bytes" not in report_on(find(trace, Settings())).figure_keys


def test_under_pressure_every_size_of_the_host_is_drawn():
    made = report_on(find(read_trace(TRACES / "pressure-order0.trace"), Settings()))

    assert "io-avoided-over-memory" in made.figure_keys
    assert "avoided 76,508 of 154,025 pages of swap I/O (50 %)" in made.headline


def test_less_than_the_model_of_the_host_is_wrong_is_not_claimed():
    said = headline(find(read_trace(TRACES / "pressure-on.trace"), Settings()))

    assert "is less than the model of the host is wrong about it" in said
    assert "avoided" not in said


def test_a_pair_is_shown_as_two_live_runs(tmp_path):
    on, off = write_two_blocks(tmp_path), write_off(tmp_path)
    for trace, other in ((on, off), (off, on)):
        made = report_on(find(trace, Settings(), other))

        assert made.headline.startswith("In two live runs of two-blocks free page reporting kept")
        assert "memory-reclaimed" in made.figure_keys
        assert "guest RAM in memory, reporting on mean, measured" in Page(render(made)).text
        assert "Two live runs of one scenario, measured" in Page(render(made)).text


def test_what_the_capture_missed_is_said(tmp_path):
    trace = write_trace(tmp_path / "lost.trace", TWO_BLOCKS, lost=1234)
    made = report_on(find(trace, Settings()))
    text = Page(render(made)).text

    assert made.lost_events == 1234
    assert "1,234 events were lost in the capture: no figure below is exact." in text
    assert "events ring full 1,234" in text
    assert "The host took no samples" in text
    assert "how right the model is, is not known" in made.headline


def test_what_is_asked_twice_is_replayed_once(tmp_path):
    trace = write_two_blocks(tmp_path)
    off = Settings(device=Device(free_page_reporting=False))

    assert find(trace, off).asked is None
    assert find(trace, Settings()).asked is None
    inhibited = Settings(device=Device(discard_inhibited=True))
    assert [found.label for found in find(trace, inhibited).all] == [
        "as captured",
        "free_page_reporting off",
        "discard_inhibited on",
    ]


def test_a_trace_without_faults_says_that_its_memory_is_not_known(tmp_path):
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS, machines=[started()])
    probe = trace.manifest.probes[0].model_copy(
        update={"name": "memory", "attached": False, "reason": "not asked for"}
    )
    blind = type(trace)(trace.path, trace.manifest.model_copy(update={"probes": (probe,)}))
    made = report_on(find(blind, Settings()))

    assert "what guests touched was not captured" in made.headline
    assert "resident-memory" not in made.figure_keys
    Page(render(made)).check()


def test_no_map_is_drawn_of_a_guest_with_terabytes(tmp_path):
    block = started().ram_blocks[0].model_copy(update={"used_bytes": 2 * MAP_BYTES_MAX})
    huge = started().model_copy(update={"ram_blocks": (block,)})
    trace = write_trace(tmp_path / "huge.trace", TWO_BLOCKS, machines=[huge])
    made = report_on(find(trace, Settings()))

    assert "resident-memory" in made.figure_keys
    assert "address-map" not in made.figure_keys
