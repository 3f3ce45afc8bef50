"""`workbench conform`: keys, exit codes, seeds, and what it shows."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from functools import partial

import pytest

from tests.validation.wrong_models import WRONG
from workbench.cli.app import run
from workbench.model.balloon.rules import RULES, UNPROVED
from workbench.validation import conform as conform_module
from workbench.validation.huge_pages import huge_pages
from workbench.validation.kinds import KINDS

KEYS = {"programs", "differences", "seed", "rules", "kinds", "unproved"}
SECONDS_MAX = 60.0
"""Nothing here takes a tenth of it on a machine that has nothing else to do."""
QUICK = ("--kind", "early", "--kind", "poison", "--count", "40", "--workers", "1", "--seed", "s")


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
    assert err.rstrip().endswith(f"did you mean {meant!r}?")


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
        arguments = ("--kind", "poison", "--count", "40", "--seed", "s", "--corpus", "kept")
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
        assert (right[0], right[1]["kinds"]) == (0, {"stored": 1, "poison": 40})
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


def test_an_interrupted_run_says_what_it_has_done(monkeypatch, capsys):
    """A night's work that found nothing is worth knowing of."""

    def interrupted(wishes, show):
        show(conform_module.Outcome(wishes=wishes, programs={"early": 40}))
        raise KeyboardInterrupt

    monkeypatch.setattr(conform_module, "conform", interrupted)
    code, out, err = conform(capsys, *QUICK)

    assert (code, out) == (130, "")
    assert err.startswith("until then: 40 programs against QEMU")


def test_a_log_gets_a_line_a_minute(monkeypatch, capsys):
    """A million programs take most of an hour: a log says how far they are."""

    def slow(wishes, show):
        outcome = conform_module.Outcome(wishes=wishes)
        for programs, elapsed_s in ((10, 59.0), (20, 61.0), (30, 100.0), (40, 122.0)):
            outcome.programs["early"] = programs
            outcome.seconds["early"] = outcome.elapsed_s = elapsed_s
            show(outcome)
        return outcome

    monkeypatch.setattr(conform_module, "conform", slow)
    _, _, err = conform(capsys, *QUICK)

    assert [line.split(" programs")[0] for line in err.splitlines()] == ["20", "40"]
