"""Of a QEMU command line a trace holds what shapes memory and balloon, and nothing secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.capture.arguments import machine_type, without_secrets

HIDDEN = "hunter2"

HOSTILE = [
    f"-object secret,id=s0,data={HIDDEN},format=raw",
    f"-object secret,id={HIDDEN},file=/etc/qemu/{HIDDEN}",
    f"-object tls-creds-x509,id=tls0,dir=/etc/{HIDDEN},passwordid={HIDDEN}",
    f"-object memory-backend-file,id={HIDDEN},mem-path=/dev/shm/{HIDDEN},size=4G",
    f"-object {HIDDEN}",
    f"-vnc :0,password={HIDDEN}",
    f"-vnc unix:/run/{HIDDEN}/vnc.sock",
    f"-spice port=5900,password={HIDDEN},password-secret={HIDDEN}",
    f"-drive file=https://admin:{HIDDEN}@images.example/disk.qcow2,if=virtio",
    f"-drive file=iscsi://admin%{HIDDEN}@10.0.0.1/iqn.2001-04.com.example/0",
    f"-drive file=rbd:pool/disk:id=admin:key={HIDDEN}:auth_supported=cephx",
    f"-drive file=ssh://admin@host/{HIDDEN}",
    '-drive json:{"driver":"https","password-secret":"' + HIDDEN + '"}',
    '-blockdev {"driver":"luks","key-secret":"' + HIDDEN + '"}',
    f"-blockdev driver=rbd,pool=p,image=i,user=admin,key-secret={HIDDEN}",
    f"-iscsi initiator-name=x,user=admin,password={HIDDEN}",
    f"-fw_cfg name=opt/com.example/key,string={HIDDEN}",
    f"-fw_cfg -{HIDDEN}",
    f"-smbios type=1,serial={HIDDEN},uuid={HIDDEN}",
    f"-smbios type=11,value={HIDDEN}",
    f"-append console=ttyS0 root_key={HIDDEN}",
    f"-append -{HIDDEN}",
    f"-netdev user,id=n0,hostfwd=tcp::22-:22,guestfwd=tcp:10.0.2.1:1-cmd:{HIDDEN}",
    f"-chardev socket,id=c0,host={HIDDEN},tls-authz={HIDDEN}",
    f"-name guest={HIDDEN}",
    f"-uuid {HIDDEN}",
    f"-device usb-storage,serial={HIDDEN}",
    f"-device virtio-balloon-pci,id={HIDDEN},free-page-reporting={HIDDEN}",
    f"-device {HIDDEN}",
    '-device {"driver":"virtio-balloon-pci","id":"' + HIDDEN + '"}',
    f"-machine q35,accel=kvm,memory-encryption={HIDDEN},foo={HIDDEN}",
    f"-cpu host,hv-vendor-id={HIDDEN}",
    f"-m size={HIDDEN}",
    f"-set device.balloon.serial={HIDDEN}",
    f"-global virtio-blk.serial={HIDDEN}",
    f"-readconfig /etc/{HIDDEN}.cfg",
    f"-incoming tcp:{HIDDEN}:4444",
    f"-trace enable=*,file={HIDDEN}",
    f"-{HIDDEN} value",
    f"--no-such-option={HIDDEN}",
    f"-option-of-the-next-qemu {HIDDEN}",
    f"{HIDDEN}.img",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_secret_is_kept(text: str) -> None:
    option, _, value = text.partition(" ")
    arguments = ("/usr/bin/qemu-system-x86_64", "-nodefaults", option, *([value] if value else []))

    kept = without_secrets((*arguments, "-m", "512M"))

    assert HIDDEN not in " ".join(kept)
    assert kept[0] == "qemu-system-x86_64"


WORD = st.one_of(
    st.sampled_from(["-m", "-object", "-device", "-machine", "-append", "-S", "--cpu", "-", ""]),
    st.sampled_from(["size=", "memory-backend-ram,", "q35,", "virtio-balloon-pci,id=", "a=b,,"]),
    st.text(max_size=12),
)


@given(words=st.lists(st.lists(WORD, max_size=3).map("".join), max_size=8), place=st.integers(0, 8))
def test_a_secret_with_a_sign_no_word_of_qemu_has_is_kept_nowhere(
    words: list[str], place: int
) -> None:
    """Wherever it stands, whatever stands before it."""
    hidden_word = "p@ss/w0rd"
    hidden = [*words[:place], *(f"{word}{hidden_word}" for word in words[place:]), hidden_word]

    assert "p@ss" not in "\0".join(without_secrets(hidden))


def test_what_shapes_memory_and_balloon_is_kept() -> None:
    """The rest by its option's name; files and folders not at all."""
    arguments = (
        *("/usr/bin/qemu-system-x86_64", "-nodefaults", "-S"),
        *("-machine", "q35,accel=kvm,memory-backend=ram0", "-cpu", "host,migratable=off"),
        *("-m", "size=4G,slots=2,maxmem=8G", "-smp", "4,sockets=1"),
        *("-object", "memory-backend-memfd,id=ram0,size=4G,share=on,hugetlb=off"),
        *("-kernel", "/var/lib/acme/vmlinuz", "-qmp", "unix:/run/acme/qmp,server=on"),
        *("-device", "virtio-balloon-pci,free-page-reporting=on,page-poison=off,id=b0"),
    )

    assert without_secrets(arguments) == (
        *("qemu-system-x86_64", "-nodefaults", "-S"),
        *("-machine", "q35,accel=kvm,(removed)", "-cpu", "host,migratable=off"),
        *("-m", "size=4G,slots=2,maxmem=8G", "-smp", "4,sockets=1"),
        *("-object", "memory-backend-memfd,(removed),size=4G,share=on,hugetlb=off"),
        *("-kernel", "(removed)", "-qmp", "(removed)"),
        *("-device", "virtio-balloon-pci,free-page-reporting=on,page-poison=off,(removed)"),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pc", "pc"),
        ("type=q35,accel=kvm", "q35"),
        ("accel=kvm,type=q35", "q35"),
        ("pc-i440fx-7.2,usb=off", "pc-i440fx-7.2"),
        ("accel=kvm", "default"),
        ("", "default"),
    ],
)
def test_the_machine_type_is_found_wherever_it_stands(value: str, expected: str) -> None:
    assert machine_type(value) == expected
