"""The report on a result: what it holds, and nothing it does not."""

from __future__ import annotations

import json

import pytest

from tests.report.hostile import NAMES
from tests.report.pages import Page
from tests.synthetic import write_two_blocks
from workbench.cli.app import run
from workbench.errors import InputError
from workbench.report import read_result, render, report_on_result


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    trace = write_two_blocks(folder)
    assert run(["replay", str(trace.path), "-o", str(folder / "result")]) == 0
    return folder / "result"


def changed(result, tmp_path, change):
    """Give the result with another document."""
    document = json.loads((result / "result.json").read_text())
    change(document)
    (tmp_path / "result.json").write_text(json.dumps(document))
    return tmp_path


def test_a_result_is_shown_as_far_as_it_tells(result):
    made = report_on_result(read_result(result))
    page = Page(render(made))

    page.check()
    assert [section.key for section in made.sections] == page.values("section", "id")
    assert made.headline.startswith(
        "Replayed as captured: guest RAM in host memory averaged 2.60 MiB and peaked at 4.00 MiB"
    )
    assert "reports gave 4.00 MiB back to the host" in made.headline
    assert "resident_bytes_mean" in page.text
    assert page.pictures[0][0] == "image/png"
    assert page.pictures[0][1] == (result / "resident_memory.png").read_bytes()


def test_a_result_without_a_chart_has_a_report_without_one(result, tmp_path):
    folder = changed(result, tmp_path, dict)
    (tmp_path / "resident_memory.png").write_text("<script>alert(1)</script>")
    made = report_on_result(read_result(folder))

    assert made.figure_keys == ()
    assert "charts" not in [section.key for section in made.sections]


def test_a_hostile_result_gives_a_harmless_report(result, tmp_path):
    def spoil(document):
        document["model_error"]["virtual_machines"][0]["name"] = NAMES[0]
        document["identifiable"]["notes"] = list(NAMES)
        document["lineage"] |= {"trace": NAMES[1], "model": NAMES[3], "versions": {}}
        document["lineage"]["versions"] = {name: name for name in NAMES}
        document["lineage"]["versions"]["workbench"] = NAMES[0]
        document["metrics"]["reports"] = {"value": None, "unit": NAMES[0], "reason": NAMES[1]}
        document["events"]["as_captured"]["surprises"] = dict.fromkeys(NAMES, 1)

    page = Page(render(report_on_result(read_result(changed(result, tmp_path, spoil)))))

    page.check()
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.pop("metrics"), "is no result of a replay"),
        (
            lambda document: document["lineage"].update(versions={}),
            "field 'lineage.versions' is wrong: .*no version of the workbench",
        ),
        (lambda document: document.pop("lineage"), "field 'lineage' is wrong: Field required"),
        (
            lambda document: document["metrics"]["reports"].update(value=10**400),
            "field 'metrics.reports.value",
        ),
        (
            lambda document: document["metrics"]["reports"].update(value=float("nan")),
            "field 'metrics.reports.value",
        ),
        (
            lambda document: document.update(settings={"device": {"page_poson": True}}),
            "did you mean 'page_poison'",
        ),
    ],
)
def test_what_is_no_result_is_a_sentence(change, said, result, tmp_path):
    with pytest.raises(Exception, match=said) as caught:
        read_result(changed(result, tmp_path, change))

    assert hasattr(caught.value, "exit_code")


def test_what_is_not_json_is_a_sentence(tmp_path):
    (tmp_path / "result.json").write_text("{")

    with pytest.raises(InputError, match="not readable as JSON"):
        read_result(tmp_path)
