"""`workbench repair`, `slice` and `anonymize`: their documents, their text, and their refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.synthetic import TWO_BLOCKS, manifest, two_block_samples, write_trace, write_two_blocks
from workbench.cli.app import run
from workbench.schema import EVENTS
from workbench.trace import TraceWriter, read_trace


def document(capsys, *arguments):
    """Run a command that must succeed, and read what it printed."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)


def killed(path):
    """A trace whose capture was killed, with a segment that is cut."""
    writer = TraceWriter(path, manifest(complete=False))
    for first in (0, 4, 8):
        rows = TWO_BLOCKS[first : first + 4]
        values = {name: [row.get(name, 0) for row in rows] for name in EVENTS.column_names}
        writer.append("events", values | {"sequence": [first + n + 1 for n in range(len(rows))]})
    writer.append("samples", two_block_samples())
    segment = path / "events/000002-000002.parquet"
    segment.write_bytes(segment.read_bytes()[:100])
    return path


def test_repair_says_what_was_kept_and_what_was_lost(tmp_path, capsys):
    path, output = killed(tmp_path / "x.trace"), tmp_path / "r.trace"
    found = document(capsys, "repair", str(path), "-o", str(output))

    assert found["rows"] == {"events": 7, "state": 0, "guest_samples": 0, "samples": 20}
    assert found["lost_events"] == 4
    assert found["was_complete"] is False
    assert [one["file"] for one in found["dropped"]] == ["000002-000002.parquet"]
    assert run(["replay", str(output)]) == 7
    assert run(["replay", str(output), "--allow-lost"]) == 0


def test_the_text_of_a_repair_names_every_file(tmp_path, capsys):
    path = killed(tmp_path / "x.trace")
    (path / "samples/.000002-000002.parquet.partial").touch()
    code = run(["repair", str(path), "-o", str(tmp_path / "r.trace")])
    shown = capsys.readouterr().out

    assert code == 0
    assert "events: 7 rows kept" in shown
    assert "samples/.000002-000002.parquet.partial: never finished, left out" in shown
    assert "000002-000002.parquet" in shown
    assert "4 events are known to be lost" in shown


def test_a_slice_says_what_is_in_it(tmp_path, capsys):
    write_two_blocks(tmp_path)
    path, output = str(tmp_path / "two-blocks.trace"), tmp_path / "s.trace"
    found = document(capsys, "slice", path, "--from", "1.5s", "--to", "5s", "-o", str(output))
    metrics = document(capsys, "replay", str(output))["metrics"]

    assert found["events"] == 5
    assert found["duration_ns"] == 3_500_000_000
    assert found["virtual_machines"] == ["guest0"]
    assert metrics["resident_bytes_peak"]["value"] == 4 << 20


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--from", "11s"], 2, "is 10.00 s long, so nothing begins at 11.00 s"),
        (["--from", "5s", "--to", "4s"], 2, "no time at all"),
        (["--from", "soon"], 2, "'soon' is not a duration"),
        (["--vm", "nobody"], 2, "has no machine 'nobody', expected one of guest0"),
    ],
)
def test_a_slice_of_nothing_is_refused(tmp_path, capsys, options, code, text):
    write_two_blocks(tmp_path)
    output = tmp_path / "s.trace"

    assert run(["slice", str(tmp_path / "two-blocks.trace"), *options, "-o", str(output)]) == code
    assert text in capsys.readouterr().err
    assert not output.exists()


def test_an_anonymous_trace_names_nobody(tmp_path, capsys):
    write_two_blocks(tmp_path)
    output = tmp_path / "a.trace"
    found = document(capsys, "anonymize", str(tmp_path / "two-blocks.trace"), "-o", str(output))

    assert found["virtual_machines"] == ["guest0"]
    assert found["events"] == len(TWO_BLOCKS)
    assert read_trace(output).manifest.scenario == ""


@pytest.mark.parametrize("command", ["repair", "slice", "anonymize"])
def test_what_is_there_is_not_replaced(tmp_path, capsys, command):
    write_two_blocks(tmp_path)
    path = str(tmp_path / "two-blocks.trace")
    (tmp_path / "there").touch()

    assert run([command, path, "-o", str(tmp_path / "there")]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["repair", "slice", "anonymize"])
def test_the_text_says_where_the_trace_is(tmp_path, capsys, command):
    write_two_blocks(tmp_path)
    output = str(tmp_path / "made.trace")

    assert run([command, str(tmp_path / "two-blocks.trace"), "-o", output]) == 0
    assert output in capsys.readouterr().out


def test_control_characters_in_a_name_do_not_reach_the_terminal(tmp_path, capsys):
    """A name in a trace may be anything; the JSON has it as it is."""
    facts = manifest().virtual_machines[0].model_copy(update={"name": "\x1b[2Jx\u202ey"})
    write_trace(tmp_path / "x.trace", TWO_BLOCKS, machines=[facts])
    assert run(["info", str(tmp_path / "x.trace")]) == 0
    shown = capsys.readouterr().out
    found = document(capsys, "info", str(tmp_path / "x.trace"))

    assert "\x1b" not in shown
    assert "\\x1b[2Jx\\u202ey" in shown
    assert found["machines"][0]["name"] == "\x1b[2Jx\u202ey"


def test_more_memory_than_there_is_is_one_sentence(tmp_path, capsys):
    """A manifest of a kilobyte can name a guest of 64 TiB."""
    machine = manifest().virtual_machines[0]
    block = machine.ram_blocks[0].model_copy(update={"used_bytes": 1 << 46})
    facts = machine.model_copy(update={"ram_blocks": (block,)})
    write_trace(tmp_path / "x.trace", TWO_BLOCKS, machines=[facts])

    assert run(["replay", str(tmp_path / "x.trace")]) == 4
    said = capsys.readouterr().err
    assert "to replay 17,179,869,184 pages of guests takes 64.00 GiB" in said
    assert len(said.splitlines()) == 1


FILL = """
import sys
from pathlib import Path
import numpy as np
from tests.synthetic import manifest
from workbench.cli.app import run
from workbench.errors import HostError
from workbench.trace import TraceWriter

writer = TraceWriter(Path(sys.argv[1]), manifest(complete=False))
chance = np.random.default_rng(0)
for number in range(1000):
    time_ns = np.arange(3000) + 3000 * number
    wild = chance.integers(0, 2**60, 3000)
    rows = {"time_ns": time_ns, "kind": np.full(3000, 15), "ram_block": np.full(3000, -1)}
    try:
        writer.append("events", {**rows, "status": wild})
    except HostError as error:
        print(number, error)
        break
"""


@pytest.mark.live
def test_a_full_disk_leaves_all_whole_segments(tmp_path, capsys):
    """On a file system of 300 KiB: one sentence, no half file, and what was written is read."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "small", folder], check=True)
    try:
        filled = subprocess.run(
            [sys.executable, "-c", FILL, str(folder / "x.trace")],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        number, _, said = filled.stdout.strip().partition(" ")
        events = read_trace(folder / "x.trace").columns("events")
        code = run(["repair", str(folder / "x.trace"), "-o", str(folder / "y.trace")])
        left = sorted(path.name for path in folder.iterdir())
    finally:
        subprocess.run(["umount", folder], check=True)

    path = folder / f"x.trace/events/{int(number) + 1:06d}-{int(number) + 1:06d}.parquet"
    assert said == (
        f"{path}: cannot be written (No space left on device); free some room or name another "
        "folder"
    )
    assert events["time_ns"].size == 3000 * int(number) > 0
    assert code == 4
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert left == ["x.trace"]
