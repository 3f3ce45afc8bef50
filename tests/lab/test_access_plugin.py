"""The access plugin: compiled once, and loaded by a real QEMU that marks what its firmware does."""

from __future__ import annotations

import subprocess
import time

import pytest

from workbench.capture.access import AccessMap, make_access_map
from workbench.errors import HostError
from workbench.lab import access_plugin as plugin_room
from workbench.lab.access_plugin import access_plugin
from workbench.lab.machine import QEMU
from workbench.units import MIB, PAGE_BYTES

MEMORY_BYTES = 64 * MIB
QEMU_SECONDS_MAX = 60
INTERVAL_S = 0.2


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The plugin, in a cache of its own."""
    return access_plugin(tmp_path_factory.mktemp("cache"))


def test_it_is_compiled_once(plugin) -> None:
    """The second time it is found; nothing else is left in the cache."""
    made = plugin.stat().st_mtime_ns

    assert access_plugin(plugin.parent) == plugin
    assert plugin.stat().st_mtime_ns == made
    assert list(plugin.parent.iterdir()) == [plugin]


def test_what_does_not_compile_is_said_with_the_remedy(monkeypatch, tmp_path) -> None:
    """One line of the compiler, and the packages."""
    monkeypatch.setattr(plugin_room, "_OPTIONS", ("-include", "no-such-header.h"))
    with pytest.raises(HostError, match=r"no-such-header.*apt-get install -y gcc libc6-dev"):
        access_plugin(tmp_path)


# 16-bit code: the processor begins in real mode, 16 bytes before the end of the firmware.
FIRMWARE = bytes.fromhex(
    "b80010"  # mov ax, 0x1000
    "8ed8"  # mov ds, ax          : data begins at 64 KiB, page 16
    "c606000001"  # mov byte [0x0000], 1   : writes page 16
    "a00020"  # mov al, [0x2000]    : reads page 18
    "a00030"  # mov al, [0x3000]    : reads page 19,
    "a20030"  # mov [0x3000], al    : and writes it
    "faf4"  # cli; hlt
)
RESET_OFFSET = 0xFFF0
JUMP_TO_START = bytes.fromhex("ea000000f0")  # jmp 0xf000:0x0000


def test_qemu_marks_what_its_processor_reads_and_writes(plugin, tmp_path) -> None:
    """Exactly the pages that a small program of known accesses touches."""
    image = bytearray(64 * 1024)
    image[: len(FIRMWARE)] = FIRMWARE
    image[RESET_OFFSET : RESET_OFFSET + len(JUMP_TO_START)] = JUMP_TO_START
    (tmp_path / "firmware").write_bytes(image)
    make_access_map(tmp_path / "map", MEMORY_BYTES)
    access_map = AccessMap(tmp_path / "map")
    command = [QEMU, "-nodefaults", "-display", "none", "-machine", "pc", "-accel", "tcg"]
    command += ["-m", "64M", "-bios", str(tmp_path / "firmware"), "-monitor", "stdio"]
    command += ["-plugin", f"{plugin},map={tmp_path / 'map'}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        marks: dict[int, int] = {}
        try:
            deadline = time.monotonic() + QEMU_SECONDS_MAX
            while marks.get(19) != 2 and time.monotonic() < deadline:
                # As often as the lab does: a mark that is made while a map is cleared is lost.
                time.sleep(INTERVAL_S)
                taken = access_map.take()
                marks |= {int(page): int(taken[page]) for page in taken.nonzero()[0]}
        finally:
            process.communicate("quit\n", timeout=QEMU_SECONDS_MAX)

    assert marks == {16: 2, 18: 1, 19: 2}
    assert len(access_map.take()) == MEMORY_BYTES // PAGE_BYTES


def test_qemu_says_which_argument_the_plugin_wants(plugin, tmp_path) -> None:
    """QEMU does not start without its map."""
    command = [QEMU, "-nodefaults", "-display", "none", "-machine", "pc", "-S"]
    for argument, said in (("", "takes one argument"), (f",map={tmp_path / 'no'}", "No such file")):
        done = subprocess.run(
            [*command, "-plugin", f"{plugin}{argument}"],
            capture_output=True,
            text=True,
            timeout=QEMU_SECONDS_MAX,
            check=False,
        )
        assert done.returncode != 0
        assert said in done.stderr
