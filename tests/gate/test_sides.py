"""Reading a side: results, traces, folders, patterns; and what is refused."""

from __future__ import annotations

import pytest

from tests.gate.made_runs import FIGURES, write_result
from tests.synthetic import TWO_BLOCKS, write_trace, write_two_blocks
from workbench.errors import InputError
from workbench.gate import read_side
from workbench.measure import MEASURED_METRICS


def test_a_result_is_read_by_its_folder_or_its_file_and_named_by_its_recording(tmp_path):
    folder = write_result(tmp_path / "result-of-tonight")
    by_folder, by_file = read_side(str(folder)), read_side(str(folder / "result.json"))

    assert dict(by_folder.runs[0].model_figures) == FIGURES
    assert by_folder.runs[0].measured_figures is None
    assert by_file.runs[0].model_figures == by_folder.runs[0].model_figures
    assert {by_file.runs[0].name, by_folder.runs[0].name} == {"churn"}


def test_a_result_that_does_not_name_its_recording_is_named_by_the_digest(tmp_path):
    lineage = {"trace": "0123456789abcdef", "model": "m", "versions": {"schema": "1.2"}}
    folder = write_result(tmp_path / "result-of-tonight", lineage=lineage)

    assert read_side(str(folder)).runs[0].name == "trace 01234567"


def test_a_trace_is_replayed_as_captured_and_brings_what_the_host_measured(tmp_path):
    (run,) = read_side(str(write_two_blocks(tmp_path).path)).runs

    assert run.settings == "as captured"
    assert run.model_figures["refaults"] == 1
    assert run.measured_figures
    assert set(run.measured_figures) <= {metric.name for metric in MEASURED_METRICS}


def test_a_folder_and_a_pattern_name_several(tmp_path):
    for name in ("on-01", "on-02", "off-01"):
        write_trace(tmp_path / f"{name}.trace", TWO_BLOCKS)
    (tmp_path / "runs.json").write_text("{}")
    folder = [run.name for run in read_side(str(tmp_path)).runs]

    assert folder == ["off-01", "on-01", "on-02"]
    assert len(read_side(str(tmp_path / "on-*.trace")).runs) == 2


def test_lost_events_are_known_of_traces_and_of_results(tmp_path):
    lossy = write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=12)
    entry = {"events_lost": {"value": 5, "unit": "events"}}
    result = write_result(tmp_path / "result", metrics=entry)

    assert read_side(str(lossy.path)).runs[0].lost_events == 12
    assert read_side(str(result)).runs[0].lost_events == 5


def test_settings_of_a_result_are_named(tmp_path):
    path = write_result(tmp_path / "r", settings={"guest": {"poison_val": 170}, "device": {}})

    assert read_side(str(path)).runs[0].settings == "poison_val 0xaa"


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"12"', "true", f"1{'0' * 400}"])
def test_a_figure_that_is_no_number_is_bad_input(tmp_path, value):
    path = write_result(tmp_path / "r") / "result.json"
    path.write_text(path.read_text().replace('"value": 175', f'"value": {value}'))

    with pytest.raises(InputError, match=r"metrics\.refaults\.value"):
        read_side(str(path))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"metrics": {"refaults": {"value": 1, "unit": "pages"}}}, "expected 'faults'"),
        ({"lineage": {"trace": "a"}}, r"lineage\.model"),
        ({"settings": {"guest": {"poisn_val": 1}}}, "poison_val"),
    ],
)
def test_a_result_that_is_not_like_ours_is_bad_input(tmp_path, overrides, words):
    path = write_result(tmp_path / "r", **overrides)

    with pytest.raises(InputError, match=words):
        read_side(str(path))


def test_a_refused_replay_has_nothing_to_compare(tmp_path):
    path = write_result(tmp_path / "r") / "result.json"
    text = path.read_text()
    path.write_text(text[: text.index('"metrics"')] + '"metrics": {}}')

    with pytest.raises(InputError, match="could not answer"):
        read_side(str(path))


@pytest.mark.parametrize("text", ["{", "[]", "nothing", "\x00"])
def test_what_is_no_result_is_bad_input(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text)

    with pytest.raises(InputError, match=r"result\.json"):
        read_side(str(path))


@pytest.mark.parametrize("content", [b"# A page\n", b"PAR1\xff\xfe"])
def test_a_file_that_is_something_else_is_not_to_be_replayed_again(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"expected a result of .* a trace, or a TOML") as refused:
        read_side(str(path))
    assert "again" not in str(refused.value)


@pytest.mark.parametrize("name", ["nowhere", "nothing-*.trace"])
def test_what_is_not_there_is_bad_input(tmp_path, name):
    with pytest.raises(InputError, match="expected a result of `workbench replay -o`"):
        read_side(str(tmp_path / name))


def test_a_folder_of_something_else_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="holds neither"):
        read_side(str(tmp_path))


def test_a_result_that_does_not_say_of_which_trace_it_is_is_refused(tmp_path):
    """Two of them would be taken for the same recording, and compared exactly."""
    lineage = {"model": "m", "versions": {"schema": "1.2"}}

    with pytest.raises(InputError, match="does not say which trace it is of"):
        read_side(str(write_result(tmp_path / "churn", lineage=lineage)))
