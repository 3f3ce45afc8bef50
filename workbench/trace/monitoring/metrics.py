"""Metrics with labels, sorted out by guest: what JSON and CSV of Prometheus have in common."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.errors import InputError
from workbench.spelling import on_one_line, shorten
from workbench.trace.monitoring.names import (
    MEANINGS,
    NEEDED,
    identity,
    others,
    spelled,
)
from workbench.trace.monitoring.tracks import Quantity, Sampled, Track, merged
from workbench.units import HUGE_PAGE_ORDER

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from workbench.trace.monitoring.names import Guest

_PORT: Final = re.compile(r":[0-9]+$")

_NAMED_AT_MOST: Final = 5
"""Metrics nobody uses that are named; a scrape of everything has hundreds."""

_NAME_CHARACTERS: Final = 200
"""Of a name from a file, in a message."""

_HIGHEST_ORDER: Final = 52
"""An order at which one block would be more than any processor addresses; what is higher is no
order."""


class _Key(NamedTuple):
    """What one series is known by."""

    metric: str
    block: tuple[str, ...]
    guest: Guest


class _Part(NamedTuple):
    """A stretch of one series, as one answer has it."""

    labels: dict[str, str]
    place: str
    time_ns: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    lines: npt.NDArray[np.int64] | None


class Metrics:
    """Collects the series of a file, and tells its guests apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ignored: Counter[str] = Counter()
        self._parts: dict[_Key, list[_Part]] = {}
        self._guests: dict[Guest, list[_Key]] = {}

    def add(
        self,
        labels: dict[str, str],
        place: str,
        time_ns: npt.NDArray[np.int64],
        values: npt.NDArray[np.float64],
        *,
        lines: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Take one series whose metric has a meaning; a series may come in several parts."""
        guest = identity(labels)
        block = tuple(labels.get(name, "") for name in ("node", "zone", "size"))
        key = _Key(labels["__name__"], block, guest)
        if key not in self._parts:
            self._parts[key] = []
            self._guests.setdefault(guest, []).append(key)
        self._parts[key].append(_Part(labels, place, time_ns, values, lines))

    def guests(self) -> list[Sampled]:
        """Give all guests, in the order of their names.

        Raises
        ------
        InputError
            There is none, or two have one name.
        """
        found: dict[str, Sampled] = {}
        whose: dict[str, str] = {}
        names = self._names()
        for guest, keys in self._guests.items():
            name = names[guest]
            shown = ", ".join(f"{label} {on_one_line(text)}" for label, text in guest)
            if name in found:
                raise InputError(
                    f"{self.path}: has two guests named {on_one_line(name)!r} ({whose[name]}; "
                    f"{shown}), expected each name once; export them into files of their own"
                )
            changed = sorted(self._changed_labels(keys))
            found[name] = Sampled(name=name, tracks=[self._track(key) for key in keys])
            if changed:
                named = ", ".join(on_one_line(label) for label in changed)
                found[name].remarks.append(
                    f"labels that change in time, of what was taken for one guest: {named}"
                )
            whose[name] = shown
        self._refuse_nothing(found)
        remark = self._ignored_remark()
        for sampled in found.values():
            sampled.remarks += remark
        return [found[name] for name in sorted(found)]

    def _names(self) -> dict[Guest, str]:
        """Name each guest by its domain or instance, without the ports if that is enough."""
        full = {
            guest: dict(guest).get("domain") or dict(guest).get("instance") or self.path.stem
            for guest in self._guests
        }
        short = {guest: _PORT.sub("", name) or name for guest, name in full.items()}
        return short if len(set(short.values())) == len(set(full.values())) else full

    def _track(self, key: _Key) -> Track:
        """Put the parts of one series together."""
        parts = self._parts[key]
        meaning = MEANINGS[key.metric]
        tracks = [
            Track(
                quantity=meaning.quantity,
                key=spelled(part.labels),
                place=part.place,
                time_ns=part.time_ns,
                values=part.values,
                unit=self._huge_pages(part) if meaning.quantity is Quantity.HUGE else 1,
                rank=meaning.rank,
                lines=part.lines,
            )
            for part in parts
        ]
        return merged(self.path, tracks)

    def _changed_labels(self, keys: list[_Key]) -> set[str]:
        """Name the labels that one guest has differently at different times.

        Raises
        ------
        InputError
            It has them at the same time, and so is two.
        """
        changed: set[str] = set()
        for key in keys:
            parts = [part for part in self._parts[key] if part.time_ns.size]
            parts.sort(key=lambda part: int(part.time_ns.min()))
            last: dict[tuple[tuple[str, str], ...], _Part] = {}
            for part in parts:
                labels = others(part.labels)
                for labels_before, before in last.items():
                    if labels != labels_before:
                        self._refuse_at_once(before, part)
                        changed |= {name for name, _ in set(labels) ^ set(labels_before)}
                if labels not in last or part.time_ns.max() > last[labels].time_ns.max():
                    last[labels] = part
        return changed

    def _refuse_at_once(self, before: _Part, part: _Part) -> None:
        if part.time_ns.min() <= before.time_ns.max():
            now, then = (on_one_line(spelled(each.labels)) for each in (part, before))
            raise InputError(
                f"{self.path}, {part.place}: {now} is of a guest that {before.place} has at the "
                f"same time as {then}, expected one guest of each name; export them into files "
                "of their own"
            )

    def _huge_pages(self, part: _Part) -> float:
        """Give the huge pages in one block; none where it is smaller than one."""
        size = part.labels.get("size", "")
        if not size.isdecimal() or int(size) > _HIGHEST_ORDER:
            raise InputError(
                f"{self.path}, {part.place}: label size is {on_one_line(repr(size))}, expected an "
                "order such as 9; export node_buddyinfo_blocks with its labels"
            )
        return float(1 << int(size) >> HUGE_PAGE_ORDER)

    def _refuse_nothing(self, found: dict[str, Sampled]) -> None:
        if not found:
            seen = self._ignored_remark()
            has = seen[0] if seen else "it has no series"
            raise InputError(
                f"{self.path}: has no metric of a guest's memory ({has}), expected {NEEDED}; "
                "export these"
            )

    def _ignored_remark(self) -> list[str]:
        if not self.ignored:
            return []
        names = sorted(self.ignored)
        shown = [shorten(on_one_line(name), _NAME_CHARACTERS) or "without a name" for name in names]
        more = f" and {len(names) - _NAMED_AT_MOST:,} more" if len(names) > _NAMED_AT_MOST else ""
        count = sum(self.ignored.values())
        listed = ", ".join(shown[:_NAMED_AT_MOST])
        return [f"{count:,} series of metrics that are not used: {listed}{more}"]
