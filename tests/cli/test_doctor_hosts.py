"""`workbench doctor` on hosts that lack something: it always answers, and each lack has its fix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capture.qtest import PAGE_POISON, REPORTING, VERSION_1, halted_machine
from workbench.capture.check_inhibitors import discard_inhibitors
from workbench.capture.process import ProcessMemory
from workbench.capture.qemu import inspect_qemu
from workbench.cli import app

pytestmark = pytest.mark.live

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SECONDS_MAX = 120


def rows_of(*prefix: str, **environment: str) -> dict[str, dict[str, object]]:
    """What the command says, by row."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "workbench", "doctor", "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    assert "Traceback" not in done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["checks"]}


def test_it_answers_an_ordinary_user(tmp_path) -> None:
    """Who lacks rights, perhaps tracefs, and everything that follows; running guests are named."""
    with halted_machine(tmp_path) as (process, _):
        found = rows_of(*NOBODY, XDG_CACHE_HOME=str(tmp_path))
    guest = found[f"guest {process.pid}"]

    assert found["rights"]["status"] == "missing"
    assert "CAP_SYS_ADMIN" in str(found["rights"]["fix"])
    assert found["probe memory"]["found"] == "not tried: rights is missing"
    assert (guest["status"], "not ours to look at" in str(guest["found"])) == ("warn", True)
    assert all(row["fix"] for row in found.values() if row["status"] == "missing")


def test_without_bcc_no_probe_is_tried(tmp_path) -> None:
    """And the fix is the package that is missing."""
    found = rows_of(WORKBENCH_BCC_PATH=str(tmp_path))

    assert found["bcc"]["fix"] == "apt-get install python3-bpfcc"
    assert found["probe balloon"]["found"] == "not tried: bcc is missing"


def test_without_tracefs_no_probe_is_tried() -> None:
    """As in a container: neither mounted nor allowed to be, by its lack of CAP_SYS_ADMIN."""
    hidden = 'umount -a -t tracefs; mount -t tmpfs none /sys/kernel; exec "$@"'
    no_mount = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    found = rows_of("unshare", "--mount", "sh", "-c", hidden, "sh", *no_mount)

    assert found["tracefs"]["status"] == "missing"
    assert "mount -t tracefs" in str(found["tracefs"]["fix"])
    assert found["BTF"]["status"] == "ok"
    assert str(found["BTF"]["found"]).startswith("absent")
    assert found["huge pages"]["status"] == "warn"


def test_every_probe_is_attached_on_this_host(tmp_path) -> None:
    """A row for each file, tried; a guest's row names its QEMU and its balloon's properties."""
    with halted_machine(tmp_path, name="guest=seen") as (process, _):
        found = rows_of()
    guest = str(found[f"guest {process.pid}"]["found"])

    for name in ("balloon", "memory", "swap"):
        assert found[f"probe {name}"]["status"] == "ok"
        assert str(found[f"probe {name}"]["found"]).startswith("attaches to ")
    assert guest.startswith("seen, QEMU ")
    assert "free-page-reporting=on, page-poison=on, free-page-hint=off" in guest
    assert str(found["multi-gen LRU"]["found"])


def reasons(pid: int) -> list[str]:
    """What inhibits a guest's discards now."""
    return [reason for reason, _ in discard_inhibitors(inspect_qemu(pid))]


def test_what_inhibits_discards_is_named(tmp_path) -> None:
    """A driver that is not there, poison, and QEMU's own count of those who forbid discards."""
    with halted_machine(tmp_path) as (process, device):
        assert reasons(process.pid) == ["no driver in the guest uses the reports"]
        device.set_up(VERSION_1 | REPORTING | PAGE_POISON)
        assert reasons(process.pid) == []
        device.write_config(12, 0xAA)
        assert reasons(process.pid) == ["the guest poisons its free pages with 0xaa"]
        device.write_config(12, 0)
        set_disablers(process.pid, 1)
        assert reasons(process.pid) == ["a device forbids discards"]
        device.fill(4 << 20, 4096)
        device.report([(4 << 20, 4096)])
        assert device.used_count() == 1


def set_disablers(pid: int, count: int) -> None:
    """Do to QEMU's memory what a device that was passed through does."""
    qemu = inspect_qemu(pid)
    address = qemu.load_address + qemu.build.layout.discard_disablers_address
    with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(address)
        memory.write(count.to_bytes(4, "little"))
    with ProcessMemory(pid) as seen:
        assert seen.integer(address, 4) == count


def test_locked_memory_is_named(tmp_path) -> None:
    """QEMU locks all of its memory: madvise refuses to give any of it back."""
    options = ("-overcommit", "mem-lock=on")
    with halted_machine(tmp_path, qemu=("qemu-system-x86_64", *options)) as (process, device):
        device.set_up(VERSION_1 | REPORTING)
        (reason,) = reasons(process.pid)

    assert reason.endswith("of its memory are locked")


def test_whether_a_kernel_boots_under_kvm_is_tried_on_request(capsys) -> None:
    """`--deep` has an answer where the ordinary row has a guess."""
    assert app.run(["doctor", "--deep", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}

    assert rows["KVM"]["found"].startswith(("a kernel boots", "a kernel does not boot", "no /dev"))
