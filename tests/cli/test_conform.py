"""`workbench conform`: keys, exit codes, seeds, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.validation.wrong_models import WRONG
from workbench.cli.app import run
from workbench.model.balloon.rules import RULES, UNPROVED
from workbench.validation import conform as conform_module
from workbench.validation.huge_pages import huge_pages
from workbench.validation.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"programs", "differences", "seed", "rules", "kinds", "unproved"}
SECONDS_MAX = 60.0
"""Nothing here takes a tenth of it on a machine that has nothing else to do."""
POLL_S = 0.02
QUICK = ("--kind", "early", "--kind", "poison", "--count", "40", "--workers", "1", "--seed", "s")
POOL_PAGES = 5

COMMAND = """
import dataclasses, functools, pathlib, signal, sys
from workbench.cli.app import run
from workbench.validation import conform, corpus, huge_pages
signal.signal(signal.SIGINT, signal.default_int_handler)
pool = pathlib.Path(sys.argv[1])
conform.huge_pages = functools.partial(huge_pages.huge_pages, pool=pool)
corpus.BUNDLED = "absent"
reporting = dataclasses.replace(conform.KINDS["reporting"], needs=frozenset({"huge pages"}))
conform.KINDS = conform.KINDS | {"reporting": reporting}
sys.exit(run(sys.argv[2:]))
"""
"""The command: interruptible, with a file for a pool of huge pages, and nothing stored.

Huge pages are borrowed for a kind whose machines take none, because there are none."""


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Go where nothing is stored, neither here nor with the package, and without huge pages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workbench.validation.corpus.BUNDLED", "absent")
    absent = partial(huge_pages, pool=tmp_path / "absent")
    monkeypatch.setattr(conform_module, "huge_pages", absent)


class Inline:
    """Stands in for worker processes: does the work here, where the model may have been patched."""

    def __init__(self, *_arguments, **_options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        pass

    def submit(self, task):
        (future := Future()).set_result(task())
        return future

    def shutdown(self, **_options):
        pass


@pytest.fixture
def inline(monkeypatch, alone):
    """Start no processes but QEMUs, which is quicker."""
    del alone
    monkeypatch.setattr(conform_module, "ProcessPoolExecutor", Inline)


@pytest.fixture
def wrong(inline):
    """Ignore poison in the model; give the patch, to be undone."""
    del inline
    with pytest.MonkeyPatch.context() as patch:
        WRONG["poison_is_ignored"][0](patch)
        yield patch


def conform(capsys, *arguments):
    """Run the command; give its exit code and what it said."""
    code = run(["conform", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def conform_json(capsys, *arguments):
    """Run the command with --json; give its exit code, its document and its notes."""
    code, out, err = conform(capsys, *arguments, "--json")
    return code, json.loads(out), err


def is_a_sentence(text):
    """Whether it is one line of the command's, and no traceback."""
    return text.startswith("workbench: ") and text.count("\n") == 1 and "bug" not in text


@pytest.mark.parametrize(
    ("name", "meant"),
    [("reportng", "reporting"), ("Poison", "poison"), ("huge page", "huge pages")],
)
def test_a_kind_that_does_not_exist_is_answered_with_the_closest(capsys, name, meant):
    code, out, err = conform(capsys, "--kind", "early", "--kind", name)

    assert (code, out) == (2, "")
    assert f"'{name}'" in err
    assert err.rstrip().endswith(f"did you mean {meant}?")


@pytest.mark.parametrize(
    "options",
    ["--count 0", "--count many", "--seconds 0", "--seconds soon", "--workers 0", "traces"],
)
def test_what_a_run_cannot_be_is_wrong_usage(capsys, options):
    code, out, err = conform(capsys, *options.split())

    assert (code, out) == (2, "")
    assert is_a_sentence(err)


@pytest.mark.parametrize(
    ("qemu", "where"),
    [("/bin/true", "alone")]
    + [(name, "inline") for name in ("/absent/qemu", "absent-qemu", "/bin/cat", "/etc/passwd", "")],
)
def test_what_is_no_qemu_is_told_in_one_sentence(capsys, request, qemu, where):
    """Also by a worker: an error comes out of it as it went in."""
    request.getfixturevalue(where)
    code, out, err = conform(capsys, "--qemu", qemu, *QUICK)

    assert (code, out) == (4, "")
    assert is_a_sentence(err)
    assert qemu in err


@pytest.mark.usefixtures("inline")
def test_a_corpus_that_is_a_file_is_told_before_the_run(capsys, tmp_path):
    """Else what is found could not be kept."""
    (tmp_path / "file").write_text("")
    code, out, err = conform(capsys, "--corpus", "file", *QUICK)

    assert code in {2, 3}
    assert out == ""
    assert is_a_sentence(err)
    assert "file" in err


@pytest.mark.qemu
class TestRuns:
    def test_the_document_says_what_was_run_and_what_for(self, capsys, alone, monkeypatch):
        """At least one program of each kind that the host can run; workers make no difference."""
        del alone
        arguments = ("--count", "60", "--seed", "s", "--workers", "2")
        code, document, notes = conform_json(capsys, *arguments)
        monkeypatch.setattr(conform_module, "ProcessPoolExecutor", Inline)
        again = conform_json(capsys, *arguments[:-1], "1")[1]

        assert code == 0
        assert set(document) >= KEYS
        assert document["differences"] == []
        assert document["seed"] == "s"
        assert document["unproved"] == list(UNPROVED)
        assert document["programs"] == sum(document["kinds"].values()) >= len(KINDS) - 1
        assert set(document["kinds"]) == set(KINDS) - {"huge pages"}
        assert list(document["left_out"]) == ["huge pages"]
        assert "left out: huge pages: " in notes
        assert set(document["rules"]) == set(RULES)
        assert [document[key] == again[key] for key in ("kinds", "rules", "seed")] == [True] * 3

    @pytest.mark.usefixtures("inline")
    def test_without_a_seed_one_is_drawn_and_told(self, capsys):
        """So that the run can be repeated."""
        arguments = ("--kind", "early", "--count", "20")
        first = conform_json(capsys, *arguments)[1]
        other = conform_json(capsys, *arguments)[1]
        again = conform_json(capsys, *arguments, "--seed", first["seed"])[1]

        assert first["seed"] != other["seed"]
        assert first["rules"] == again["rules"] != other["rules"]

    @pytest.mark.usefixtures("inline")
    def test_the_text_says_the_same(self, capsys):
        code, out, err = conform(capsys, *QUICK)

        assert (code, err) == (0, "")
        assert {"poison.cleared", "never"} <= set(out.split())
        assert out.rstrip().endswith("0 differ; seed s")
        assert "40 programs against QEMU " in out

    @pytest.mark.parametrize("count", [(), ("--count", "1000000")])
    @pytest.mark.usefixtures("inline")
    def test_seconds_bound_a_run(self, capsys, count):
        """What has begun is finished: a machine's programs take two seconds at most."""
        started = time.monotonic()
        arguments = ("--kind", "reporting", "--seconds", "100ms", *count)
        code, document, _ = conform_json(capsys, *arguments, "--workers", "1")

        assert code == 0
        assert document["programs"] < 100_000
        assert time.monotonic() - started < SECONDS_MAX

    @pytest.mark.usefixtures("inline")
    def test_coverage_can_be_required(self, capsys):
        """One kind does not do everything; without the option that is no failure."""
        arguments = ("--kind", "early", "--count", "20", "--seed", "s")
        lenient = conform(capsys, *arguments)
        code, out, err = conform(capsys, *arguments, "--require-coverage")
        (line,) = [line for line in out.splitlines() if line.startswith("never exercised: ")]
        missing = line.removeprefix("never exercised: ").split(", ")
        document = conform_json(capsys, *arguments, "--require-coverage")[1]

        assert (lenient[0], code, err) == (0, 5, "")
        assert {"hint.pages", "stats.polled", "migrate.refused"} <= set(missing)
        assert missing == [rule for rule in RULES if not document["rules"][rule]]

    def test_a_difference_is_shown_kept_and_found_again(self, capsys, wrong, tmp_path):
        """Until the model is right: then the program is one of those that are replayed."""
        arguments = ("--kind", "poison", "--count", "60", "--seed", "s", "--corpus", "kept")
        code, document, _ = conform_json(capsys, *arguments)
        (difference,) = document["differences"]
        stored = tmp_path / difference["stored"]
        again, text, _ = conform(capsys, *arguments)
        wrong.undo()
        right = conform_json(capsys, *arguments)

        assert code == again == 5
        assert {"kind", "setup", "steps", "difference"} <= set(difference)
        assert difference["kind"] == "poison"
        assert len(difference["steps"]) <= 6
        assert json.loads(stored.read_text("utf-8"))["steps"] == difference["steps"]
        assert text.count("poison: trace, entry 0 after step ") == 2
        assert text.count(f"kept in {difference['stored']}") == 2
        assert [path.name for path in stored.parent.iterdir()] == [stored.name]
        assert (right[0], right[1]["kinds"]) == (0, {"stored": 1, "poison": 60})
        assert (right[1]["replayed"], right[1]["differences"]) == (1, [])

    @pytest.mark.usefixtures("wrong")
    def test_a_difference_is_shown_although_it_cannot_be_kept(self, capsys, tmp_path, monkeypatch):
        """The folder was there when the run began; a night's work is not lost for it."""

        def full(*_arguments):
            raise OSError(28, "No space left on device", str(tmp_path / "kept"))

        monkeypatch.setattr(conform_module, "store_program", full)
        code, out, err = conform(capsys, "--kind", "poison", "--count", "60", "--seed", "s")

        assert code != 0
        assert "the model says" in out
        assert "No space left" in out + err

    @pytest.mark.parametrize(
        "steps", [[["kick"]], [["kick", 0, 2, 3]], [["poke", 0x480000, "no hexadecimal"]]]
    )
    @pytest.mark.usefixtures("inline")
    def test_a_stored_program_with_wrong_operands_is_named(self, capsys, tmp_path, steps):
        folder = tmp_path / "kept"
        folder.mkdir()
        program = {"kind": "poison", "setup": {}, "steps": steps, "difference": ""}
        (folder / "wrong.json").write_text(json.dumps(program))
        code, out, err = conform(capsys, *QUICK, "--corpus", "kept")

        assert (code, out) == (3, "")
        assert is_a_sentence(err)
        assert "wrong.json" in err


def read_to_the_end(terminal):
    """Read what is shown on a terminal until nobody is left to write."""
    shown = b""
    with contextlib.suppress(OSError):  # What a terminal says instead of an end.
        while piece := os.read(terminal, 1 << 16):
            shown += piece
    os.close(terminal)
    return shown.decode()


class Running:
    """The command in a process of its own, with folders of its own."""

    def __init__(self, folder, *arguments, stderr=subprocess.PIPE):
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.pool = folder / "pool"
        self.pool.write_text(str(POOL_PAGES))
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(self.pool), "conform", *arguments],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def processes(self, name=""):
        """Find our processes by their environment, those of a program (`name`) or all."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            try:
                mine = folder.name.isdigit() and mark in (folder / "environ").read_bytes()
                if mine and (folder / "comm").read_text("utf-8").startswith(name):
                    found.append(int(folder.name))
            except OSError:
                continue  # It is another user's, or has ended.
        return found

    def wait_until(self, holds):
        """Wait for a condition."""
        deadline = time.monotonic() + SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(POLL_S)

    def interrupt(self, *, everybody):
        """Do what Ctrl-C does, to the command and all that it has started, or to it alone."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if everybody else os.kill)(self.process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.3)

    def wait_for_qemus(self, count):
        self.wait_until(lambda: len(self.processes("qemu")) >= count)


LONG = ("--kind", "reporting", "--seed", "s", "--workers", "2", "--count", "1000000")
"""Longer than anybody waits."""


@pytest.mark.qemu
class TestEnding:
    @pytest.mark.parametrize(("times", "everybody"), [(1, True), (2, False)])
    def test_an_interrupt_leaves_nothing(self, tmp_path, times, everybody):
        """No QEMU, no worker, no folder, no huge page; also where somebody is impatient."""
        with Running(tmp_path, *LONG) as running:
            running.wait_for_qemus(2)
            borrowed = int(running.pool.read_text()) - POOL_PAGES
            for _ in range(times):
                running.interrupt(everybody=everybody)
            out, err = running.process.communicate(timeout=SECONDS_MAX)
            running.wait_until(lambda: not running.processes())

            # Python that is interrupted while it ends says so, and to the kernel too.
            assert running.process.returncode in {130, 130 if times == 1 else -signal.SIGINT}
            assert out == ""
            assert times > 1 or re.fullmatch(r"(interrupted: [\d,]+ programs .*seed s\n)?", err)
            assert borrowed > 0
            assert int(running.pool.read_text()) == POOL_PAGES
            assert list(running.temporary.iterdir()) == []
            assert not (tmp_path / "conform-corpus").exists()

    def test_an_interrupted_run_says_what_it_has_done(self, monkeypatch, capsys):
        """A night's work that found nothing is worth knowing of."""

        def interrupted(wishes, show):
            show(conform_module.Outcome(wishes=wishes, programs={"early": 40}))
            raise KeyboardInterrupt

        monkeypatch.setattr(conform_module, "conform", interrupted)
        code, out, err = conform(capsys, *QUICK)

        assert (code, out) == (130, "")
        assert err.startswith("interrupted: 40 programs against QEMU")

    def test_a_kill_leaves_no_process(self, tmp_path):
        """Nobody is left who could clean up: processes end by themselves."""
        with Running(tmp_path, *LONG) as running:
            running.wait_for_qemus(2)
            running.process.kill()
            running.wait_until(lambda: not running.processes("qemu"))
            running.wait_until(lambda: not running.processes())

    def test_a_run_that_has_nothing_to_do_ends(self, tmp_path):
        """Its only kind is left out: it does not wait for the time to pass, or for ever."""
        with Running(tmp_path, "--kind", "huge pages", "--seconds", "1s") as running:
            running.pool.unlink()
            _, err = running.process.communicate(timeout=SECONDS_MAX)

            assert (running.process.returncode, "cannot set aside" in err) == (4, True)

    def test_a_killed_worker_is_told(self, tmp_path):
        """As when the host runs out of memory: one sentence, and no QEMU without its worker."""
        with Running(tmp_path, *LONG) as running:
            running.wait_for_qemus(2)
            parent = (Path("/proc") / str(running.processes("qemu")[0]) / "stat").read_text()
            os.kill(int(parent.rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
            out, err = running.process.communicate(timeout=SECONDS_MAX)

            assert (running.process.returncode, out) == (4, "")
            assert is_a_sentence(err)
            assert running.processes() == []
            assert int(running.pool.read_text()) == POOL_PAGES

    def test_stdout_is_one_document_whatever_a_terminal_shows(self, tmp_path):
        """A bar is drawn on stderr."""
        ours, theirs = pty.openpty()
        arguments = (*QUICK, "--kind", "reporting", "--json")
        with (
            ThreadPoolExecutor() as threads,
            Running(tmp_path, *arguments, stderr=theirs) as running,
        ):
            os.close(theirs)
            # Whoever does not read a terminal stops those who write to it.
            shown = threads.submit(read_to_the_end, ours)
            out, _ = running.process.communicate(timeout=SECONDS_MAX)

        assert running.process.returncode == 0
        assert json.loads(out)["programs"] > 30
        assert "programs" in shown.result()
