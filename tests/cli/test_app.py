"""The command line finds commands, and turns what goes wrong into sentences and exit codes."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from workbench import errors
from workbench.cli import app

TRACE = Path(__file__).parents[2] / "traces" / "churn-on.trace"
HEAVY = ("numpy", "numba", "pandas", "matplotlib", "pyarrow", "bcc", "rich")


@pytest.fixture
def failing(monkeypatch):
    """Make `workbench info` raise what a test wants, without importing the real command."""

    def arrange(error):
        command = app.command_app()

        @command.command()
        def info() -> None:
            raise error

        module = type("module", (), {"app": command})
        monkeypatch.setitem(sys.modules, "workbench.cli.info", module)

    return arrange


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [(["--help"], HEAVY), ([], HEAVY), (["--version"], HEAVY), (["doctor", "--help"], HEAVY)],
)
def test_help_imports_nothing_heavy(arguments, unwanted):
    code = (
        "import sys\n"
        "from workbench.cli.app import run\n"
        f"code = run({arguments!r})\n"
        f"print([name for name in {unwanted!r} if name in sys.modules], code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[] 0"
    assert done.stderr == ""


def test_a_replay_waits_for_no_frames_and_no_charts():
    code = (
        "import sys\n"
        "from workbench.cli.app import run\n"
        f"code = run(['replay', {str(TRACE)!r}])\n"
        "print([n for n in ('pandas', 'matplotlib', 'jinja2') if n in sys.modules], code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    assert app.run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    sub_commands = shown.partition("Commands:")[2].split("\n")
    if len(sub_commands) > 1:
        first = sub_commands[1].split()[0]
        assert app.run([name, first, "--help"]) == 0
        shown = capsys.readouterr().out
    assert f"Example: workbench {name}" in shown


@pytest.mark.parametrize("name", app.COMMANDS)
def test_importing_a_command_imports_no_room(name):
    module = app.COMMANDS[name].module
    heavy = tuple(item for item in HEAVY if item != "rich")
    code = f"import sys, {module}; print([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_help_lists_every_command(capsys):
    assert app.run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in app.COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"), [("repaly", "replay"), ("captur", "capture"), ("Info", "info")]
)
def test_a_misspelt_command_gets_the_closest_name(typed, meant, capsys):
    assert app.run([typed]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"there is no command '{typed}'; did you mean" in said.err
    assert meant in said.err


def test_a_command_like_no_other_points_to_the_help(capsys):
    assert app.run(["zzz"]) == 2
    assert "see `workbench --help`" in capsys.readouterr().err


def test_an_unknown_option_is_wrong_usage(capsys):
    assert app.run(["--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("no such setting"), 2),
        (errors.InputError("churn.trace: cut short"), 3),
        (errors.HostError("no bcc"), 4),
        (errors.LostEventsError("3 events lost"), 7),
        (errors.UnidentifiableError("captured with reporting off"), 8),
    ],
)
def test_an_error_is_one_sentence_and_its_own_exit_code(failing, error, code, capsys):
    failing(error)
    assert app.run(["info"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"workbench: {error}\n"


def test_a_bug_is_one_line_without_a_traceback(failing, monkeypatch, capsys):
    monkeypatch.delenv("WORKBENCH_DEBUG", raising=False)
    failing(ZeroDivisionError("division\nby zero"))
    assert app.run(["info"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in said
    assert "`workbench --debug COMMAND ...` prints where" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debugging_shows_where(failing, monkeypatch, capsys, how):
    monkeypatch.setenv("WORKBENCH_DEBUG", "1" if how == "variable" else "")
    failing(ZeroDivisionError("division by zero"))
    assert app.run(["info"] if how == "variable" else ["--debug", "info"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_130(failing, error, capsys):
    failing(error)
    assert app.run(["info"]) == 130
    assert capsys.readouterr().err == "workbench: interrupted\n"


def test_a_command_may_choose_its_exit_code(failing):
    failing(typer.Exit(5))
    assert app.run(["info"]) == 5


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.toml"), 3, "x.toml"),
        (OSError(errno.ENOSPC, "No space left on device", "out.png"), 4, "out.png"),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "the output"),
    ],
)
def test_the_operating_system_refusing_is_not_our_bug(failing, error, code, words, capsys):
    failing(error)
    assert app.run(["info"]) == code
    assert words in capsys.readouterr().err


def test_python_dash_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"workbench {importlib.import_module('workbench').__version__}\n"
