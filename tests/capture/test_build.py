"""A build of QEMU is understood once, and remembered under the linker's name for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from workbench.capture import build as builds
from workbench.capture.build import read_build
from workbench.capture.elf import read_build_id, read_program
from workbench.capture.probe_files import BALLOON_ENTRIES
from workbench.errors import HostError

QEMU = Path("/usr/bin/qemu-system-x86_64")

SOURCE = """\
__attribute__((noinline)) int shown(int value) { return value * 3 + 1; }
__attribute__((noinline)) static int hidden(int value) { return value * 5 + shown(value); }
__asm__(".globl folded\\n.type folded, @function\\nfolded: jmp shown\\n.size folded, . - folded\\n"
        ".globl marked\\n.type marked, @function\\nmarked: endbr64\\njmp shown\\n"
        ".size marked, . - marked\\n");
const char *says = "QEMU emulator version 9.9.9 (made here)\\nand more";
int main(int count, char **words) { return hidden(count) + (words[0] == says); }
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a process that has read no build yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(builds, "_known", {})
    return tmp_path / "cache" / "workbench" / "qemu-builds"


@pytest.fixture
def reads(monkeypatch):
    """How often a program was read in full."""
    count: list[Path] = []

    def read(path, code_of):
        count.append(path)
        return read_program(path, code_of)

    monkeypatch.setattr(builds, "read_program", read)
    return count


def compiled(folder: Path, *options: str) -> Path:
    """Make a small program of our own."""
    path = folder / "program"
    (folder / "program.c").write_text(SOURCE)
    command = ["gcc", "-O1", *options, "-o", str(path), str(folder / "program.c")]
    subprocess.run(command, check=True)
    return path


def test_a_build_is_read_once_and_then_remembered(cache, reads, monkeypatch) -> None:
    """By this process, and by the next one from the file named by the build id."""
    first = read_build(QEMU)
    assert read_build(QEMU) is first
    monkeypatch.setattr(builds, "_known", {})
    again = read_build(QEMU)

    assert again == first
    assert len(reads) == 1
    assert [path.stem for path in cache.iterdir()] == [first.build_id] == [read_build_id(QEMU)]
    assert set(first.entries) == {entry.symbol for entry in BALLOON_ENTRIES}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:0],
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"queue_index": 72', '"queue_index": 80'),
        lambda text: json.dumps({**json.loads(text), "check": "0"}),
        lambda text: json.dumps([text]),
        lambda text: text.replace('"queue_bytes"', '"queue_length"'),
    ],
)
def test_a_damaged_memory_is_made_anew(cache, reads, monkeypatch, damage) -> None:
    """Whatever is wrong with the file: the answer is the right one, and the file is mended."""
    right = read_build(QEMU)
    (path,) = cache.iterdir()
    whole = path.read_text()
    path.write_text(damage(whole))
    monkeypatch.setattr(builds, "_known", {})

    assert read_build(QEMU) == right
    assert len(reads) == 2
    assert path.read_text() == whole


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch, reads) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(builds, "_known", {})

    assert read_build(QEMU).layout.queue_bytes > 0
    assert len(reads) == 1


@pytest.mark.usefixtures("cache")
def test_a_copy_at_another_place_is_the_same_build(reads, tmp_path) -> None:
    """As every container has its own."""
    copy = tmp_path / "qemu-kvm"
    shutil.copy(QEMU, copy)

    assert read_build(copy) == read_build(QEMU)
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("options", "is_exported"), [(("-rdynamic", "-s"), True), (("-rdynamic",), True), ((), False)]
)
def test_functions_are_known_stripped_or_not(tmp_path, options, is_exported) -> None:
    """From what is exported where it is stripped; else from its symbols, without the hidden."""
    program = read_program(compiled(tmp_path, *options), ("shown", "folded", "marked"))
    exported = subprocess.run(
        ["nm", "-D", "--defined-only", program.path], capture_output=True, text=True, check=True
    ).stdout

    assert ("shown" in exported) == is_exported
    assert program.missing(("shown", "hidden")) == ("hidden",)
    assert program.version == "9.9.9 made here"
    assert len(program.build_id) == 40
    address = program.functions["shown"]
    assert program.code["folded"] == (address, program.code["folded"][1])
    assert program.code["marked"][0] == program.code["shown"][0] == address
    assert program.code["folded"][1].startswith(program.code["shown"][1])


def test_a_program_without_a_build_id_is_read_each_time(cache, reads, tmp_path) -> None:
    """It has no name to be remembered by; here it is none that can be captured, either."""
    path = compiled(tmp_path, "-Wl,--build-id=none", "-rdynamic")
    for _ in range(2):
        with pytest.raises(HostError, match="does not export"):
            read_build(path)

    assert read_build_id(path) == ""
    assert len(reads) == 2
    assert not cache.exists()


def test_a_static_program_is_known_by_its_symbols(tmp_path) -> None:
    """Nothing is exported; stripped it has no names at all."""
    path = compiled(tmp_path, "-static")
    assert "shown" in read_program(path).functions
    subprocess.run(["strip", path], check=True)

    with pytest.raises(HostError, match="names no functions"):
        read_program(path)
