"""`workbench lab` and `workbench live`: what they refuse, and what they do with a trace."""

from __future__ import annotations

import json

import pytest

from tests.synthetic import TWO_BLOCKS, two_block_samples, write_trace
from workbench import lab
from workbench.cli import app


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Instead of a guest: a trace written by hand.  Gives the settings it was asked for."""
    asked: list[object] = []

    def run_lab(settings, output, **_options):
        asked.append(settings)
        return write_trace(output, TWO_BLOCKS, samples=two_block_samples()).path

    monkeypatch.setattr(lab, "run_lab", run_lab)
    return asked


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Run a command; give exit code and what it said."""
    code = app.run(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["churn", "--memory", "lots"], "'lots' is no size"),
        (["churn", "--swap", "5x"], "'5x' is no size"),
        (["churn", "--memory-limit", "-1"], "'-1' is no size"),
        (["churn", "--settle", "soon"], "'soon' is not a duration"),
        (["churn", "--poison", "maybe"], "maybe"),
        (["churm"], "did you mean 'churn'"),
        (["churn", "--order", "11"], "choose 0 (4 KiB) to 10 (4 MiB)"),
        (["churn", "--migrate-at", "nowhere"], "has no step 'nowhere'"),
        (["churn", "--keep-stream", "x.stream"], "give --migrate-at, and one guest"),
        (
            ["churn", "--migrate-at", "2", "--guests", "2", "--keep-stream", "x.stream"],
            "give --migrate-at, and one guest",
        ),
        (["churn", "--migrate-at", "2", "--keep-stream", "/no/such/x"], "its folder is not"),
    ],
)
def test_what_a_lab_run_cannot_be_is_wrong_usage(played, capsys, tmp_path, options, text) -> None:
    """Exit code 2 and one sentence, before anything is started."""
    code, _, said = run(capsys, "lab", "run", *options, "-o", str(tmp_path / "x.trace"))

    assert code == 2
    assert text in said
    assert played == []


def test_logs_of_qemu_go_to_the_folder_that_is_named(monkeypatch, capsys, tmp_path) -> None:
    """It is made, and the lab is told."""
    told = []

    def run_lab(_settings, output, *, qemu_logs, **_options):
        told.append((qemu_logs, qemu_logs.is_dir()))
        return write_trace(output, TWO_BLOCKS).path

    monkeypatch.setattr(lab, "run_lab", run_lab)
    words = ("--qemu-logs", str(tmp_path / "new" / "logs"), "-o", str(tmp_path / "x.trace"))
    code, _, _ = run(capsys, "lab", "run", "churn", *words)

    assert code == 0
    assert told == [(tmp_path / "new" / "logs", True)]


def test_an_existing_folder_is_not_overwritten(played, capsys, tmp_path) -> None:
    """A trace is never replaced by a run of the lab."""
    code, _, said = run(capsys, "lab", "run", "churn", "-o", str(tmp_path))

    assert code == 2
    assert "exists already" in said
    assert played == []


def test_the_options_become_the_settings(played, capsys, tmp_path) -> None:
    """Every option reaches the lab, in bytes and seconds."""
    options = "--reporting off --order 0 --page-poison off --hint --memory 1G --vcpus 2 --guests 2"
    options += " --memory-limit 300M --swap 2G --page-cluster 3 --access"
    options += " --migrate-at 3 --attach-after 2 --settle 1m"
    code, out, _ = run(
        capsys, "lab", "run", "churn", *options.split(), "-o", str(tmp_path / "x.trace"), "--json"
    )
    (settings,) = played

    assert code == 0
    assert json.loads(out)["lost_events"] == 0
    assert settings.as_text() == {
        "memory_bytes": str(1 << 30),
        "vcpu_count": "2",
        "guest_count": "2",
        "reporting": "False",
        "reporting_order": "0",
        "page_poison": "False",
        "poison": "none",
        "free_page_hint": "True",
        "migrate_at": "3",
        "attach_after": "2",
        "accelerator": "tcg",
        "memory_limit_bytes": str(300 << 20),
        "zram_bytes": str(2 << 30),
        "swap_file_bytes": "None",
        "page_cluster": "3",
        "record_access": "True",
        "lock_memory": "False",
        "settle_s": "60.0",
    }


def test_the_bundled_scenarios_are_listed(capsys) -> None:
    """The five that a user can count on, and the rest."""
    code, out, _ = run(capsys, "lab", "scenarios", "--json")

    assert code == 0
    assert {"churn", "staircase", "idle", "file-cache", "fragment"} <= set(
        json.loads(out)["scenarios"]
    )


def test_live_lays_the_replay_over_the_measurement(played, capsys, tmp_path) -> None:
    """A table, the model's own error in a sentence, a chart and the trace."""
    output = tmp_path / "out"
    code, out, _ = run(capsys, "live", "--seed", "7", "-o", str(output))

    assert code == 0
    assert played[0].scenario.name == lab.random_scenario(7).name
    assert "by 0 pages at the last quiet sample" in out
    assert (output / "resident_memory.png").stat().st_size > 1000
    assert (output / "live.trace/manifest.json").is_file()


@pytest.mark.usefixtures("played")
def test_live_replaces_only_what_it_made_and_only_when_it_has_something_new(
    capsys, tmp_path, monkeypatch
) -> None:
    """A run that fails leaves the one before; a folder of somebody else's is refused."""
    output = tmp_path / "out"
    run(capsys, "live", "-o", str(output))
    before = (output / "live.trace/manifest.json").stat().st_ino

    def fail(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(lab, "run_lab", fail)
    code, _, _ = run(capsys, "live", "-o", str(output))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("dear")
    refused, _, said = run(capsys, "live", "-o", str(tmp_path / "mine"))

    assert code == 130
    assert (output / "live.trace/manifest.json").stat().st_ino == before
    assert refused == 2
    assert "not from an earlier run" in said


def test_live_takes_a_scenario_or_a_seed(played, capsys, tmp_path) -> None:
    """Both at once is a mistake."""
    arguments = ("--seed", "1", "--scenario", "churn", "-o", str(tmp_path / "out"))
    code, _, said = run(capsys, "live", *arguments)

    assert code == 2
    assert "not both" in said
    assert played == []


def test_losses_are_an_exit_code_of_their_own(monkeypatch, capsys, tmp_path) -> None:
    """7, unless the caller allows it; the trace is kept either way."""

    def run_lab(_settings, output, **_options):
        return write_trace(output, TWO_BLOCKS, samples=two_block_samples(), lost=3).path

    monkeypatch.setattr(lab, "run_lab", run_lab)
    paths = [str(tmp_path / f"{number}.trace") for number in range(2)]
    strict, _, said = run(capsys, "lab", "run", "quick", "-o", paths[0])
    lenient, _, _ = run(capsys, "lab", "run", "quick", "-o", paths[1], "--allow-lost")

    assert (strict, lenient) == (7, 0)
    assert "3 events were lost; the trace is kept" in said


@pytest.mark.parametrize("arguments", [[], ["readahead", "--seed", "1"]])
def test_an_overcommitted_host_has_one_scenario(capsys, tmp_path, arguments) -> None:
    """Named or made up."""
    code, _, said = run(capsys, "lab", "overcommit", *arguments, "-o", str(tmp_path / "x"))

    assert code == 2
    assert "give a scenario, or --seed to make one up; not both" in said


def test_a_made_up_scenario_is_run_on_the_host_it_asks_for(monkeypatch, capsys, tmp_path) -> None:
    """Two guests, a limit and swap; the seed names it."""
    asked = []

    def run_lab(settings, output, **_options):
        asked.append(settings)
        return write_trace(output, TWO_BLOCKS, samples=two_block_samples()).path

    monkeypatch.setattr(lab.repeats, "run_lab", run_lab)
    options = ["--seed", "5", "--repeats", "1", "--setting", "on", "-o", str(tmp_path / "x")]
    code, out, _ = run(capsys, "lab", "overcommit", *options)

    assert code == 0
    assert [(one.scenario.name, one.guest_count) for one in asked] == [("random-overcommit-5", 2)]
    assert asked[0].memory_limit_bytes
    assert asked[0].zram_bytes
    assert "pswpout" in out


def test_repeated_runs_take_turns_and_are_summed_up(monkeypatch, capsys, tmp_path) -> None:
    """Each is a trace; the table ends with the mean of each setting."""

    def run_lab(_settings, output, **_options):
        return write_trace(output, TWO_BLOCKS, samples=two_block_samples()).path

    monkeypatch.setattr(lab.repeats, "run_lab", run_lab)
    folder = tmp_path / "runs"
    code, out, _ = run(capsys, "lab", "repeat", "idle", "--repeats", "2", "-o", str(folder))

    assert code == 0
    names = ["off-01", "off-02", "on-01", "on-02"]
    assert sorted(p.stem for p in folder.glob("*.trace")) == names
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [
        ["on", "1"],
        ["off", "1"],
        ["off", "2"],
        ["on", "2"],
        ["on", "mean"],
        ["off", "mean"],
    ]
    assert json.loads((folder / "runs.json").read_text())["runs_planned"] == 4
