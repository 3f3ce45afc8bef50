from pathlib import Path

import pytest

from workbench.lab import LabSettings, parse_scenario
from workbench.lab.kernel import GuestKernel
from workbench.lab.machine import Machine, qemu_arguments
from workbench.units import MIB

KERNEL = GuestKernel("6.1.0-1-cloud-amd64", Path("/cache/vmlinuz"), Path("/cache/modules"))


def arguments_of(text="idle 1", accelerator="tcg", **settings):
    return qemu_arguments(
        LabSettings(scenario=parse_scenario(text, name="test"), **settings),
        name="test-0",
        kernel=KERNEL,
        folder=Path("/run/lab/0"),
        accelerator=accelerator,
    )


def value_of(arguments, option):
    return arguments[arguments.index(option) + 1]


def balloon_of(arguments):
    return next(word for word in arguments if word.startswith("virtio-balloon-pci"))


def test_a_guest_stands_still_until_the_capture_is_there():
    assert "-S" in arguments_of()


def test_size_and_name_are_as_asked_for():
    arguments = arguments_of(memory_bytes=256 * MIB, vcpu_count=2)

    assert value_of(arguments, "-m") == "256M"
    assert value_of(arguments, "-smp") == "2"
    assert value_of(arguments, "-name") == "guest=test-0"


@pytest.mark.parametrize(("reporting", "word"), [(True, "on"), (False, "off")])
def test_device_properties_are_always_said(reporting, word):
    balloon = balloon_of(arguments_of(reporting=reporting, page_poison=reporting))
    assert f"free-page-reporting={word}" in balloon
    assert f"page-poison={word}" in balloon


def test_memory_is_locked_where_that_is_asked_for():
    assert value_of(arguments_of(lock_memory=True), "-overcommit") == "mem-lock=on"
    assert "-overcommit" not in arguments_of()


def test_hinting_brings_its_thread():
    """QEMU 7.2 refuses free-page-hint without an iothread."""
    arguments = arguments_of(free_page_hint=True)

    assert value_of(arguments, "-object") == "iothread,id=hints"
    assert balloon_of(arguments).endswith("free-page-hint=on,iothread=hints")
    assert "-object" not in arguments_of()


@pytest.mark.parametrize(
    ("poison", "words"),
    [
        ("none", set()),
        ("init_on_free", {"init_on_free=1"}),
        (7, {"init_on_free=1", "iomem=relaxed"}),
    ],
)
def test_the_kernel_is_told_about_poison(poison, words):
    line = set(value_of(arguments_of(poison=poison), "-append").split())
    assert line & {"init_on_free=1", "iomem=relaxed"} == words


def test_emulation_keeps_its_own_memory_small():
    assert value_of(arguments_of(), "-accel") == "tcg,thread=multi,tb-size=64"
    assert value_of(arguments_of(accelerator="kvm"), "-accel") == "kvm"


def test_there_is_a_disk_only_where_the_scenario_needs_one():
    assert "-drive" not in arguments_of()
    assert "file=/run/lab/0/disk" in value_of(arguments_of("save a 4K"), "-drive")


@pytest.mark.parametrize(
    ("qemu_log", "console", "words"),
    [
        ("", "", "it said nothing"),
        ("", "booting\nlast\n\n", "last"),
        (
            "",
            "Kernel panic - not syncing: out of memory\nmore\n",
            "Kernel panic - not syncing: out",
        ),
        ("qemu: no such file\n", "booting\n", "qemu: no such file"),
    ],
)
def test_the_last_words_are_the_most_telling_ones(tmp_path, qemu_log, console, words):
    (tmp_path / "qemu.log").write_text(qemu_log, encoding="utf-8")
    (tmp_path / "console.log").write_text(console, encoding="utf-8")
    assert Machine("test", None, None, tmp_path).last_words().startswith(words)
