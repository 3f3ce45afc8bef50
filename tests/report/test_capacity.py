"""The report on a study: in order, complete, and harmless whatever names are in it."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET

import pytest

from tests.report.hostile import NAMES
from tests.report.pages import Page
from tests.study.made_studies import SOON, kind_of, series_needing, study_of
from workbench.cli import app
from workbench.errors import InputError
from workbench.report import render, report_on_plan
from workbench.study import HostKind, plan, read_plan
from workbench.units import GIB

UP, DOWN = [4 * GIB] * 5 + [GIB] * 15, [2 * GIB] * 10 + [3 * GIB] * 10
GIVEN_BACK = dataclasses.replace(SOON, page_cache_given_back=True)


def study(names=("web", "build"), hosts=("a host",), **others):
    """Make a study of two kinds of guests of which one knows its page cache."""
    kinds = (
        kind_of(series_needing(*UP, name=names[0]), name=names[0]),
        kind_of(series_needing(*DOWN, name=names[1], cached_bytes=GIB), name=names[1], weight=2),
    )
    made = study_of(*kinds, variants=(SOON, GIVEN_BACK))
    sizes = (HostKind(name=name, memory_bytes=(40 + n) * GIB) for n, name in enumerate(hosts))
    return dataclasses.replace(made, hosts=tuple(sizes), **others)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Compute a study."""
    path = tmp_path_factory.mktemp("computed") / "spring.study"
    plan(study(remarks=("guest 'web', web-02: 1 gap",)), folder=path, progress=False)
    return path


def text_of(made):
    """Give what is read on the page of a plan."""
    page = Page(render(report_on_plan(made)))
    page.check()
    return page.text


def test_the_story_is_told_in_order(folder):
    report = report_on_plan(read_plan(folder))

    assert [section.key for section in report.sections] == [
        *("inputs", "answer", "charts", "tables", "matters", "method", "lineage"),
    ]
    assert report.figure_keys == (
        *("guests-against-risk", "memory-of-many", "drain-times", "sensitivity"),
    )
    assert report.headline == " ".join(read_plan(folder).sentences)


def test_the_page_says_inputs_answer_and_limits(folder):
    made = read_plan(folder)
    text = text_of(made)

    assert "guest 'web', web-02: 1 gap" in text
    assert all(sentence in text for sentence in (*made.sentences, *made.matters))
    assert "Page cache is not free memory" in text
    assert "Without reporting as many guests would need more than there is" in text
    assert "NUMA" in text
    for row in made.answers.to_dict("records"):
        assert f"{row['guests']:,} {row['guests_at_peaks']:,} at all peaks" in text


def test_equal_plans_give_equal_pages(folder, tmp_path):
    pages = [render(report_on_plan(read_plan(folder))) for _ in range(2)]
    again = plan(
        study(remarks=("guest 'web', web-02: 1 gap",)), folder=tmp_path / "b", progress=False
    )

    assert pages[0] == pages[1] == render(report_on_plan(again))


def test_where_nothing_was_mended_that_is_said():
    made = plan(study(), progress=False)

    assert "Nothing is missing in the recordings." in text_of(made)


def test_where_one_thing_is_compared_nothing_is_said_of_what_matters():
    alone = dataclasses.replace(study(), variants=study().variants[:1])
    text = text_of(plan(alone, progress=False))

    assert "Only one thing was compared" in text
    assert "Page cache is not free memory" not in text


def test_names_are_shown_and_do_nothing():
    # A study refuses names that are longer than a file's.
    names = [name[:200] for name in NAMES]
    hostile = study(names=names[:2], hosts=names[2:], name=names[0], remarks=tuple(NAMES))
    content = render(report_on_plan(plan(hostile, progress=False)))
    page = Page(content)
    page.check()

    assert "<script>alert(1)</script>" in page.text
    assert not [c for c in content.decode() if c not in "\n\u00a0" and not c.isprintable()]
    for media_type, picture in page.pictures:
        if media_type == "image/svg+xml":
            root = ET.fromstring(picture)  # noqa: S314 - we have just drawn it.
            tags = {element.tag.rpartition("}")[2] for element in root.iter()}
            assert not tags & {"script", "a", "foreignObject", "iframe"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("guests", 7), ("hosts", [{}]), ("limit", None), ("step_ns", "long"), ("seeds", {})],
)
def test_a_document_that_something_else_wrote_is_refused_with_its_field(folder, field, value):
    made = read_plan(folder)
    other = dataclasses.replace(made, study={**made.study, field: value})

    with pytest.raises(InputError, match=rf"field 'study\.{field}"):
        report_on_plan(other)


def test_the_command_takes_the_folder_of_a_study(folder, tmp_path, capsys):
    page = tmp_path / "spring.html"
    assert app.run(["report", str(folder), "-o", str(page), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["headline"] == " ".join(read_plan(folder).sentences)
    assert document["bytes"] == page.stat().st_size
    assert app.run(["report", str(folder), "-o", str(page)]) == 0
    sentences = read_plan(folder).sentences
    assert capsys.readouterr().out.splitlines()[: len(sentences)] == list(sentences)
    assert app.run(["report", str(folder), "-o", str(page), "--matrix"]) == 2
    assert "is a result, computed already" in capsys.readouterr().err


def test_a_study_that_was_not_computed_to_its_end_says_so(tmp_path, capsys):
    (tmp_path / "spring.study" / "jobs").mkdir(parents=True)

    assert app.run(["report", str(tmp_path / "spring.study"), "-o", str(tmp_path / "x.html")]) == 3
    assert "expected the folder of a study that was computed to its end" in capsys.readouterr().err
