import json
import os
from contextlib import ExitStack

import pytest

from workbench.errors import HostError
from workbench.lab import host
from workbench.lab.acceleration import _remembered
from workbench.lab.host import memory_cgroup, require_root, setting_changed


def text_of(path):
    return path.read_text(encoding="utf-8")


@pytest.fixture
def setting(tmp_path):
    path = tmp_path / "khugepaged" / "defrag"
    path.parent.mkdir()
    path.write_text("1\n", encoding="utf-8")
    return path


def test_a_setting_is_changed_and_restored(setting, tmp_path):
    with setting_changed(setting, "0", notes=tmp_path):
        assert text_of(setting) == "0"
    assert text_of(setting) == "1"


def test_a_setting_is_restored_after_an_exception(setting, tmp_path):
    with pytest.raises(KeyboardInterrupt), setting_changed(setting, "0", notes=tmp_path):
        raise KeyboardInterrupt
    assert text_of(setting) == "1"


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_of_overlapping_runs_the_last_one_restores(setting, tmp_path, first_to_end):
    runs = [ExitStack(), ExitStack()]
    for run in runs:
        run.enter_context(setting_changed(setting, "0", notes=tmp_path))

    runs[first_to_end].close()
    assert text_of(setting) == "0"
    runs[1 - first_to_end].close()
    assert text_of(setting) == "1"


def test_what_a_killed_run_left_is_restored_by_the_next(setting, tmp_path):
    setting.write_text("0", encoding="utf-8")
    (tmp_path / "workbench-lab-khugepaged-defrag").write_text("1", encoding="utf-8")

    with setting_changed(setting, "0", notes=tmp_path):
        pass
    assert text_of(setting) == "1"


def test_a_setting_the_kernel_does_not_have_is_left_alone(tmp_path):
    with setting_changed(tmp_path / "absent", "0", notes=tmp_path):
        assert not (tmp_path / "absent").exists()


@pytest.fixture
def version_1(tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").touch()
    return tmp_path


@pytest.fixture
def version_2(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n", encoding="utf-8")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n", encoding="utf-8")
    return tmp_path


def test_version_1_limits_the_group_and_removes_it(version_1):
    folder = version_1 / "memory" / "lab-1"
    with memory_cgroup("lab-1", 4096, root=version_1) as command:
        limit = folder / "memory.limit_in_bytes"
        assert text_of(limit) == "4096"
        assert command[-1] == str(folder / "cgroup.procs")
        limit.unlink()  # In a real cgroup its files vanish with it.
    assert not folder.exists()


def test_version_2_delegates_limits_and_removes_the_group(version_2):
    folder = version_2 / "lab-1"
    with memory_cgroup("lab-1", 4096, root=version_2) as command:
        limit = folder / "memory.max"
        assert text_of(limit) == "4096"
        assert text_of(version_2 / "cgroup.subtree_control") == "+memory"
        assert command[-1] == str(folder / "cgroup.procs")
        limit.unlink()
    assert not folder.exists()


def test_version_2_does_not_delegate_twice(version_2):
    (version_2 / "cgroup.subtree_control").write_text("cpu memory\n", encoding="utf-8")
    with memory_cgroup("lab-1", 4096, root=version_2):
        (version_2 / "lab-1" / "memory.max").unlink()
    assert text_of(version_2 / "cgroup.subtree_control") == "cpu memory\n"


def test_a_group_is_removed_after_an_exception(version_1):
    group = memory_cgroup("lab-1", 4096, root=version_1)
    group.__enter__()
    (version_1 / "memory" / "lab-1" / "memory.limit_in_bytes").unlink()
    assert not group.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not (version_1 / "memory" / "lab-1").exists()


def test_a_group_with_somebody_in_it_is_an_error_not_a_silence(version_1, monkeypatch):
    monkeypatch.setattr(host, "REMOVE_SECONDS_MAX", 0.0)
    with pytest.raises(OSError, match="not empty"), memory_cgroup("lab-1", 4096, root=version_1):
        pass


def test_a_host_without_the_controller_cannot_limit_memory(tmp_path):
    group = memory_cgroup("lab-1", 4096, root=tmp_path)
    with pytest.raises(HostError, match="no memory cgroup controller"), group:
        pass


def test_the_lab_is_for_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="as root"):
        require_root()


@pytest.mark.parametrize("content", ["", "[]", "nonsense"])
def test_a_damaged_memory_of_the_kvm_probe_is_no_memory(tmp_path, content):
    (tmp_path / "kvm.json").write_text(content, encoding="utf-8")
    assert _remembered(tmp_path / "kvm.json") == {}


def test_the_kvm_probe_is_remembered(tmp_path):
    (tmp_path / "kvm.json").write_text(json.dumps({"key": False}), encoding="utf-8")
    assert _remembered(tmp_path / "kvm.json") == {"key": False}
