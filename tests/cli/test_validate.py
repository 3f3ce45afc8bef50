"""`workbench validate`: a table or one document, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.synthetic import TWO_BLOCKS, write_trace
from workbench.cli import app


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Run the command; give exit code and what it said."""
    code = app.run(["validate", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def fragments(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the bundled traces of one scenario, and one that the lab did not make."""
    folder = tmp_path_factory.mktemp("traces")
    for name in ("fragment-order0", "fragment-order9", "fragment-off"):
        (folder / f"{name}.trace").symlink_to(Path("traces").resolve() / f"{name}.trace")
    write_trace(folder / "foreign.trace", TWO_BLOCKS)
    return str(folder)


def test_the_document_has_every_quantity(capsys, fragments) -> None:
    """Both settings that were run live are predicted from the one capture at order 0."""
    code, out, err = run(capsys, fragments, "--json")
    document = json.loads(out)
    first, second = document["comparisons"]

    assert code == 0
    assert (first["asked"], second["asked"]) == ("off", "order 9")
    assert first["captures"] == ["fragment-order0"]
    assert document["bootstrap"] == {"level": 0.95, "resamples": 10_000, "seed": 20}
    assert set(first["quantities"]["resident_bytes_mean"]["baselines"]) == {
        "ignoring_discards",
        "high_water",
    }
    assert set(second["quantities"]["resident_bytes_mean"]["baselines"]) == {
        "ignoring_discards",
        "high_water",
        "cut",
    }
    assert "foreign.trace: left out" in err
    assert run(capsys, fragments, "--json")[1] == out


def test_the_table_has_a_row_for_each_quantity_and_the_models_error(capsys, fragments) -> None:
    """Memory and the time it takes to fall; nothing was swapped."""
    code, out, _ = run(capsys, fragments)

    assert code == 0
    assert out.count("resident_bytes_final") == 2
    assert "swap_out_pages" not in out
    assert out.count("as captured the model errs by") == 2


def test_traces_of_nothing_comparable_are_wrong_usage(capsys) -> None:
    """One trace cannot be held against another."""
    code, _, err = run(capsys, "traces/fragment-order0.trace")

    assert code == 2
    assert "none can be predicted from another" in err


def test_a_folder_without_traces_is_a_wrong_input(capsys, tmp_path) -> None:
    """It is named."""
    code, _, err = run(capsys, str(tmp_path))

    assert code == 3
    assert "no trace, and no folder with traces" in err


def test_what_cannot_be_answered_is_printed_with_the_reason(capsys) -> None:
    """From order 9 there is no way to a finer one."""
    code, out, _ = run(
        capsys,
        "traces/fragment-order0.trace",
        "traces/fragment-order9.trace",
        "--from",
        "order 9",
    )

    assert code == 0
    assert "order 0 from order 9: cannot answer: fragment-order9: captured with" in out


def test_what_reporting_spared_swap_is_a_table_of_its_own(capsys) -> None:
    """Also in the document; dead pages are predicted only."""
    pair = ("traces/pressure-on.trace", "traces/pressure-off.trace")
    code, out, _ = run(capsys, *pair)
    (found,) = json.loads(run(capsys, *pair, "--json")[1])["avoided"]

    assert code == 0
    assert "What reporting spared the host's swap:" in out
    assert "of it dead (predicted only)" in out
    assert found["setting"] == "order 9, limit 260.00 MiB"
    assert found["quantities"]["swap_out_pages"]["measured"] > 0
