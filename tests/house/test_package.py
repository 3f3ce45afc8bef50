"""The package installs as a wheel, runs outside the checkout, and imports lazily."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_to_end(*command, cwd):
    """Run a program away from the checkout, however it ends."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # What is borrowed brings data too, such as the templates of nbconvert.
    environment["JUPYTER_PATH"] = str(Path(sysconfig.get_path("data")) / "share/jupyter")
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(*command, cwd):
    """Run a program that must end well, and return what it printed."""
    done = run_to_end(*command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel, with the hatchling that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    run(*pip, "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel alone into a new environment, which borrows what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    packages = next((folder / "venv/lib").glob("python*/site-packages"))
    # A folder named in a .pth file is searched, but its own .pth files, such as that of the
    # editable installation of this checkout, are not read.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return folder


def test_the_wheel_carries_what_is_not_python(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    carried = {Path(name).suffix for name in names if name.startswith("workbench/")}

    suffixes = {".py", ".c", ".h", ".css", ".jinja", ".scenario", ".sh", ".typed", ".ipynb"}
    assert suffixes <= carried
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "traces/", "notebooks/"))]


def test_the_wheel_runs_outside_the_checkout(installed):
    where = run(
        installed / "venv/bin/python", "-c", "import workbench; print(workbench.__file__)", cwd="/"
    )

    assert str(installed) in where
    assert "replay" in run(installed / "venv/bin/workbench", "--help", cwd="/")


def test_the_wheel_replays_a_trace_given_by_its_path(installed):
    trace = min((ROOT / "traces").glob("*.trace"), key=lambda path: path.name)
    shown = run(installed / "venv/bin/workbench", "replay", trace, "--json", cwd="/")

    assert '"model_error"' in shown


def test_the_wheel_writes_its_notebooks_into_an_empty_folder_and_they_run_there(
    installed, tmp_path
):
    """About a trace given by its path.  Two run: others would compile more of the model anew."""
    trace = ROOT / "traces/fragment-order9.trace"
    command = installed / "venv/bin/workbench"
    document = json.loads(
        run(command, "notebooks", "-o", ".", "--trace", trace, "--json", cwd=tmp_path)
    )
    code = "import sys; from pathlib import Path; from workbench.cli.notebook import execute; "
    code += "execute([Path(name).resolve() for name in sys.argv[1:]])"
    names = [name for name in document["notebooks"] if name[:2] in {"01", "05"}]
    run(installed / "venv/bin/python", "-c", code, *names, cwd=tmp_path)
    done = [(tmp_path / name).read_text(encoding="utf-8") for name in names]

    assert len(document["notebooks"]) == 6
    assert ['"image/png": ' in page and "fragment-order9" in page for page in done] == [True] * 2
    assert len(list(tmp_path.glob("*.html"))) == 2


def test_the_wheel_says_that_it_has_no_traces_of_its_own(installed, tmp_path):
    done = run_to_end(installed / "venv/bin/workbench", "notebooks", "-o", "x", cwd=tmp_path)

    assert done.returncode == 2
    assert "--trace" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "before", ["", "import workbench.replay", "from workbench.replay import Settings"]
)
def test_replay_stays_the_function_whatever_was_imported_before(before):
    """A room of the same name would take its place; see workbench/__init__.py."""
    code = f"{before}\nimport workbench as wb\nprint(wb.replay.__name__, type(wb.replay).__name__)"
    code += "\nimport workbench.replay\nprint(type(wb.replay).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["replay", "function", "function"]


def test_importing_the_package_imports_no_room():
    code = "import workbench, sys; print([n for n in sys.modules if n.startswith('workbench.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


LIGHT_MS = 30
"""What `import workbench` may take, beyond Python's own start: less than anybody notices."""


def test_importing_the_package_takes_no_time():
    """It imports nothing that takes any; processor time, for a machine may be busy."""
    heavy = {"numpy", "pandas", "numba", "matplotlib", "pyarrow", "pydantic", "jinja2", "rich"}
    code = "import time, sys; began = time.process_time(); import workbench; "
    code += "print(1000 * (time.process_time() - began), *sys.modules)"
    taken_ms = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        milliseconds, *modules = done.stdout.split()
        taken_ms.append(float(milliseconds))
        assert heavy & set(modules) == set()

    assert min(taken_ms) < LIGHT_MS


def test_every_public_name_can_be_had():
    import workbench  # noqa: PLC0415 - each name is imported where its absence is the finding.

    assert [name for name in workbench.__all__ if getattr(workbench, name, None) is None] == []
    assert set(dir(workbench)) == set(workbench.__all__)


def test_an_unknown_name_is_an_attribute_error():
    import workbench  # noqa: PLC0415

    with pytest.raises(AttributeError, match="'repaly'; did you mean 'replay'"):
        _ = workbench.repaly
