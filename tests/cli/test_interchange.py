"""`workbench import qemu-log`, `import csv` and `export`: documents, exit codes, and words."""

from __future__ import annotations

import json

import pytest

from tests.qemu_lines import BASE, LINES, VCPU
from tests.synthetic import write_two_blocks
from workbench.cli.app import run
from workbench.trace import read_trace
from workbench.units import MIB


@pytest.fixture
def log(tmp_path):
    """A log of a guest of 16 MiB."""
    path = tmp_path / "qemu.log"
    path.write_text("".join(LINES))
    return path


def run_json(capsys, *words):
    """Run a command with --json: its exit code, its document, and what it said beside it."""
    code = run([*map(str, words), "--json"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


def test_a_log_becomes_a_trace(log, tmp_path, capsys):
    code, document, notes = run_json(
        capsys, "import", "qemu-log", log, "--memory", "16M", "--name", "web", "-o", tmp_path / "x"
    )

    assert code == 0
    assert document["virtual_machines"] == ["web"]
    assert document["lost_events"] == 1
    assert "pc.ram begins at 0x7f0000000000" in notes
    assert "virtqueue_pop: QEMU did not discard 1 range" in notes
    manifest = read_trace(tmp_path / "x").manifest
    assert manifest.command.startswith("workbench")


def test_size_and_base_can_be_given_for_each_block(log, tmp_path, capsys):
    sizes = ["--memory", "pc.ram=32M", "--host-base", f"pc.ram={BASE - 2 * MIB:#x}"]
    code, _, _ = run_json(capsys, "import", "qemu-log", log, *sizes, "-o", tmp_path / "x")

    assert code == 0
    assert read_trace(tmp_path / "x").columns("events")["offset_bytes"].max() == 16 * MIB


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--memory", "1M"], 2, "give the memory that its QEMU was started with"),
        (["--memory", "lots"], 2, "'lots' is no size"),
        (["--host-base", "here"], 2, "expected an address such as 0x7f9e43e00000"),
        (["--memory", "a=1M", "--memory", "a=2M"], 2, "was given already"),
        (["--memory", "a=1M", "--memory", "2M"], 2, "say NAME=... each time"),
    ],
)
def test_wrong_options_are_one_sentence(log, tmp_path, capsys, words, code, said):
    assert run(["import", "qemu-log", str(log), *words, "-o", str(tmp_path / "x")]) == code
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["qemu.log"]


@pytest.mark.parametrize("form", ["qemu-log", "csv"])
def test_what_is_not_there_or_is_no_file_is_bad_input(form, tmp_path, capsys):
    for path in (tmp_path / "missing", tmp_path):
        assert run(["import", form, str(path), "--memory", "1M", "-o", str(tmp_path / "x")]) == 3
        assert "cannot be read" in capsys.readouterr().err


def test_info_and_replay_say_what_a_log_cannot(log, tmp_path, capsys):
    trace = str(tmp_path / "x.trace")
    run(["import", "qemu-log", str(log), "--memory", "16M", "-o", trace])
    capsys.readouterr()

    assert run(["info", trace]) == 0
    shown = capsys.readouterr().out
    assert "no: QEMU's log has no faults" in shown
    assert "1 not_discarded" in shown

    # A range that QEMU did not discard is an event that is not there.
    assert run(["replay", trace]) == 7
    assert run(["replay", trace, "--allow-lost"]) == 0
    shown = capsys.readouterr()
    assert "discarded_bytes" in shown.out
    assert "resident_bytes" not in shown.out
    assert "the trace has no faults" in shown.err

    assert run(["replay", trace, "--set", "host.memory_bytes=8M"]) == 8
    assert run(["curve", trace]) == 8


def test_a_result_without_memory_has_no_chart(log, tmp_path, capsys):
    trace, result = str(tmp_path / "x.trace"), tmp_path / "result"
    run(["import", "qemu-log", str(log), "--memory", "16M", "-o", trace])
    assert run(["replay", trace, "--allow-lost", "-o", str(result)]) == 0

    assert sorted(path.name for path in result.iterdir()) == ["ledger.parquet", "result.json"]
    assert "result and ledger:" in capsys.readouterr().out


def test_csv_goes_out_and_comes_in(tmp_path, capsys):
    of = write_two_blocks(tmp_path)
    code, document, _ = run_json(capsys, "export", "csv", of.path, "-o", tmp_path / "x.csv")
    assert code == 0
    assert document["files"][0] == str(tmp_path / "x.csv")

    code, document, _ = run_json(capsys, "import", "csv", tmp_path / "x.csv", "-o", tmp_path / "x")
    assert code == 0
    assert document["events"] == of.event_count
    assert read_trace(tmp_path / "x").digest == of.digest


def test_a_csv_of_ones_own_says_its_memory(tmp_path, capsys):
    path = tmp_path / "own.csv"
    path.write_text("time_ns,kind,offset_bytes,length_bytes\n5,fault,0,4096\n")
    words = ["import", "csv", str(path), "-o", str(tmp_path / "x")]
    assert run(words) == 2
    assert "give --memory SIZE" in capsys.readouterr().err
    code, document, _ = run_json(capsys, *words, "--memory", "8M", "--name", "db")

    assert code == 0
    assert document["virtual_machines"] == ["db"]


def test_perfetto_gets_a_file(tmp_path, capsys):
    of = write_two_blocks(tmp_path)
    words = ["export", "perfetto", str(of.path), "-o", str(tmp_path / "x.json")]
    assert run(words) == 0
    assert "ui.perfetto.dev opens it" in capsys.readouterr().out
    assert json.loads((tmp_path / "x.json").read_text())["traceEvents"]
    assert run(words) == 2


def test_the_thread_of_the_example_is_another_than_the_process(log):
    """What stands before a line is a thread: this log is of one guest nevertheless."""
    assert f"\n{VCPU}@" in log.read_text()
