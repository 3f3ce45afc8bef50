"""The tables of a study file, and what each key means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import ConfigDict, Field

from workbench.replay import Device, Guest
from workbench.study import readers, rules
from workbench.study.study import FaultCosts, Limit, Phase
from workbench.toml_file import Strict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from workbench.study.toml_lines import Place


class _Table(Strict):
    """A table whose wrong keys are answered with the table that has them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @classmethod
    def meant(cls, name: str) -> str:
        """Say what may have been meant by a wrong key."""
        if name in _ELSEWHERE:
            return _ELSEWHERE[name]
        others = [header for header, table in TABLES.items() if name in table.model_fields]
        if others:
            return f"; it belongs in {' or '.join(others)}: move it there"
        return super().meant(name)


class GuestTable(_Table):
    """Guests that are described together; one table for each kind."""

    name: Annotated[str, readers.plain(rules.NAME)]
    """What they are called."""
    series: Annotated[tuple[str, ...], readers.PATTERNS] = ()
    """Recordings from monitoring: a path, a pattern or a list of them, from the study's folder."""
    trace: Annotated[tuple[str, ...], readers.PATTERNS] = ()
    """Instead of series: traces of the workbench."""
    weight: Annotated[int, readers.plain(rules.WEIGHT)] = 1
    """So many of them for each of a kind with weight 1."""
    phase: Annotated[Phase, readers.PHASE] = Phase.RANDOM
    """`random`: each begins at a random moment; `recorded`: all as seen, by absolute time."""
    guests_per_phase: Annotated[int, readers.plain(rules.GUESTS_PER_PHASE)] = 1
    """So many share one random moment."""
    shift: Annotated[int, readers.time(rules.SHIFT)] = 0
    """With `recorded`: so much later than seen, in whole steps."""
    clock_offset: Annotated[int, readers.time(rules.SHIFT)] = 0
    """Added to the times of its recordings, whose clock was wrong by that."""
    huge_share: Annotated[float | None, readers.number(rules.SHARE)] = None
    """Of free memory in blocks of 2 MiB and more, where the series does not tell."""
    device: Annotated[Device, readers.own_settings(Device)] = Device()
    """Settings of the device that these guests have whatever is compared."""
    guest: Annotated[Guest, readers.own_settings(Guest)] = Guest()
    """The same of the guest."""


class HostTable(_Table):
    """A host that could be bought; one table for each."""

    name: Annotated[str, readers.plain(rules.NAME)] = ""
    """What it is called; its size where nothing is given."""
    memory: Annotated[int, readers.size(rules.MEMORY)]
    """All of its memory."""
    reserved: Annotated[int, readers.size(rules.RESERVED)] = 0
    """Of it what is not for guests."""
    swap: Annotated[str | None, readers.plain(rules.SWAP)] = None
    """The device it swaps to: `zram`, `ssd` or `disk`."""
    swap_room: Annotated[int | None, readers.size(rules.RESERVED)] = None
    """Room in swap."""


class CompareTable(_Table):
    """What is compared: every combination, besides guests without reporting."""

    inhibited_share: Annotated[tuple[float, ...], readers.SHARES] = (0.0,)
    """Of all guests, those whose discards something (VFIO) inhibits."""
    device: Annotated[dict[str, tuple[Any, ...]], readers.compared_settings(Device)] = Field(
        default={}
    )
    """Lists of settings of the device."""
    guest: Annotated[dict[str, tuple[Any, ...]], readers.compared_settings(Guest)] = Field(
        default={}
    )
    """Lists of settings of the guest."""


class LimitTable(_Table):
    """What has to hold for guests to fit."""

    share_of_time: Annotated[float, readers.number(rules.SHARE_OF_TIME)] = Limit().share_of_time
    """In which memory is enough for all guests together."""
    drain: Annotated[float | None, readers.IN_SECONDS] = None
    """Until 90 % of a freed GiB can be used by another guest, at most."""
    swap_in_pages_per_second: Annotated[float | None, readers.number(rules.SWAP_IN)] = None
    """Read back from swap, at most, at the 99th percentile of seconds.  Of traces, with swap."""


class CostTable(_Table):
    """What it takes of a processor to give a guest memory again."""

    fault_ns: Annotated[int, readers.NANOSECONDS_OR_TIME] = FaultCosts().fault_ns
    """For 4 KiB."""
    huge_fault_ns: Annotated[int, readers.NANOSECONDS_OR_TIME] = FaultCosts().huge_fault_ns
    """For 2 MiB."""


class StudyTable(_Table):
    """The file as a whole."""

    name: Annotated[str, readers.plain(rules.NAME)] = ""
    """What the study is called; the file's name where nothing is given."""
    seeds: Annotated[tuple[int, ...], readers.SEEDS] = (1, 2, 3, 4)
    """One draw of guests and moments each."""
    step: Annotated[int | None, readers.time(rules.STEP)] = None
    """From one moment to the next; by default as the series have it, of traces a 4,096th."""
    guest: Annotated[tuple[GuestTable, ...], readers.tables("guest")]
    """Kinds of guests."""
    host: Annotated[tuple[HostTable, ...], readers.tables("host")]
    """Hosts that could be bought."""
    compare: CompareTable = CompareTable()
    """What is compared."""
    limit: LimitTable = LimitTable()
    """What has to hold."""
    cost: CostTable = CostTable()
    """What memory costs to give again."""


TABLES: Final[dict[str, type[_Table]]] = {
    "the lines before all tables": StudyTable,
    "[[guest]]": GuestTable,
    "[[host]]": HostTable,
    "[compare]": CompareTable,
    "[limit]": LimitTable,
    "[cost]": CostTable,
}
"""As they are written in a file."""

_ELSEWHERE: Final = {
    **readers.HINTS,
    **{
        header.strip("[]"): f"; it is a table of its own: {header}"
        for header in TABLES
        if "[" in header
    },
    **{
        name: f"; it is a setting of the {table}: {table} = {{{name} = ...}}"
        for table, names in (("device", rules.DEVICE_SETTINGS), ("guest", rules.GUEST_SETTINGS))
        for name in names
    },
}
"""What to say of names that stand in the wrong place."""


def expected(place: Place) -> str:
    """Say what is expected of a key."""
    table = TABLES.get(f"[[{place[0]}]]") if len(place) > 1 else StudyTable
    return expected_of((table or StudyTable).model_fields[str(place[-1])])


def expected_of(field: FieldInfo) -> str:
    """Say the same of a field of a table."""
    found = (each.expected for each in field.metadata if isinstance(each, readers.Reader))
    return next(found, "a table")
