"""The lines of qtest, and the exchange of many of them, against a server that plays QEMU."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from workbench.errors import HostError
from workbench.validation.wire import (
    BATCH_BYTES_MAX,
    LENGTH_BYTES_MAX,
    Connection,
    MachineDiedError,
    MachineStuckError,
    Wire,
    encode,
)

TIMEOUT_S = 5.0


@contextmanager
def wire_to(serve, timeout_s=TIMEOUT_S, last_words=lambda: ""):
    """Connect a wire to `serve`, which gets the other end of the socket."""
    ours, theirs = socket.socketpair()
    # Buffers as small as the kernel has them, to fill up soon.
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BATCH_BYTES_MAX)

    def run():
        with theirs:
            serve(theirs)

    thread = threading.Thread(target=run)
    thread.start()
    wire = Wire(Connection(ours, timeout_s=timeout_s, last_words=last_words))
    try:
        yield wire
    finally:
        wire.close()
        thread.join(TIMEOUT_S)


def answering(answer):
    """Serve like QEMU: read 1 KiB, answer every whole line in it at once, read on."""

    def serve(end):
        rest = b""
        while data := end.recv(1024):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                end.sendall(answer(line) + b"\n")

    return serve


def ok(line):
    """Answer as QEMU does, with as few kinds of answers as will do."""
    if line.startswith((b"read", b"in")):
        return b"OK 0x%x" % (int(line.split()[1]) & 0xFFFF)
    if line.startswith(b"b64read"):
        return b"OK AQID"
    return b"OK"


def test_accesses_are_written_as_lines():
    accesses = [
        ("writel", 0xFE000020, 0x100000),
        ("readq", 1 << 63),
        ("outw", 0xCF8, 1),
        ("inb", 0xC013),
        ("memset", 4096, 8192, 0xA5),
        ("read", 16, 3),
        ("write", 32, b"\1\2\3"),
        ("write", 32, b""),
    ]
    assert encode(accesses).decode().splitlines() == [
        "writel 4261412896 1048576",
        "readq 9223372036854775808",
        "outw 3320 1",
        "inb 49171",
        "memset 4096 8192 165",
        "b64read 16 3",
        "b64write 32 3 AQID",
        "memset 32 0 0",
    ]


@pytest.mark.parametrize(
    "access",
    [
        ("read", 0, 0),
        ("read", 0, LENGTH_BYTES_MAX + 1),
        ("memset", 0, 1 << 60, 0),
        ("memset", 0, -1, 0),
        ("write", 0, bytes(LENGTH_BYTES_MAX + 1)),
        ("write", -1, b"x"),
        ("write", 0, "x"),
        ("write", 0),
        ("inb", 0x10000),
        ("outl", 0x10000, 0),
        ("outl", 0, 1 << 64),
        ("readl",),
        ("readl", 0, 0),
        ("readl", 1 << 64),
        ("readl", -1),
        ("readl", "0\nquit"),
        ("writeb", 0, 0.5),
        ("quit",),
    ],
)
def test_a_line_that_would_end_qemu_is_never_written(access):
    with pytest.raises(ValueError, match=r"access|would end QEMU|a write of"):
        encode([access])


def test_every_answer_belongs_to_its_access():
    accesses = [("readl", 7), ("writeb", 1, 2), ("inw", 9), ("read", 0, 3), ("memset", 0, 1, 2)]
    with wire_to(answering(ok)) as wire:
        assert wire.exchange(accesses) == [7, None, 9, b"\1\2\3", None]
        assert wire.exchange([]) == []


def test_encoded_accesses_can_be_used_again_and_answers_are_given_as_they_are():
    data = encode([("readl", 7), ("writeb", 1, 2)])
    with wire_to(answering(ok)) as wire:
        for _ in range(3):
            assert wire.exchange_encoded(data, 2) == [b"OK 0x7", b"OK"]


def test_a_wrong_count_of_lines_is_told_before_anything_is_sent():
    with wire_to(answering(ok)) as wire, pytest.raises(ValueError, match="2 lines were given"):
        wire.exchange_encoded(b"readl 1\nreadl 2\n", 3)


def test_many_accesses_do_not_lock_up():
    """Requests and answers are each many times what the sockets' buffers hold."""
    accesses = [
        access
        for number in range(5000)
        for access in (("readl", number), ("write", 0, bytes(300)), ("writel", 1, 2))
    ]
    with wire_to(answering(ok)) as wire:
        answers = wire.exchange(accesses)

    assert answers[::3] == [number & 0xFFFF for number in range(5000)]
    assert not any(answers[1::3] + answers[2::3])


def test_a_line_longer_than_any_buffer_does_not_lock_up():
    accesses = [("readl", 1), ("write", 0, bytes(10 * BATCH_BYTES_MAX)), ("readl", 2)]
    with wire_to(answering(ok)) as wire:
        assert wire.exchange(accesses) == [1, None, 2]


def test_long_answers_do_not_lock_up():
    long = b"OK " + b"AAAA" * BATCH_BYTES_MAX
    with wire_to(answering(lambda line: long if line.startswith(b"b64read") else ok(line))) as wire:
        answers = wire.exchange([("read", 0, 3 * BATCH_BYTES_MAX)] * 9 + [("readl", 3)])

    assert answers == [bytes(3 * BATCH_BYTES_MAX)] * 9 + [3]


@pytest.mark.parametrize("access", [("writel", 0, 0), ("readl", 0), ("read", 0, 1)])
def test_a_refused_access_is_an_error(access):
    refusal = b"FAIL Unknown command 'x'"
    with (
        wire_to(answering(lambda _: refusal)) as wire,
        pytest.raises(HostError, match=r"QEMU refused .*Unknown command"),
    ):
        wire.exchange([access])


def test_a_machine_that_ends_is_told_with_its_last_words():
    def serve(end):
        end.recv(1024)
        end.sendall(b"OK\nO")

    with wire_to(serve, last_words=lambda: "out of memory") as wire:
        for _ in range(2):
            with pytest.raises(MachineDiedError, match="QEMU has ended: out of memory"):
                wire.exchange([("writel", 0, 0), ("writel", 0, 0)])


def test_a_machine_that_does_not_answer_is_told_in_time():
    done = threading.Event()

    def serve(end):
        end.sendall(b"OK\n")
        done.wait(TIMEOUT_S)

    with wire_to(serve, timeout_s=0.1) as wire:
        start_s = time.monotonic()
        for _ in range(2):
            with pytest.raises(MachineStuckError, match=r"not answered for 0\.1 s"):
                wire.exchange([("writel", 0, 0), ("writel", 0, 0)])
        done.set()

    assert time.monotonic() - start_s < TIMEOUT_S


def test_a_machine_that_does_not_even_listen_is_told_in_time():
    done = threading.Event()
    accesses = [("write", 0, bytes(40 * BATCH_BYTES_MAX))]
    with wire_to(lambda _: done.wait(TIMEOUT_S), timeout_s=0.1) as wire:
        with pytest.raises(MachineStuckError):
            wire.exchange(accesses)
        done.set()
