"""Every repr comes from a card: short as text, and harmless as HTML whatever a trace says."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.synthetic import fault, given_back, machine, report, sample, write_trace
from tests.synthetic_series import series_of
from workbench import measure
from workbench.card import Card
from workbench.replay import Identifiable, identify, predict_series
from workbench.schema import SAMPLES
from workbench.study import WITHOUT_REPORTING, GuestKind, HostKind, Study
from workbench.trace import Probe, summary
from workbench.units import GIB, MIB, NANOSECONDS

HOSTILE = "<script>alert(1)</script>\x1b[31m\r\n&\"'\u202e"
LINES_MAX = 12
COLUMNS_MAX = 100


class Page(HTMLParser):
    """The elements, their attributes and the text of some HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One of everything that a notebook shows, of a trace in which every name is hostile."""
    events = [fault(1, 0), *given_back(report(2, 0)), fault(3, 4)]
    rows = [sample(second, 2 * MIB) for second in (0, 5, 9)]
    samples = {name: [row.get(name, 0) for row in rows] for name in SAMPLES.column_names}
    folder = tmp_path_factory.mktemp("hostile") / "hostile.trace"
    written = write_trace(folder, events, machines=[machine(HOSTILE)] * 5, samples=samples)
    probe = Probe(name=HOSTILE, attached=True, lost={HOSTILE: 3})
    manifest = written.manifest.model_copy(
        update={"scenario": HOSTILE, "command": HOSTILE, "created": HOSTILE, "probes": (probe,)}
    )
    name = HOSTILE.replace("/", "") + ".trace"
    trace = dataclasses.replace(written, manifest=manifest)
    run, other = wb.replay(trace), wb.replay(trace, guest=wb.Guest(poison_val=1))
    named = dataclasses.replace(trace, path=folder.with_name(name))
    runs = [dataclasses.replace(each, trace=named) for each in (run, other)]
    return {
        "trace": named,
        "damaged": dataclasses.replace(named, _tables={}),
        "run": runs[1],
        "settings": runs[1].settings,
        "guest": runs[1].settings.guest,
        "metrics": measure.metrics(run),
        "totals": dataclasses.replace(wb.totals(trace), trace=named),
        "curve": dataclasses.replace(wb.curve(trace), trace=named),
        "comparison": measure.compare(*runs),
        "table": measure.metric_table(runs[0]),
        "identifiable": identify(trace, wb.Settings(device=wb.Device(free_page_reporting=False))),
        "refused": Identifiable(answerable=False, reasons=(HOSTILE,)),
        "questions": measure.questions(trace),
        "series": (series := dataclasses.replace(series_of([4, 4]), name=HOSTILE)),
        "kind": (kind := GuestKind(name=HOSTILE, members=(series,))),
        "host": (host := HostKind(name=HOSTILE, memory_bytes=64 * GIB)),
        "study": Study(
            name=HOSTILE,
            guests=(kind,),
            hosts=(host,),
            variants=(WITHOUT_REPORTING,),
            step_ns=NANOSECONDS,
            remarks=(HOSTILE,),
        ),
        "prediction": predict_series(dataclasses.replace(series_of([4, 4]), name=HOSTILE)),
    }


ALL = (
    *("trace", "damaged", "run", "settings", "guest", "metrics", "totals", "curve", "comparison"),
    *("table", "identifiable", "refused", "questions", "series", "prediction"),
    *("kind", "host", "study"),
)


@pytest.mark.parametrize("name", ALL)
def test_what_a_trace_says_is_text_and_nothing_else(name, shown):
    """No element and no attribute comes from it, and nothing that a terminal would obey."""
    page = Page(shown[name]._repr_html_())

    assert page.tags <= {"div", "table", "tr", "th", "td", "ul", "li"}
    assert page.attributes <= {"style", "scope"}  # No ids or classes that reach into the page.
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page.text)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", repr(shown[name]))


@pytest.mark.parametrize(
    "name", ["trace", "run", "totals", "curve", "comparison", "refused", "study"]
)
def test_a_name_is_shown_as_it_is(name, shown):
    assert "script>" in Page(shown[name]._repr_html_()).text


@pytest.mark.parametrize(
    "name", ["trace", "damaged", "run", "totals", "curve", "identifiable", "study"]
)
def test_a_repr_is_a_dozen_lines_that_fit_a_terminal(name, shown):
    lines = repr(shown[name]).splitlines()

    assert len(lines) <= LINES_MAX
    assert max(map(len, lines)) <= COLUMNS_MAX


@given(text=st.text(max_size=300))
def test_any_text_stays_in_its_place(text):
    """Between its neighbours, in text and in HTML."""
    card = Card(title=text, facts=[("first", text), ("last", "fact")], remarks=[text] * 5)
    page = Page(card.html())

    assert page.tags <= {"div", "table", "tr", "th", "td", "ul", "li"}
    assert card.text().splitlines()[-1].strip().startswith(("note", "and 3 more"))
    assert max(map(len, card.text().splitlines())) <= COLUMNS_MAX


def test_a_trace_that_cannot_be_read_still_says_what_it_is(tmp_path):
    trace = write_trace(tmp_path / "torn.trace", [fault(1, 0)])
    for path in (trace.path / "events").iterdir():
        path.write_bytes(b"torn")
    torn = wb.read_trace(trace.path)

    assert repr(torn).startswith("Trace torn: damaged")
    assert "torn" in Page(torn._repr_html_()).text


def test_a_trace_says_what_it_holds_and_lost(tmp_path):
    text = repr(write_trace(tmp_path / "two.trace", [fault(1, 0), fault(2, 2)], lost=12))

    assert text.startswith("Trace two: 2 events over 10.00 s")
    assert "guest0: 8 MiB, free_page_reporting on" in text
    assert "2 fault" in text
    assert re.search("lost +12 by", text)
    assert "no model error (no samples)" in text


def test_a_large_trace_is_not_read_to_be_shown(tmp_path, monkeypatch):
    path = write_trace(tmp_path / "two.trace", [fault(1, 0), fault(2, 2)]).path
    trace = wb.read_trace(path)
    monkeypatch.setattr(summary, "_COUNTED_MAX", 1)

    assert "too many to count by kind at once" in repr(trace)
    assert trace._tables == {}


def test_settings_are_written_as_one_would_give_them():
    changed = wb.Settings(
        guest=wb.Guest(poison_val=0xAAAAAAAA, reporting_delay_ns="250ms"),
        host=wb.Host(memory_bytes="64M", swap="zram"),
    )
    names = {"Settings": wb.Settings, "Guest": wb.Guest, "Host": wb.Host}

    assert repr(wb.Settings()) == "Settings()"
    assert repr(changed) == (
        "Settings(guest=Guest(poison_val=0xaaaaaaaa, reporting_delay_ns=250_000_000), "
        "host=Host(memory_bytes=67_108_864, swap='zram'))"
    )
    assert eval(repr(changed), names) == changed  # noqa: S307 - That is the claim.


def test_settings_are_shown_in_units_and_only_those_that_change():
    changed = wb.Settings(
        guest=wb.Guest(reporting_delay_ns="250ms"),
        host=wb.Host(memory_bytes="64M"),
        cost=wb.Cost(swap_write_bytes_per_second="1G"),
    )
    text = Page(changed._repr_html_()).text

    assert [unit in text for unit in ("250.00 ms", "64.00 MiB", "1.00 GiB per second")] == [
        True
    ] * 3
    assert "poison_val" not in text
    assert "as captured" in Page(wb.Settings()._repr_html_()).text


def test_a_run_shows_the_numbers_of_the_dictionary():
    """Worked out on the way, but the same."""
    trace = wb.read_trace("traces/pressure-order0.trace")
    run = wb.replay(trace)
    found = measure.metrics(run)
    words = {
        name: measure.quantity_text(found[name]["value"], found[name]["unit"])
        for name in ("resident_bytes_peak", "resident_bytes_final", "swap_in_pages")
    }

    assert f"{words['resident_bytes_peak']} at most" in repr(run)
    assert f"{words['resident_bytes_final']} at the end" in repr(run)
    assert f"{words['swap_in_pages']} in" in repr(run)


def test_a_comparison_is_a_frame_that_shows_its_units(shown):
    frame = shown["comparison"]
    part = frame[frame["metric"] == "resident_bytes_peak"]

    assert frame["difference"].dtype.kind == "f"
    assert "MiB" in repr(part)
    assert "not shown: 0 metrics" in repr(part)
    assert "MiB" not in repr(part.drop(columns="unit"))
    assert "<table" in part.drop(columns="unit")._repr_html_()


@pytest.mark.parametrize("name", ["trace", "run", "totals", "curve", "guest", "settings"])
def test_completion_offers_public_names_only(name, shown):
    thing = shown[name]

    assert [each for each in dir(thing) if each[0] == "_" or not hasattr(thing, each)] == []


def test_completion_of_settings_offers_the_settings():
    assert {"poison_val", "reporting_order"} < set(dir(wb.Guest()))
    assert {"device", "label", "changed"} < set(dir(wb.Settings()))
