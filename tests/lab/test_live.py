"""Real guests: they boot, do what the scenario says, give memory back, and leave nothing behind."""

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from workbench.lab import LabSettings, parse_scenario, run_lab
from workbench.lab.host import (
    CGROUPS,
    KHUGEPAGED_OFF,
    NOTES,
    setting_changed,
)
from workbench.units import KIB, MIB

pytestmark = pytest.mark.live

KHUGEPAGED_DEFRAG = next(path for path in KHUGEPAGED_OFF if path.name == "defrag")
WAIT_SECONDS_MAX = 120


class Recording:
    """Notes what the guests said, and the guest RAM that was resident at every step."""

    def __init__(self):
        self.resident_bytes = {}
        self.samples = []

    @contextmanager
    def __call__(self, targets, output, origin):
        self.targets, self.output, self.origin = targets, output, origin
        yield self

    def mark(self, vm, step, time_ns):
        assert 0 <= time.monotonic_ns() - time_ns < WAIT_SECONDS_MAX * 10**9
        self.resident_bytes[step] = guest_ram_resident_bytes(self.targets[vm].pid)

    def guest_sample(self, vm, time_ns, guest_time_ns, free_blocks):
        self.samples.append((vm, time_ns, guest_time_ns, tuple(free_blocks)))


def guest_ram_resident_bytes(pid):
    """The largest resident mapping of a QEMU is its guest RAM."""
    text = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8")
    return max(int(size) * KIB for size in re.findall(r"^Rss:\s+(\d+) kB", text, re.MULTILINE))


def run_scenario(text, tmp_path, **settings):
    recording = Recording()
    scenario = parse_scenario(text, name="live")
    settings = {"settle_s": 4.0, "memory_bytes": 256 * MIB, **settings}
    run_lab(LabSettings(scenario=scenario, **settings), tmp_path, capture=recording)
    return recording


def test_reporting_gives_back_what_the_guest_frees(tmp_path):
    """The host holds less when the guest is done than when it held its file."""
    recording = run_scenario("take a 96M\nidle 500ms\nfree a\nidle 5\n", tmp_path)

    held, done = recording.resident_bytes[2], recording.resident_bytes[5]
    assert held > 96 * MIB
    assert held - done > 64 * MIB


def test_without_reporting_the_host_keeps_it(tmp_path):
    recording = run_scenario("take a 96M\nidle 500ms\nfree a\nidle 5\n", tmp_path, reporting=False)
    assert recording.resident_bytes[5] >= recording.resident_bytes[2]


def test_a_poison_value_stops_the_discards(tmp_path):
    text = "take a 96M\nidle 500ms\nfree a\nidle 5\n"
    recording = run_scenario(text, tmp_path, poison=0xAAAAAAAA)
    assert recording.resident_bytes[5] >= recording.resident_bytes[2]


def test_every_step_works_in_the_guest(tmp_path):
    """Every word once; the lab ends with an error if one fails.  Order 0 is set in the guest."""
    text = """
        take a 8M
        touch a
        rewrite a zero
        scatter b 6 100K text
        thin b
        save c 8M
        load c
        drop-caches
        delete c
        mark here
        free b
        free a
    """
    recording = run_scenario(text, tmp_path, reporting_order=0, guest_count=2)

    assert sorted(recording.resident_bytes) == list(range(1, 14))
    assert {sample[0] for sample in recording.samples} == {0, 1}
    first, last = recording.samples[0], recording.samples[-1]
    assert last[1] > first[1]
    assert last[2] > first[2]


def test_a_guest_waits_for_a_capture_in_mid_life_and_migrates(tmp_path):
    text = "take a 8M\nmark here\nidle 2\nfree a\n"
    settings = {"attach_after": "1", "migrate_at": "here", "free_page_hint": True}
    recording = run_scenario(text, tmp_path, **settings)
    assert sorted(recording.resident_bytes) == [2, 3, 4, 5]


RUN = textwrap.dedent("""
    import sys
    from pathlib import Path
    from workbench.lab import LabSettings, Transcript, parse_scenario, run_lab
    scenario = parse_scenario("take a 64M\\nsave b 8M\\nidle 5m", name="live")
    host = {"memory_limit_bytes": 600 << 20, "zram_bytes": 64 << 20} if sys.argv[2:] else {}
    settings = LabSettings(scenario=scenario, memory_bytes=256 << 20, guest_count=2, **host)
    def progress(text):
        print(text, flush=True)
    try:
        run_lab(settings, Path(sys.argv[1]), capture=Transcript, progress=progress)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
""")


@contextmanager
def lab_process(folder, *arguments):
    """A lab run of its own, which has come to its last step; its guests live under `folder`."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": root}
    command = [sys.executable, "-c", RUN, str(folder / "out"), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            process.said = []
            while sum("step 3 of 3" in line for line in process.said) < 2:
                line = process.stdout.readline()
                if not line:
                    pytest.fail(f"the lab ended early: {process.stderr.read()}")
                process.said.append(line)
            yield process
        finally:
            process.kill()


@pytest.fixture
def folder():
    """A folder with a short name: QEMU's sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="lab-") as name:
        yield Path(name)


def guests_of(folder):
    """The pids of the QEMUs that work in a folder."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:  # It has just ended.
            continue
        if words.startswith(b"qemu-system") and str(folder).encode() in words:
            pids.append(int(path.parent.name))
    return pids


def made_by(process, folder):
    """What the run in `folder` has made on this host.  Other runs may be going on beside it."""
    groups = [*CGROUPS.glob("memory/workbench-lab-*"), *CGROUPS.glob("workbench-lab-*")]
    device = next(line.split()[2] for line in process.said if line.startswith("swapping to"))
    swaps = Path("/proc/swaps").read_text(encoding="utf-8")
    return {
        "guests": len(guests_of(folder)),
        "cgroups": sum((folder / group.name).exists() for group in groups),
        "swap": sum(line.startswith(f"{device} ") for line in swaps.splitlines()),
        "devices": int(Path(device).exists()),
        "folders": len(list(folder.glob("workbench-lab-*"))),
    }


def setting_is_restored_unless_another_run_needs_it(before):
    """Whoever can have the note alone is the only one."""
    with (NOTES / "workbench-lab-khugepaged-defrag").open(encoding="utf-8") as note:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return not note.read() and KHUGEPAGED_DEFRAG.read_text(encoding="utf-8") == before


@pytest.fixture
def setting_before():
    with setting_changed(KHUGEPAGED_DEFRAG, "0"):  # Puts right what a killed run may have left.
        pass
    return KHUGEPAGED_DEFRAG.read_text(encoding="utf-8")


ALL = {"guests": 2, "cgroups": 1, "swap": 1, "devices": 1, "folders": 1}
NOTHING = dict.fromkeys(ALL, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_a_signal(folder, setting_before, number):
    with lab_process(folder, "limited") as process:
        while_running = made_by(process, folder)
        group = group_of(folder)
        process.send_signal(number)
        process.send_signal(signal.SIGINT)  # An impatient second one.
        process.communicate(timeout=WAIT_SECONDS_MAX)

    assert while_running == ALL
    assert process.returncode == 130
    assert made_by(process, folder) == NOTHING
    assert not group.exists()
    assert setting_is_restored_unless_another_run_needs_it(setting_before)


def group_of(folder):
    """The memory cgroup of the run in `folder`; it has the name of the run's own folder."""
    name = next(folder.glob("workbench-lab-*")).name
    return next(path for path in (CGROUPS / "memory" / name, CGROUPS / name) if path.exists())


def test_nothing_is_left_after_a_qemu_was_killed(folder, setting_before):
    with lab_process(folder, "limited") as process:
        group = group_of(folder)
        os.kill(guests_of(folder)[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=WAIT_SECONDS_MAX)

    assert "HostError: QEMU of guest live-" in errors
    assert "ended by itself" in errors
    assert made_by(process, folder) == NOTHING
    assert not group.exists()
    assert setting_is_restored_unless_another_run_needs_it(setting_before)


def test_guests_do_not_outlive_a_lab_that_is_killed(folder, setting_before):
    """A killed lab ends nothing itself; the kernel ends its guests."""
    with ExitStack() as stack:
        process = stack.enter_context(lab_process(folder))
        guests = [os.pidfd_open(pid) for pid in guests_of(folder)]
        for guest in guests:
            stack.callback(os.close, guest)
        process.kill()
        ended = [select.select([guest], [], [], WAIT_SECONDS_MAX)[0] for guest in guests]
    with setting_changed(KHUGEPAGED_DEFRAG, "0"):  # The next run restores it.
        pass

    assert ended == [[guest] for guest in guests]
    assert len(ended) == 2
    assert setting_is_restored_unless_another_run_needs_it(setting_before)
