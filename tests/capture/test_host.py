"""What the host is, read from files that a test can write."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

from workbench.capture import host
from workbench.errors import HostError
from workbench.units import KIB

RELEASE = "6.1.0-9-cloud-amd64"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Give an empty machine; returns how to write one of its files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BCC_KERNEL_SOURCE", raising=False)
    monkeypatch.setattr(host, "kernel_release", lambda: RELEASE)

    def write(name, text=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tmp_path

    write("proc/version")
    return write


def debian_headers(write, version, flavour="cloud-amd64"):
    """Write the two folders of headers that Debian installs for one kernel."""
    common = f"usr/src/linux-headers-{version}-common"
    own = f"usr/src/linux-headers-{version}-{flavour}"
    write(f"{common}/include/linux/kconfig.h", version)
    write(f"{common}/arch/x86/include/asm/ptrace.h")
    write(f"{common}/Makefile", "common")
    write(f"{own}/include/generated/autoconf.h", flavour)
    write(f"{own}/arch/x86/include/generated/uapi.h")
    return write(f"{own}/Makefile", "own")


def test_debians_two_folders_are_merged_into_one(machine, tmp_path):
    root = debian_headers(machine, "6.1.0-9")
    merged = host.kernel_headers_folder(root)

    assert merged == tmp_path / "cache/workbench" / f"linux-headers-{RELEASE}"
    assert (merged / "include/linux/kconfig.h").read_text(encoding="utf-8") == "6.1.0-9"
    assert (merged / "include/generated/autoconf.h").exists()
    assert (merged / "arch/x86/include/asm/ptrace.h").exists()
    assert (merged / "arch/x86/include/generated/uapi.h").exists()
    assert (merged / "Makefile").read_text(encoding="utf-8") == "own"


def test_the_merged_folder_is_made_once_and_again_when_its_target_is_gone(machine):
    root = debian_headers(machine, "6.1.0-9")
    merged = host.kernel_headers_folder(root)
    first = merged.stat().st_ino
    assert host.kernel_headers_folder(root).stat().st_ino == first

    (merged / "include/linux").unlink()
    assert (host.kernel_headers_folder(root) / "include/linux/kconfig.h").exists()


def test_the_running_kernels_own_headers_are_preferred_to_newer_ones(machine):
    debian_headers(machine, "6.1.0-10")
    root = debian_headers(machine, "6.1.0-9")
    assert host.kernel_headers_folder(root).name == f"linux-headers-{RELEASE}"


def test_of_other_kernels_the_newest_is_taken(machine, monkeypatch):
    monkeypatch.setattr(host, "kernel_release", lambda: "6.18.44-own")
    for version in ("6.1.0-9", "6.1.0-10", "6.1.0-8"):
        root = debian_headers(machine, version)
    assert host.kernel_headers_folder(root).name == "linux-headers-6.1.0-10-cloud-amd64"


def test_a_kernel_with_its_headers_in_place_needs_no_merging(machine):
    root = machine(f"lib/modules/{RELEASE}/source/include/linux/kconfig.h")
    assert host.kernel_headers_folder(root) is None


def test_a_folder_that_the_user_chose_is_taken_as_it_is(machine, monkeypatch, tmp_path):
    root = debian_headers(machine, "6.1.0-9")
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path / "mine"))
    assert host.kernel_headers_folder(root) == tmp_path / "mine"


def test_a_cache_that_cannot_be_written_is_one_sentence_with_the_fix(machine, monkeypatch):
    root = debian_headers(machine, "6.1.0-9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine("a-file") / "a-file"))
    with pytest.raises(HostError, match=r"Not a directory.*XDG_CACHE_HOME"):
        host.kernel_headers_folder(root)


def test_no_headers_at_all_is_one_sentence_with_the_fix(machine):
    root = machine("usr/src/README")
    with pytest.raises(HostError, match="apt-get install linux-headers-cloud-amd64"):
        host.kernel_headers_folder(root)


@pytest.mark.parametrize(
    ("text", "mode"),
    [("always [madvise] never\n", "madvise"), ("[always] madvise never\n", "always")],
)
def test_the_mode_of_huge_pages_is_the_one_in_brackets(machine, text, mode):
    root = machine("sys/kernel/mm/transparent_hugepage/enabled", text)
    assert host.transparent_huge_pages(root) == mode


def test_what_a_kernel_does_not_have_is_absent_and_not_off(machine):
    root = machine("proc/mounts")
    assert host.transparent_huge_pages(root) == "absent"
    assert host.khugepaged_defrag(root) is None
    assert host.lru_gen(root) is None
    assert host.swap_devices(root) == ()
    assert host.memory_cgroup(root) is None
    assert not host.has_zram(root)


def test_swap_and_memory_are_in_bytes(machine):
    machine("proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1024 8 -2\n")
    root = machine("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n")
    assert host.swap_devices(root) == (host.SwapDevice("/dev/zram0", 1024 * KIB, 8 * KIB),)
    assert host.memory_bytes(root) == 2048 * KIB


def test_a_first_version_cgroup_is_found_by_its_mount_options(machine):
    root = machine(
        "proc/mounts",
        "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
        "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n",
    )
    assert host.memory_cgroup(root)[0] == "v1"


@pytest.mark.parametrize(("controllers", "found"), [("cpu memory pids", "v2"), ("cpu pids", None)])
def test_a_second_version_cgroup_is_found_by_its_controllers(machine, controllers, found):
    machine("sys/fs/cgroup/cgroup.controllers", controllers)
    root = machine("proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    result = host.memory_cgroup(root)
    assert (result and result[0]) == found


@pytest.mark.parametrize(
    ("capabilities", "user", "missing", "loads"),
    [
        ("0000000000280000", 0, (), True),  # CAP_SYS_ADMIN and CAP_SYS_PTRACE
        ("0000000000280000", 1, ("CAP_DAC_READ_SEARCH",), True),
        ("0000000000280004", 1, (), True),
        ("0000000000280002", 1, (), True),  # CAP_DAC_OVERRIDE does, too.
        ("000000c000080004", 1, ("CAP_SYS_ADMIN",), True),  # CAP_PERFMON and CAP_BPF
        ("0000008000080004", 1, ("CAP_SYS_ADMIN",), False),  # CAP_BPF alone
        ("0000000000000000", 1, tuple(host.CAPABILITIES), False),
    ],
)
def test_rights_are_read_from_the_capabilities(machine, capabilities, user, missing, loads):
    root = machine("proc/self/status", f"Name: x\nCapEff:\t{capabilities}\n")
    assert host.missing_capabilities(root, user) == missing
    assert host.may_load_probes(root) == loads


@pytest.mark.parametrize(
    ("line", "answer"), [("NSpid:\t12\n", False), ("NSpid:\t4711\t12\n", True), ("", False)]
)
def test_a_process_with_two_ids_is_in_a_namespace(machine, line, answer):
    root = machine("proc/self/status", f"Name:\tx\n{line}")
    assert host.is_in_pid_namespace(root) is answer


def test_tracefs_that_is_mounted_is_left_alone(machine, monkeypatch, tmp_path):
    machine("tracing/events/kmem/rss_stat/format")
    monkeypatch.setattr(host, "TRACING_FOLDERS", (tmp_path / "tracing",))
    monkeypatch.setattr(host, "tracing_folder", lambda: tmp_path / "tracing")
    monkeypatch.setattr(host, "_mount", pytest.fail)
    with host.mounted_tracefs(tmp_path / "users") as folder:
        assert (folder / "events/kmem/rss_stat").is_dir()


def test_tracefs_is_mounted_for_the_block_and_unmounted_after_a_failure(
    machine, monkeypatch, tmp_path
):
    commands = []

    def mount(*command):
        commands.append(command[0])
        machine("tracing/events/kmem/rss_stat/format")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(host, "TRACING_FOLDERS", (tmp_path / "tracing",))
    monkeypatch.setattr(host, "tracing_folder", lambda: None)
    monkeypatch.setattr(host, "_mount", mount)
    with pytest.raises(ZeroDivisionError), host.mounted_tracefs(tmp_path / "users"):
        _ = 1 / 0
    assert commands == ["mount", "umount"]


def test_tracefs_that_cannot_be_mounted_is_one_sentence(monkeypatch, tmp_path):
    refusal = subprocess.CompletedProcess((), 1, "", "mount: permission denied")
    monkeypatch.setattr(host, "TRACING_FOLDERS", (tmp_path,))
    monkeypatch.setattr(host, "tracing_folder", lambda: None)
    monkeypatch.setattr(host, "_mount", lambda *_: refusal)
    with pytest.raises(HostError, match=r"permission denied.*root"):
        host.mounted_tracefs(tmp_path / "users").__enter__()


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_of_overlapping_captures_the_last_one_unmounts_tracefs(
    machine, monkeypatch, tmp_path, first_to_end
):
    """A capture whose tracefs another one unmounts cannot detach its probes."""
    commands = []

    def mount(*command):
        commands.append(command[0])
        machine("tracing/events/kmem/rss_stat/format")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(host, "TRACING_FOLDERS", (tmp_path / "tracing",))
    folders = iter([None, tmp_path / "tracing"])
    monkeypatch.setattr(host, "tracing_folder", lambda: next(folders))
    monkeypatch.setattr(host, "_mount", mount)
    captures = [contextlib.ExitStack(), contextlib.ExitStack()]
    for capture in captures:
        capture.enter_context(host.mounted_tracefs(tmp_path / "users"))

    captures[first_to_end].close()
    while_one_is_left = list(commands)
    captures[1 - first_to_end].close()
    assert while_one_is_left == ["mount"]
    assert commands == ["mount", "umount"]
