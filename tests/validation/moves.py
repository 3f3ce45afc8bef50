"""What happens to a machine other than by its driver: an operator, and time.

A move does the same to the model and to QEMU, and returns what was answered: a list of one answer
where it asks something, else of none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.validation.cases import STATS_QUEUE
from tests.validation.migration_moves import MIGRATION_MOVES
from workbench.model.balloon.offer import Queue, refusal
from workbench.model.balloon.statistics import NAMES
from workbench.validation.host_steps import DEVICE
from workbench.validation.real_machine import RealMachine
from workbench.validation.streams import tell
from workbench.validation.wire import MachineDiedError

if TYPE_CHECKING:
    from tests.validation.bench import Bench
    from workbench.validation.setup import Setup

HELD_BACK_S = 1.5
"""QEMU's monitor holds an event back for a second (monitor/monitor.c, monitor_qapi_event_conf)."""
POLL_S = 0.001

# --- machines


def machine(bench: Bench, setup: Setup) -> list[Any]:
    """Go on with another machine, which has just been started."""
    bench.assert_all_seen()
    bench.start(setup)
    return []


def refused(bench: Bench, setup: Setup) -> list[Any]:
    """Start a machine that does not start.  Answers in which words."""
    words = refusal(setup.properties, bench.level)
    if bench.folder is None:
        return [words]
    try:
        RealMachine(setup, folder=bench.folder).close()
    except MachineDiedError as error:
        found = str(error).rpartition(": ")[2]
        assert words in {None, found}
        return [found]
    return [None]


# --- the operator


def balloon(bench: Bench, value: int) -> list[Any]:
    """Set the target.  Answers with the objection, None if there is none."""
    return [
        bench.agree(
            bench.model.balloon.set_target(value),
            lambda real: real.qmp("balloon", value=value).get("error", {}).get("desc"),
        )
    ]


def query_balloon(bench: Bench) -> list[Any]:
    """Ask how large the guest is."""
    actual = bench.model.balloon.actual_bytes()
    return [bench.agree(actual, lambda real: tell(real, "query-balloon")["actual"])]


def balloon_changes(bench: Bench, count: int, to_the_end: int = 0) -> list[Any]:
    """Wait for BALLOON_CHANGE events, `count` of them.  Answers with all that there are.

    The monitor lets one through a second: of several at once the first, and later the last.  With
    `to_the_end`, wait for as long as it may hold back one more.
    """
    changes, bench.model.balloon.balloon_changes[:] = list(bench.model.balloon.balloon_changes), []

    def wait(real: RealMachine) -> list[int]:
        name = "BALLOON_CHANGE"
        events = [real.wait_for_event(name) for _ in range(count)]
        deadline = time.monotonic() + (HELD_BACK_S if to_the_end else 0)
        while True:
            events += [event for event in real.take_events() if event["event"] == name]
            if len(events) > count or time.monotonic() >= deadline:
                return [event["data"]["actual"] for event in events]
            time.sleep(POLL_S)

    return [bench.agree(changes[:1] + changes[1:][-1:], wait)]


def polling_interval(bench: Bench, value: int) -> list[Any]:
    """Set how often statistics are asked for.  Answers with the objection."""
    model = bench.model.balloon
    name = "guest-stats-polling-interval"
    answer = bench.agree(
        model.statistics.set_interval(model, model.queue_of(Queue.STATS), value),
        lambda real: (
            real.qmp("qom-set", path=DEVICE, property=name, value=value)
            .get("error", {})
            .get("desc")
        ),
    )
    bench.settle(STATS_QUEUE)
    return [answer]


def clock(bench: Bench) -> list[Any]:
    """Begin to take the time."""
    bench.clock_s = time.monotonic()
    return []


def polling_time(bench: Bench) -> list[Any]:
    """Wait until statistics are asked for again.  Answers how many seconds after `clock`.

    QEMU's timer is set from a clock of whole milliseconds, and so may be early by one.
    """
    model = bench.model.balloon
    model.statistics.poll(model, model.queue_of(Queue.STATS))
    bench.settle(STATS_QUEUE)
    passed_s = time.monotonic() - bench.clock_s
    return [bench.agree(model.statistics.poll_interval_s, lambda _: int(passed_s + 0.001))]


def guest_statistics(bench: Bench) -> list[Any]:
    """Ask for the driver's numbers, by tag."""

    def ask(real: RealMachine) -> list[int]:
        stats = tell(real, "qom-get", path=DEVICE, property="guest-stats")["stats"]
        return [stats[name] for name in NAMES]

    return [bench.agree(list(bench.model.balloon.statistics.values), ask)]


def stop(bench: Bench) -> list[Any]:
    """Stop the virtual machine."""
    if bench.session is not None:
        tell(bench.real, "stop")
    bench.model.device.set_running(running=False)
    return []


def cont(bench: Bench) -> list[Any]:
    """Let the virtual machine go on."""
    if bench.session is not None:
        tell(bench.real, "cont")
    bench.model.device.set_running(running=True)
    return []


def system_reset(bench: Bench) -> list[Any]:
    """Reset the machine."""
    if bench.session is not None:
        tell(bench.real, "system_reset")
        bench.real.wait_for_event("RESET")
        bench.real.remap()
    bench.model.system_reset()
    return []


def settle(bench: Bench, queue: int) -> list[Any]:
    """Wait until the thread behind a queue has done its work, and lets itself be kicked again."""
    bench.settle(queue)
    return []


MOVES = {
    move.__name__: move
    for move in (
        machine,
        refused,
        balloon,
        query_balloon,
        balloon_changes,
        polling_interval,
        clock,
        polling_time,
        guest_statistics,
        stop,
        cont,
        system_reset,
        settle,
    )
} | MIGRATION_MOVES
"""Every move, by its name as a step."""
