"""A machine's description: its command line, and its form in a file."""

import json
from pathlib import Path

import pytest

from workbench.errors import InputError, UsageError
from workbench.model.balloon.offer import Properties
from workbench.units import GIB, HUGE_PAGE_BYTES, KIB, MIB
from workbench.validation.setup import Backend, Setup, command_line, write_firmware

FOLDER = Path("/nowhere")

EVERYTHING = Setup(
    machine_type="pc-q35-7.2",
    memory=(
        Backend(size_bytes=4 * MIB, kind="memfd", shared=True),
        Backend(size_bytes=2 * MIB, kind="hugetlb"),
    ),
    dimms=(Backend(size_bytes=4 * MIB, kind="file"), Backend(size_bytes=6 * MIB, kind="hugetlb")),
    max_ram_below_4g_bytes=3 * MIB,
    properties=Properties(page_poison=False, free_page_hint=True, disable_legacy=True),
    mem_lock=True,
    vga=True,
    incoming="deferred",
    send_configuration=False,
    stopped=True,
    balloon_count=2,
)


def line(setup, **options):
    """Give the command line as one text."""
    return " ".join(command_line(setup, "qemu", FOLDER, **options))


def devices(setup, **options):
    """Give the arguments of all balloons."""
    return [
        part for part in line(setup, **options).split() if part.startswith("virtio-balloon-pci")
    ]


def test_the_default_is_a_small_machine_with_one_balloon():
    text = line(Setup())

    assert text.startswith("qemu -nodefaults -no-user-config -display none -accel tcg,tb-size=8 ")
    assert "-machine pc-i440fx-7.2,memory-backend=m0 -m size=16777216B " in text
    assert "-object memory-backend-ram,id=m0,size=16777216,share=off" in text
    assert "-qtest-log none" in text
    for absent in ("-S", "-numa", "pc-dimm", "-incoming", "iothread", "VGA", "mem-lock"):
        assert absent not in text


def test_what_the_machine_type_decides_is_not_on_the_command_line():
    (device,) = devices(Setup())

    assert device == (
        "virtio-balloon-pci,addr=4,id=bal0,free-page-reporting=off,free-page-hint=off,"
        "deflate-on-oom=off,packed=off,event_idx=on,indirect_desc=on,iommu_platform=off"
    )


def test_what_newer_qemus_have_switched_on_is_off_where_it_is_known():
    known = {"free-page-reporting", "ioeventfd", "vectors"}
    (device,) = devices(Setup())
    (newer,) = devices(Setup(), known=known)

    assert newer == f"{device},ioeventfd=off,vectors=0"


@pytest.mark.parametrize(
    ("properties", "part"),
    [
        (Properties(page_poison=False), ",page-poison=off"),
        (Properties(page_poison=True), ",page-poison=on"),
        (Properties(qemu_4_0_config_size=True), ",qemu-4-0-config-size=on"),
        (Properties(free_page_reporting=True), ",free-page-reporting=on"),
        (Properties(free_page_hint=True), ",free-page-hint=on"),
        (Properties(free_page_hint=True), ",iothread=iot0"),
        (Properties(disable_legacy=True), ",disable-legacy=on"),
        (Properties(packed=True, event_idx=False), ",packed=on,event_idx=off"),
        (Properties(indirect_desc=False), ",indirect_desc=off"),
        (Properties(deflate_on_oom=True), ",deflate-on-oom=on"),
        (Properties(iommu_platform=True), ",iommu_platform=on"),
    ],
)
def test_every_property_is_on_the_command_line(properties, part):
    (device,) = devices(Setup(properties=properties))
    assert part in device


def test_hinting_has_its_thread_unless_it_is_not_wanted():
    with_thread = line(Setup(properties=Properties(free_page_hint=True)))
    without = line(Setup(properties=Properties(free_page_hint=True, iothread=False)))

    assert "-object iothread,id=iot0" in with_thread
    assert "iothread" not in without


def test_everything_else_is_on_the_command_line():
    text = line(EVERYTHING)

    for part in (
        "-machine pc-q35-7.2,max-ram-below-4g=3145728 ",
        f"-m size={6 * MIB}B,slots=2,maxmem={16 * MIB + 2 * GIB}B",
        "memory-backend-memfd,id=m0,size=4194304,share=on",
        "memory-backend-memfd,id=m1,hugetlb=on,hugetlbsize=2M,size=2097152,share=off",
        "memory-backend-file,id=d0,mem-path=/nowhere/d0,size=4194304,share=off",
        "-numa node,nodeid=0,cpus=0,memdev=m0 -numa node,nodeid=1,memdev=m1",
        "-device pc-dimm,id=dimm0,memdev=d0",
        "-device pc-dimm,id=dimm1,memdev=d1",
        "-overcommit mem-lock=on",
        "-device VGA,addr=2,romfile=",
        "-incoming defer",
        "-global migration.send-configuration=off",
        "-S",
    ):
        assert part in text
    assert [device.split(",")[1:3] for device in devices(EVERYTHING)] == [
        ["addr=4", "id=bal0"],
        ["addr=5", "id=bal1"],
    ]


def test_qemu_listens_unless_it_is_handed_its_sockets():
    assert "socket,id=qtest,path=/nowhere/qtest,server=on,wait=off" in line(Setup())
    assert "socket,id=qtest,fd=7 " in line(Setup(), sockets=(7, 8))
    assert "socket,id=control,fd=8 " in line(Setup(), sockets=(7, 8))


def test_the_firmware_halts(tmp_path):
    write_firmware(tmp_path)
    firmware = (tmp_path / "halt.bin").read_bytes()

    assert len(firmware) == 64 * KIB
    assert firmware[0xFFF0:0xFFF4] == b"\xfa\xf4\xeb\xfd"


def test_huge_pages_are_counted():
    assert Setup().huge_page_count == 0
    assert EVERYTHING.huge_page_count == 4


@pytest.mark.parametrize("setup", [Setup(), EVERYTHING], ids=["default", "everything"])
def test_a_setup_survives_a_file(setup):
    plain = setup.to_json()

    assert json.loads(json.dumps(plain)) == plain
    assert Setup.from_json(plain) == setup


def test_fields_that_a_file_does_not_have_are_defaults():
    assert Setup.from_json({}) == Setup()
    assert Setup.from_json({"memory": [{"size_bytes": 8 * MIB}]}).memory_bytes == 8 * MIB


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ([], r"setup is \[\], expected a table"),
        ({"memori": []}, "unknown key 'memori'"),
        ({"properties": {"free_page": True}}, "setup.properties has an unknown key 'free_page'"),
        ({"memory": [{"size_bytes": MIB, "hare": 1}]}, r"memory\[0\] has an unknown key 'hare'"),
        ({"dimms": [{}]}, r"setup.dimms\[0\] has no size_bytes"),
        ({"memory": {}}, "setup.memory is {}, expected a list"),
        ({"memory": []}, "memory of 0 bytes"),
        ({"memory": [{"size_bytes": "1"}]}, "size_bytes is '1', expected a whole number"),
        ({"memory": [{"size_bytes": True}]}, "size_bytes is True, expected a whole number"),
        ({"memory": [{"size_bytes": 4096}]}, "choose a multiple of 8192"),
        ({"memory": [{"size_bytes": MIB, "kind": "paper"}]}, "anonymous or memfd or file"),
        ({"memory": [{"size_bytes": MIB, "kind": []}]}, "anonymous or memfd or file"),
        ({"mem_lock": 1}, "setup.mem_lock is 1, expected true or false"),
        ({"machine_type": None}, "machine_type is None, expected a text"),
        ({"properties": {"page_poison": 2}}, "page_poison is 2, expected true or false"),
        ({"incoming": "now"}, "setup.incoming is 'now', expected none or deferred"),
        ({"balloon_count": 3}, "3 balloons"),
    ],
)
def test_a_wrong_file_is_told_by_the_name_of_its_key(plain, problem):
    with pytest.raises(InputError, match=problem):
        Setup.from_json(plain)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Backend(size_bytes=0), "choose a multiple of 4096"),
        (lambda: Backend(size_bytes=-4096), "choose a multiple of 4096"),
        (lambda: Backend(size_bytes=MIB, kind="hugetlb"), f"multiple of {HUGE_PAGE_BYTES}"),
        (lambda: Setup(dimms=(Backend(size_bytes=MIB),)), "multiple of 2 MiB"),
        (lambda: Setup(max_ram_below_4g_bytes=1), f"choose {MIB} or more"),
        (lambda: Setup(machine_type=""), "machine type is empty"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make, problem):
    with pytest.raises(UsageError, match=problem):
        make()
