"""Steps that are not the driver's: what an operator does, or a migration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from workbench.model.balloon.offer import Queue
from workbench.validation.hint_thread import CONDITION, EVENTS, rests_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.validation.session import Session

DEVICE: Final = "/machine/peripheral/bal0/virtio-backend"
"""Where QEMU's object model has the balloon."""

_SETTLE_S: Final = 2.0
"""How long the hint queue's thread, or a timer, may take; it needs a millisecond."""
_POLL_S: Final = 0.0005


def balloon(session: Session, value: int) -> None:
    """Set the target."""
    objection = session.model.balloon.set_target(value)
    answer = session.real.qmp("balloon", value=value)
    _pair(session, "balloon", objection, answer)


def query_balloon(session: Session) -> None:
    """Ask how large the guest is."""
    answer = session.real.qmp("query-balloon")
    expected = {"actual": session.model.balloon.query()}
    session.monitor_pairs.append(("query-balloon", expected, answer.get("return")))


def polling_interval(session: Session, value: int) -> None:
    """Set how often statistics are asked for; a timer asks at once, if the machine runs."""
    model = session.model.balloon
    held = model.statistics.held is not None
    objection = model.statistics.set_interval(model, model.queue_of(Queue.STATS), value)
    answer = session.real.qmp(
        "qom-set", path=DEVICE, property="guest-stats-polling-interval", value=value
    )
    _pair(session, "polling interval", objection, answer)
    if held:
        settle(session, session.model.device.offer.queues.index(Queue.STATS))


def guest_statistics(session: Session) -> None:
    """Read the driver's numbers."""
    answer = session.real.qmp("qom-get", path=DEVICE, property="guest-stats")
    expected = session.model.balloon.statistics.by_name(session.model.balloon.tally)
    session.monitor_pairs.append(("guest-stats", expected, answer["return"]["stats"]))


def stop(session: Session) -> None:
    """Stop the virtual machine."""
    session.real.qmp("stop")
    session.model.device.set_running(running=False)
    settle_hints(session)


def cont(session: Session) -> None:
    """Let the virtual machine go on."""
    session.real.qmp("cont")
    model = session.model
    timer_is_due = model.balloon.statistics.is_due
    model.device.set_running(running=True)
    settle_hints(session)
    if timer_is_due:
        settle(session, model.device.offer.queues.index(Queue.STATS))


def system_reset(session: Session) -> None:
    """Reset the machine."""
    session.real.qmp("system_reset")
    wait_for_event(session, "RESET")
    session.real.remap()
    session.model.system_reset()


def wait_for_event(session: Session, name: str) -> None:
    """Wait until QEMU tells of an event, and keep the others."""
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        events = session.real.take_events()
        session.events += [event for event in events if event["event"] != name]
        if any(event["event"] == name for event in events):
            return
        time.sleep(_POLL_S)


def settle_hints(session: Session) -> None:
    """Wait until the hint queue's worker has done what the model's has.

    It sleeps then, or waits for the machine to run.  While hinting runs it does neither; what it
    takes then shows in the ring, and what breaks the device in the end is that it is broken.
    """
    queues = session.model.device.offer.queues
    if Queue.HINT not in queues:
        return
    hinting = session.model.balloon.hinting
    if hinting.waiting is None:
        what, condition = "sleeps", lambda: rests_in(session.real, EVENTS)
    elif hinting.blocked:
        what, condition = "waits", lambda: rests_in(session.real, CONDITION)
    elif session.model.device.broken:
        what, condition = "breaks the device", lambda: _is_broken(session)
    else:
        what, condition = "polls", lambda: True
    done = _comes_true(condition)
    session.monitor_pairs.append((f"the worker of hints {what}", True, done))
    settle(session, queues.index(Queue.HINT))


def _comes_true(condition: Callable[[], bool]) -> bool:
    """Wait, but not for long.  Returns whether it did."""
    deadline = time.monotonic() + _SETTLE_S
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return holds


def _is_broken(session: Session) -> bool:
    """Ask whether the device is broken; QEMU tells since 7.2.

    It writes the status and interrupts before it is, so that the status says too little.

    Source: QEMU 7.2 hw/virtio/virtio.c, virtio_error; qapi/virtio.json, x-query-virtio-status.
    """
    answer = session.real.qmp("x-query-virtio-status", path=DEVICE)
    return bool(answer.get("return", {"broken": True})["broken"])


def settle(session: Session, number: int) -> None:
    """Wait until another thread has done what the model has done at once."""
    ring = session.driver.rings.get(number)
    if ring is None:
        return
    accesses = [("readl", ring.used), *session.driver.step_status_read()]
    expected = session.model.execute(accesses)
    deadline = time.monotonic() + _SETTLE_S
    while (found := session.real.execute(accesses)) != expected:
        if time.monotonic() >= deadline:
            session.monitor_pairs.append((f"queue {number} at rest", expected, found))
            return
        time.sleep(_POLL_S)


def _pair(session: Session, what: str, objection: str | None, answer: dict[str, Any]) -> None:
    found = answer.get("error", {}).get("desc")
    session.monitor_pairs.append((what, objection, found))


HOST_STEPS: Final[dict[str, Callable[..., None]]] = {
    "balloon": balloon,
    "query_balloon": query_balloon,
    "polling_interval": polling_interval,
    "guest_statistics": guest_statistics,
    "stop": stop,
    "cont": cont,
    "system_reset": system_reset,
}
"""Every step that the driver does not know, by name."""
