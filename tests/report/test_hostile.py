"""Names in a trace may be anything: the page shows them, and does nothing they say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.hostile import NAMES, write_hostile
from tests.report.pages import ATTRIBUTES, TAGS, Page
from workbench.replay import Settings
from workbench.report import find, render, report_on
from workbench.report.text import LONGEST_NAME, LONGEST_TEXT, name_text, page_text


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    trace = write_hostile(tmp_path_factory.mktemp("hostile"))
    return render(report_on(find(trace, Settings())))


def test_no_name_becomes_a_tag_or_an_attribute(content):
    Page(content).check()


def test_names_are_shown_as_they_are_spelled(content):
    text = Page(content).text

    assert "<script>alert(1)</script>" in text
    assert '"><img src=x onerror=alert(2)>' in text
    assert "\\u202e" in text
    assert "\\x1b[2J" in text


def test_nothing_is_left_that_turns_or_hides_what_follows(content):
    text = content.decode("utf-8")

    assert not [c for c in text if c not in "\n\u00a0" and not c.isprintable()]


def test_names_do_not_become_markup_in_the_pictures_either(content):
    for media_type, picture in Page(content).pictures:
        assert media_type == "image/svg+xml"
        root = ET.fromstring(picture)  # noqa: S314 - we have just drawn it.
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not tags & {"script", "a", "foreignObject", "iframe"}
        links = [v for e in root.iter() for name, v in e.attrib.items() if name.endswith("href")]
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
        assert not [
            name for element in root.iter() for name in element.attrib if name.startswith("on")
        ]


def test_long_names_and_texts_are_cut(content):
    assert "n" * LONGEST_TEXT not in content.decode("utf-8")
    assert len(content) < 2_000_000
    assert len(name_text("n" * 10_000)) == LONGEST_NAME


@given(text=st.text())
def test_all_text_becomes_visible_text(text):
    shown = page_text(text)

    assert all(c in "\n\t" or c.isprintable() or c.isspace() for c in shown)
    assert page_text(shown) == shown or len(shown) > LONGEST_TEXT


@given(text=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=80))
def test_text_of_letters_stays_as_it_is(text):
    assert name_text(text) == text


def test_a_name_stays_on_its_line():
    assert name_text("one\ntwo\tthree") == "one\\ntwo\\tthree"


def test_what_a_page_is_made_of_holds_nothing_that_runs():
    assert not TAGS & {"script", "iframe", "object", "embed", "form", "base", "svg", "video"}
    assert not [name for name in ATTRIBUTES if name.startswith("on") or name == "style"]
    assert NAMES
