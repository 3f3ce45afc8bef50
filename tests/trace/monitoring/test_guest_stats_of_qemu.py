"""What a real QEMU says on its monitor is what is read: nobody answered yet, and by which names."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.monitoring_files import BEGIN_S, write
from workbench.errors import InputError
from workbench.lab.machine import QEMU
from workbench.trace import read_monitoring
from workbench.units import GIB, PAGE_BYTES

pytestmark = pytest.mark.qemu

COMMANDS = (
    {"execute": "qmp_capabilities"},
    {
        "execute": "qom-get",
        "arguments": {"path": "/machine/peripheral/balloon", "property": "guest-stats"},
    },
    {"execute": "quit"},
)


@pytest.fixture(scope="module")
def transcript():
    """Ask a QEMU that has a balloon, and no guest that would answer."""
    arguments = ["-S", "-display", "none", "-nodefaults", "-no-user-config", "-machine", "pc"]
    arguments += ["-accel", "tcg", "-m", "64M", "-qmp", "stdio"]
    arguments += ["-device", "virtio-balloon-pci,id=balloon,guest-stats-polling-interval=1"]
    ended = subprocess.run(
        [QEMU, *arguments],
        input="".join(json.dumps(command) + "\n" for command in COMMANDS),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout


def test_what_nobody_answered_is_absent(tmp_path, transcript):
    with pytest.raises(InputError, match="none of 1 answers has both stat-free-memory and"):
        read_monitoring(write(tmp_path, transcript))


def test_its_names_are_the_ones_that_are_read(tmp_path, transcript):
    """The answers' values are a guest's then, and everything else is QEMU's."""
    words = [json.loads(line) for line in transcript.splitlines()]
    (answer,) = (word for word in words if "stats" in word.get("return", {}))
    lines = []
    for row in range(3):
        answer["return"]["last-update"] = BEGIN_S + row
        answer["return"]["stats"] |= {"stat-free-memory": GIB, "stat-total-memory": 2 * GIB}
        lines += [json.dumps(word) for word in words]
    (series,) = read_monitoring(write(tmp_path, "\n".join(lines)))

    assert series.columns["free_pages"].tolist() == [GIB // PAGE_BYTES] * 3
    assert series.columns["cached_bytes"].tolist() == [-1] * 3
    assert series.remarks == (f"{3 * (len(words) - 1)} of QEMU's words are not guest-stats",)
