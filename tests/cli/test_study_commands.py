"""`workbench sweep` and `workbench plan`: the answer, what is kept, and what is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from tests.synthetic_series import write_csv
from workbench.cli.app import run

ROOT = Path(__file__).resolve().parents[2]

STUDY = """
step = "60s"
seeds = [1, 2]

[[guest]]
name = "web"
series = "g*.csv"

[[host]]
memory = "16G"

[compare]
guest = {reporting_order = [0, 9], reporting_delay_ns = ["250ms", "2s"]}
"""


def write_study(folder, guests=3, samples=60, text=STUDY):
    """Write a study of guests of 4 GiB that do something else each."""
    random = np.random.default_rng(1)
    for number in range(guests):
        free = random.integers(100_000, 1_000_000, samples)
        lines = [
            f"{60 * row}.0,{small},{int(small) // 600},4294967296" for row, small in enumerate(free)
        ]
        write_csv(folder, *lines, header="time,small,huge,total", name=f"g{number}.csv")
    path = folder / "spring.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def run_command(capsys, *arguments):
    code = run(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_plan_says_how_many_fit_and_what_matters(tmp_path, capsys):
    code, out, err = run_command(capsys, "plan", write_study(tmp_path))

    plan = wb.plan(wb.read_study(tmp_path / "spring.toml"))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == plan.sentences[0]
    assert lines[0].startswith("Into 16 GiB fit ")
    rows = [line.split("  ") for line in lines if line.startswith(" 16 GiB")]
    assert [row[0].strip() for row in rows] == ["16 GiB"] * 5
    counts = [int(next(filter(str.strip, row[2:]))) for row in rows]
    assert counts == plan.answers["guests"].tolist()
    assert counts[1] > counts[0]
    assert lines[-2:] == list(plan.matters)


def test_plan_leaves_nothing_behind_where_nothing_was_asked_for(tmp_path, capsys, monkeypatch):
    study = write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())

    run_command(capsys, "plan", study)

    assert sorted(tmp_path.iterdir()) == before


def test_the_document_the_object_and_the_files_say_the_same(tmp_path, capsys):
    study, folder = write_study(tmp_path), tmp_path / "spring.study"

    code, out, _ = run_command(capsys, "plan", study, "--json", "-o", str(folder))

    document = json.loads(out)
    kept = json.loads((folder / "result.json").read_text())
    plan = wb.plan(wb.read_study(study))
    files = kept.pop("files")
    assert code == 0
    assert document == kept == json.loads(json.dumps(plan.to_dict()))
    assert set(files) == {path.name for path in folder.glob("*.parquet")}
    answers = pd.read_parquet(folder / "answers.parquet")
    pd.testing.assert_frame_equal(answers, plan.answers)
    assert answers.attrs == plan.answers.attrs
    assert [row["guests"] for row in document["answers"]] == answers["guests"].tolist()
    assert document["answers"][0]["drain_90_seconds"] is None  # It never drains.
    assert document["study"]["guests"][0]["recordings"][0]["name"] == "g0"
    assert document["lineage"]["study"] == wb.read_study(study).digest
    assert "spring" in repr(plan)
    assert "without reporting" in plan._repr_html_()


def test_what_was_swept_is_read_again_without_the_study(tmp_path, capsys):
    study, folder = write_study(tmp_path), tmp_path / "spring.study"
    _, planned, _ = run_command(capsys, "plan", study)

    code, swept, err = run_command(capsys, "sweep", study, "-o", str(folder))
    assert (code, err) == (0, "")
    assert "what guests need                  5                  0" in swept
    _, again, _ = run_command(capsys, "sweep", study, "-o", str(folder), "--json")
    assert json.loads(again)["done"] == {"profiles": 0, "sums": 0, "swaps": 0}
    Path(study).unlink()

    assert run_command(capsys, "plan", str(folder)) == (0, planned, "")


def test_workers_of_this_machine_give_the_same_result(tmp_path, capsys):
    study = write_study(tmp_path)
    _, alone, _ = run_command(capsys, "plan", study, "--json")

    assert run_command(capsys, "plan", study, "--json", "--workers", "2") == (0, alone, "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["plan", "STUDY", "--scheduler", "tcp://127.0.0.1:1x"], 4, "no scheduler of Dask"),
        (["plan", "STUDY", "--scheduler", "a", "--workers", "1"], 2, "leave out one"),
        (["plan", "STUDY", "-o", "."], 2, "exists and is no earlier study; name another folder"),
        (["plan", "."], 3, "has no result.json, expected the folder of a study"),
        (["plan", ".", "-o", "x"], 2, "is a folder, and its answer only read"),
        (["plan", "nothing.toml"], 3, "nothing.toml"),
        (["sweep", "STUDY"], 2, "--output"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path, capsys, monkeypatch, arguments, code, said):
    study = write_study(tmp_path)
    monkeypatch.chdir(tmp_path)

    found, out, err = run_command(
        capsys, *(study if word == "STUDY" else word for word in arguments)
    )

    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_file_of_the_result_that_was_changed_is_noticed(tmp_path, capsys):
    study, folder = write_study(tmp_path), tmp_path / "spring.study"
    run_command(capsys, "sweep", study, "-o", str(folder))
    (folder / "answers.parquet").write_bytes(b"other")

    code, _, err = run_command(capsys, "plan", str(folder))
    assert code == 3
    assert "answers.parquet: is not what result.json says it is; compute the study" in err

    assert run_command(capsys, "plan", study, "-o", str(folder))[0] == 0
    assert run_command(capsys, "plan", str(folder))[0] == 0
