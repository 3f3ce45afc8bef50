"""Logs of QEMU's answers to `qom-get` of a balloon's guest-stats: JSON, one after the other.

Source: QEMU, hw/virtio/virtio-balloon.c, balloon_stats_get_all(): bytes, by the names of
balloon_stat_names; what the guest did not say is -1 as an unsigned number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.errors import InputError
from workbench.spelling import on_one_line
from workbench.trace.monitoring.answers import Answers
from workbench.trace.monitoring.sampled_rows import Column
from workbench.trace.monitoring.tracks import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.trace.monitoring.json_text import JsonText
    from workbench.trace.monitoring.tracks import Sampled

KEYS: Final = frozenset(
    {"return", "QMP", "event", "error", "id", "timestamp", "stats", "last-update"}
)
"""Of what QEMU says on its monitor (docs/interop/qmp-spec), or of the answer alone."""

_COLUMNS: Final = {
    name: Column(quantity, name, 1)
    for name, quantity in (
        ("stat-free-memory", Quantity.FREE),
        ("stat-total-memory", Quantity.TOTAL),
        ("stat-disk-caches", Quantity.CACHED),
    )
}

_ABSENT: Final = frozenset({-1, 2**64 - 1})

_ADVICE: Final = "set the balloon's guest-stats-polling-interval"


def read_guest_stats(path: Path, text: JsonText) -> list[Sampled]:
    """Read a log of one guest, which is named after the file.

    Raises
    ------
    InputError
        It is not JSON, a number is none, or the guest never answered.
    """
    answers = Answers(path, _COLUMNS, _ADVICE)
    others = 0
    for line, reply in _replies(text):
        answer = reply.get("return", reply) if isinstance(reply, dict) else None
        stats = answer.get("stats") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(stats, dict):
            others += 1
            continue
        last_update = _number(path, line, "last-update", answer.get("last-update", 0))
        numbers = {
            name: _number(path, line, name, stats[name]) for name in _COLUMNS if name in stats
        }
        known = {name: value for name, value in numbers.items() if stats[name] not in _ABSENT}
        answers.add(line, last_update, known)
    sampled = answers.sampled()
    if others:
        sampled.remarks.append(f"{others:,} of QEMU's words are not guest-stats")
    return [sampled]


def _replies(text: JsonText) -> Iterator[tuple[int, Any]]:
    """Give what follows each other, or stands in lists, with its line."""
    while text.next_character():
        if text.next_character() == "[":
            for _ in text.items():
                yield text.line, text.value()
        else:
            yield text.line, text.value()


def _number(path: Path, line: int, name: str, value: Any) -> float:  # noqa: ANN401 - any JSON.
    if type(value) is not int or abs(value) >= 2**64:
        raise InputError(
            f"{path}, line {line}: {name} is {on_one_line(repr(value))}, expected a whole number; "
            "correct it or remove the answer"
        )
    return float(value)
