"""The package installs as a wheel, runs outside the checkout, and imports lazily."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command, cwd):
    """Run a program away from the checkout, and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
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

    assert {".py", ".c", ".h", ".scenario", ".sh", ".typed"} <= carried
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "traces/"))]


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


def test_every_public_name_can_be_had():
    import workbench  # noqa: PLC0415 - each name is imported where its absence is the finding.

    assert [name for name in workbench.__all__ if getattr(workbench, name, None) is None] == []
    assert set(dir(workbench)) == set(workbench.__all__)


def test_an_unknown_name_is_an_attribute_error():
    import workbench  # noqa: PLC0415

    with pytest.raises(AttributeError, match="repaly"):
        _ = workbench.repaly
