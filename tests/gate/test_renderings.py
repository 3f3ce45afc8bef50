"""One comparison, several renderings: what each says, and that nothing gets out of its frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gate.made_runs import PAGE, PLAIN, RECLAIMED, changed, live, side
from workbench.gate import (
    Budget,
    Budgets,
    compare_sides,
    comparison_document,
    headline,
    json_schema,
    junit_xml,
    markdown,
)
from workbench.gate.markdown import LARGEST_BYTES

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd")
HALF = changed(reclaimed_bytes=RECLAIMED // 2, refaults=176, reports=13)

NASTY = "<script>alert(1)</script> | [x](javascript:y) `*_`\n# head\x00\x1b[31m @all https://e.org"


def regression():
    """A candidate that reclaims half, with one refault more."""
    return compare_sides(side(PLAIN), side(HALF))


def verdicts():
    """A comparison of each outcome."""
    old, new = [100, 101, 102, 103, 104, 105], [94, 95, 96, 97, 98, 99]
    return {
        "fine": compare_sides(side(PLAIN), side(PLAIN)),
        "regression": regression(),
        "undecided": compare_sides(
            live("reclaimed_bytes", [v << 20 for v in old]),
            live("reclaimed_bytes", [v << 20 for v in new]),
        ),
        "no verdict": compare_sides(side(PLAIN), side(replace(PLAIN, lost_events=2))),
    }


def test_the_headline_names_the_worst_metric_and_the_size_of_its_loss():
    assert headline(regression()) == (
        "Regression: reclaimed_bytes of churn is 372.00 MiB less (-50.0 %): 744.00 MiB, now "
        "372.00 MiB; 1 more is worse"
    )


def test_a_loss_of_one_page_can_be_seen_in_the_headline():
    comparison = compare_sides(side(PLAIN), side(changed(reclaimed_bytes=RECLAIMED - PAGE)))

    assert "4.00 KiB less (-0.0005 %)" in headline(comparison)


@pytest.mark.parametrize("verdict", ["fine", "regression", "undecided", "no verdict"])
def test_every_rendering_begins_with_the_same_verdict(verdict):
    comparison = verdicts()[verdict]
    document = comparison_document(comparison)

    assert comparison.verdict == document["verdict"] == verdict
    assert headline(comparison).lower().startswith(verdict)
    assert markdown(comparison).splitlines()[0].lower().startswith(verdict)
    assert headline(comparison) in junit_xml(comparison)


def test_the_table_stands_first_and_the_worst_first_in_it():
    lines = markdown(regression()).splitlines()
    rows = [line.split(" | ")[0].strip("|` ") for line in lines if line.startswith("| `")]

    assert lines[2].startswith("| metric |")
    assert rows == ["reclaimed_bytes", "refaults", "reports"]
    assert lines[-2:] == ["", "3 figures are equal."]
    assert markdown(verdicts()["fine"]).splitlines()[1:] == ["", "6 figures are equal."]


def test_figures_without_a_say_are_counted_by_who_took_it():
    """The budget file's are told from those that never have one where runs are compared."""
    old, new = (side(replace(PLAIN, trace=trace), label=trace) for trace in ("old", "new"))
    chosen = Budgets({"swap_*": Budget(ignored="no swap")})
    by_default, by_file = (markdown(compare_sides(old, new, each)) for each in (None, chosen))

    assert "3 have no say, as each differs too much between runs" in by_default
    assert "budget file" not in by_default
    assert "1 is ignored, as the budget file says" in by_file


def test_what_comes_from_recordings_is_only_text_in_markdown():
    hostile = replace(HALF, name=NASTY, settings=NASTY)
    text = markdown(compare_sides(side(PLAIN), side(hostile)))

    assert "<script" not in text.replace("\\<", "")
    assert "[x](" not in text.replace("\\]", "")
    assert "\x1b" not in text
    assert "@all" not in text
    assert "https://" not in text
    for line in text.splitlines():
        if line.startswith("| `"):
            assert line.replace("\\|", "").count("|") == 8


@pytest.mark.parametrize("count", [500, 3000])
def test_markdown_is_cut_with_a_pointer_before_it_is_too_long(count):
    """Also where even the names of the recordings do not fit."""
    runs = [replace(PLAIN, name=f"run-{number}", trace=str(number)) for number in range(count)]
    worse = [changed(run, reclaimed_bytes=1, refaults=999) for run in runs]
    text = markdown(compare_sides(side(*runs), side(*worse)))
    only = markdown(compare_sides(side(PLAIN), side(PLAIN, *runs)))

    for each in (text, only):
        assert len(each.encode()) <= LARGEST_BYTES
    assert "`workbench compare --json`" in text
    assert text.startswith("Regression: reclaimed_bytes of run-0")


@pytest.mark.parametrize("verdict", ["fine", "regression", "undecided", "no verdict"])
def test_the_junit_file_is_valid(verdict):
    SCHEMA.validate(junit_xml(verdicts()[verdict]))


@pytest.mark.parametrize(
    "wrong",
    [
        "<testsuites/>",
        '<testsuite name="x" tests="one"/>',
        '<testsuites name="x"><test/></testsuites>',
    ],
)
def test_the_schema_of_junit_can_refuse(wrong):
    assert not SCHEMA.is_valid(wrong)


@settings(max_examples=30)
@given(name=st.text(min_size=1), label=st.text())
def test_the_junit_file_is_valid_whatever_is_in_a_name(name, label):
    hostile = replace(HALF, name=name, settings=label)
    text = junit_xml(compare_sides(side(PLAIN, label=label), side(hostile, label=name)))

    SCHEMA.validate(text)


def test_junit_has_a_case_for_each_figure_with_its_outcome():
    root = fromstring(junit_xml(regression()))  # noqa: S314 - our own text.
    suite = root.find("testsuite")
    failed = {case.get("name") for case in suite if case.find("failure") is not None}

    assert int(suite.get("tests")) == len(suite.findall("testcase")) == 6
    assert failed == {"reclaimed_bytes", "refaults"}
    assert int(suite.get("failures")) == 2


def test_undecided_and_ignored_are_skipped_in_junit():
    root = fromstring(junit_xml(verdicts()["undecided"]))  # noqa: S314 - our own text.
    suite = root.find("testsuite")
    (skipped,) = suite.iter("skipped")

    assert skipped.get("message").startswith("undecided: too few runs for their spread; about ")


def test_the_document_is_what_its_schema_says():
    """Every name that it requires is there, and no other."""
    schema = json_schema()
    for comparison in verdicts().values():
        document = json.loads(json.dumps(comparison_document(comparison), allow_nan=False))
        assert set(document) == set(schema["required"]) == set(schema["properties"])
        for figure in document["figures"]:
            assert set(figure) == set(schema["$defs"]["Figure"]["properties"])
            assert figure["verdict"] in schema["$defs"]["Verdict"]["enum"]
