"""What lasts, and what happens at once, of the guests of a trace, as tracks for Perfetto."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.replay import Outcome
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, NO_ELEMENT, Feature, Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.measure.trace_events import TraceEvents
    from workbench.replay import Ledger
    from workbench.trace.reader import Columns

TRACKS: Final = {
    1: "scenario",
    2: "migration",
    3: "hints",
    4: "reports",
    5: "balloon",
    6: "device",
}
"""The tracks of each guest by thread: no two slices of one can overlap without nesting."""

SCENARIO, MIGRATION, HINTS, REPORTS, BALLOON, DEVICE = TRACKS

_OPENING: Final = {
    Kind.MARKER: SCENARIO,
    Kind.MIGRATION_START: MIGRATION,
    Kind.HINT_COMMAND: HINTS,
}
"""Kinds that begin what lasts until the next of them, or until what ends it."""

_INSTANTS: Final = frozenset(
    {Kind.RESET, Kind.INHIBIT, Kind.FEATURES, Kind.STATUS, Kind.CONFIG_WRITE, Kind.BITMAP_SYNC}
)

_SHOWN: Final = ("ram_block", "offset_bytes", "length_bytes", "status")
"""What is said of a discard."""

_FIRST_COMMAND_ID: Final = 2
"""Ids below it end a hinting: VIRTIO_BALLOON_CMD_ID_STOP and _DONE (virtio 1.2, 5.5.6.6)."""


@dataclass(slots=True)
class _Open:
    """A slice whose end is not known yet."""

    time_ns: int
    name: str
    arguments: dict[str, Any]


@dataclass(slots=True)
class Slices:
    """Writes the slices and instants of one guest, batch by batch."""

    file: TraceEvents
    process: int
    vm: int
    origin_ns: int
    _open: dict[int, _Open] = field(default_factory=dict)

    def add(self, columns: Columns, ledger: Ledger) -> None:
        """Take the next events, in the order of time."""
        kind, own = columns["kind"], columns["vm"] == self.vm
        is_discard = own & (kind == Kind.DISCARD)
        is_inflated = is_discard & (columns["element"] == NO_ELEMENT)
        self._add_elements(
            columns,
            ledger,
            np.flatnonzero((own & (kind == Kind.REPORT)) | is_discard & ~is_inflated),
        )
        self._add_discards(columns, np.flatnonzero(is_inflated), BALLOON, "inflate")
        self._add_rest(columns, np.flatnonzero(own & ~np.isin(kind, _OFTEN)))

    def _add_elements(self, columns: Columns, ledger: Ledger, rows: npt.NDArray[np.intp]) -> None:
        """One slice for each element, and after it those of its discards, which lie in it."""
        element = columns["element"][rows]
        order = np.argsort(element, kind="stable")
        starts = np.flatnonzero(np.diff(element[order]) != 0) + 1
        for part in np.split(rows[order], starts):
            if part.size:
                self._element(columns, ledger, part)

    def _element(self, columns: Columns, ledger: Ledger, rows: npt.NDArray[np.intp]) -> None:
        time_ns = columns["time_ns"][rows]
        first_ns = int(time_ns.min())
        stop_ns = int((time_ns + columns["duration_ns"][rows]).max())
        is_report = columns["kind"][rows] == Kind.REPORT
        reports = rows[is_report]
        counts = {
            Outcome(code).name.lower(): count
            for code, count in enumerate(np.bincount(ledger.outcome[reports]).tolist())
            if count
        }
        arguments = {
            "ranges": int(reports.size),
            "bytes": int(columns["length_bytes"][reports].sum()),
            **counts,
        }
        self.file.slice(
            self.process,
            REPORTS,
            first_ns - self.origin_ns,
            stop_ns - first_ns,
            f"element {columns['element'][rows[0]]}",
            arguments,
        )
        self._add_discards(columns, rows[~is_report], REPORTS, "discard")

    def _add_discards(
        self, columns: Columns, rows: npt.NDArray[np.intp], track: int, name: str
    ) -> None:
        """One slice for each, with its place and what came of it."""
        lists = [columns[each][rows].tolist() for each in ("time_ns", "duration_ns", *_SHOWN)]
        for time_ns, duration_ns, *values in zip(*lists, strict=True):
            arguments = dict(zip(_SHOWN, values, strict=True))
            self.file.slice(
                self.process, track, time_ns - self.origin_ns, duration_ns, name, arguments
            )

    def _add_rest(self, columns: Columns, rows: npt.NDArray[np.intp]) -> None:
        names = ("time_ns", "kind", "status", "offset_bytes", "length_bytes")
        for time_ns, code, status, offset_bytes, length_bytes in zip(
            *(columns[name][rows].tolist() for name in names), strict=True
        ):
            kind = Kind(code)
            if kind == Kind.HINT_RANGE:
                self._count_hint(length_bytes)
            elif kind == Kind.MIGRATION_END:
                self._close(MIGRATION, time_ns, completed=str(status == 1))
                self._close(HINTS, time_ns)
            elif kind in _OPENING:
                self._begin(_OPENING[kind], time_ns, kind, status)
            if kind in _INSTANTS:
                name, arguments = _instant(kind, status, offset_bytes, length_bytes)
                self.file.instant(self.process, DEVICE, time_ns - self.origin_ns, name, arguments)

    def _begin(self, track: int, time_ns: int, kind: Kind, status: int) -> None:
        self._close(track, time_ns)
        if kind == Kind.MARKER:
            self._open[track] = _Open(time_ns, f"step {status}", {})
        elif kind == Kind.MIGRATION_START:
            self._open[track] = _Open(time_ns, "migration", {})
        elif status >= _FIRST_COMMAND_ID:
            self._open[track] = _Open(time_ns, f"hinting {status:#x}", {"ranges": 0, "bytes": 0})

    def _count_hint(self, length_bytes: int) -> None:
        if HINTS in self._open:
            self._open[HINTS].arguments["ranges"] += 1
            self._open[HINTS].arguments["bytes"] += length_bytes

    def _close(self, track: int, time_ns: int, **arguments: str) -> None:
        begun = self._open.pop(track, None)
        if begun is not None:
            self.file.slice(
                self.process,
                track,
                begun.time_ns - self.origin_ns,
                time_ns - begun.time_ns,
                begun.name,
                {**begun.arguments, **arguments},
            )

    def finish(self, stop_ns: int) -> None:
        """End what still lasts when the trace does."""
        for track in list(self._open):
            self._close(track, stop_ns)


_OFTEN: Final = [
    int(kind)
    for kind in (
        *(Kind.REPORT, Kind.DISCARD, Kind.FAULT, Kind.SWAP_OUT, Kind.ACCESS),
        *(Kind.COLLAPSE, Kind.FREE, Kind.READ_AHEAD),
    )
]
"""Kinds that have their own slices, or only counters."""


def _instant(
    kind: Kind, status: int, offset_bytes: int, length_bytes: int
) -> tuple[str, dict[str, int | str]]:
    """Name what the driver or the operator did."""
    if kind == Kind.INHIBIT:
        return ("discards inhibited" if status else "discards allowed"), {}
    if kind == Kind.FEATURES:
        names = [feature.name.lower() for feature in Feature if status >> feature & 1]
        return "features", {"bits": hex(status), "names": ", ".join(names)}
    if kind == Kind.CONFIG_WRITE:
        is_poison = offset_bytes == CONFIG_POISON_OFFSET_BYTES
        place = {"offset_bytes": offset_bytes, "length_bytes": length_bytes}
        return ("poison_val" if is_poison else "config write"), {**place, "value": hex(status)}
    return kind.name.lower().replace("_", " "), {"status": status}
