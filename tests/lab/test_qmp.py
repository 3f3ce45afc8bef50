import json
import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from workbench.errors import HostError
from workbench.lab.migration import prepared_migration
from workbench.lab.qmp import Qmp


@pytest.fixture
def folder():
    """A folder with a short name: a socket's path has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        yield Path(name)


@contextmanager
def qemu(path, answers, asked=None):
    """Play a QEMU that answers each command with the next of `answers`, then hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def serve():
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as file:
                file.write(b'{"QMP": {"version": {}}}\n')
                file.flush()
                for answer in [{"return": {}}, *answers]:
                    command = json.loads(file.readline())
                    if asked is not None:
                        asked.append(command)
                    file.write(b'{"event": "SOMETHING"}\n' + json.dumps(answer).encode() + b"\n")
                    file.flush()

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_a_command_gets_its_answer_and_events_are_passed_over(folder):
    asked = []
    answers = [{"return": {"status": "running"}}]
    with qemu(folder / "qmp", answers, asked), Qmp(folder / "qmp", is_alive=lambda: True) as qmp:
        assert qmp.execute("query-status", detail=1) == {"status": "running"}
    assert asked[1] == {"execute": "query-status", "arguments": {"detail": 1}}


def test_a_refusal_is_told_in_qemus_words(folder):
    answers = [{"error": {"class": "GenericError", "desc": "no such thing"}}]
    with (
        qemu(folder / "qmp", answers),
        Qmp(folder / "qmp", is_alive=lambda: True) as qmp,
        pytest.raises(HostError, match="QEMU refused balloon: no such thing"),
    ):
        qmp.execute("balloon")


def test_a_qemu_that_is_gone_is_an_error_not_a_wait(folder):
    with (
        qemu(folder / "qmp", []),
        Qmp(folder / "qmp", is_alive=lambda: True) as qmp,
        pytest.raises(HostError, match="has ended"),
    ):
        qmp.execute("cont")


def test_a_qemu_that_ends_before_it_has_a_socket_is_not_waited_for(folder):
    with pytest.raises(HostError, match="did not open its control socket"):
        Qmp(folder / "qmp", is_alive=lambda: False)


class FakeQmp:
    """Answers `query-migrate` with one status after the other."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.commands = []

    def execute(self, command, **arguments):
        self.commands.append((command, arguments))
        return {"status": self.statuses.pop(0)} if command == "query-migrate" else {}


def test_the_guest_goes_on_after_a_migration(folder):
    qmp = FakeQmp("active", "completed")
    with prepared_migration(qmp, folder) as migration:
        migration.start()
        over = [migration.is_over(), migration.is_over()]
    assert over == [False, True]
    assert [command for command, _ in qmp.commands][-1] == "cont"
    assert qmp.commands[0] == ("migrate", {"uri": f"unix:{folder}/migration"})


def test_what_is_migrated_is_received_and_counted(folder):
    with prepared_migration(FakeQmp(), folder) as migration:
        with socket.socket(socket.AF_UNIX) as sender:
            sender.connect(str(folder / "migration"))
            sender.sendall(bytes(3_000_000))
        migration.join()
        assert migration.received_bytes == 3_000_000


def test_a_stream_is_kept_where_that_is_asked_for(folder):
    stream = folder / "stream"
    with prepared_migration(FakeQmp(), folder, stream) as migration:
        with socket.socket(socket.AF_UNIX) as sender:
            sender.connect(str(folder / "migration"))
            sender.sendall(b"pages")
        migration.join()
    assert stream.read_bytes() == b"pages"


def test_a_failed_migration_is_an_error(folder):
    with (
        prepared_migration(FakeQmp("failed"), folder) as migration,
        pytest.raises(HostError, match="failed"),
    ):
        migration.is_over()
