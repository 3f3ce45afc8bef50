"""Read a study file: TOML, every key known, every recording it names read and checked.

    [[guest]]
    name = "web"
    series = "monitoring/web-*.csv"

    [[host]]
    memory = "64G"

What is wrong is said in one sentence that names the file, the line and the key.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pydantic import ValidationError

from workbench.errors import InputError
from workbench.progress import told
from workbench.quantity import shown, shown_as_toml
from workbench.replay import UnanswerableError
from workbench.spelling import on_one_line
from workbench.study.answerable import UnanswerableStudyError
from workbench.study.compared import variants, with_page_cache
from workbench.study.readers import WRONG
from workbench.study.remarks import remarks, swap_remarks, twice_remarks
from workbench.study.rules import WrongStudyError
from workbench.study.sources import Source, find
from workbench.study.study import FaultCosts, GuestKind, HostKind, Limit, Study
from workbench.study.tables import StudyTable, expected
from workbench.study.timeline import step_of_trace
from workbench.study.toml_lines import TomlLines
from workbench.toml_file import UNKNOWN_NAME, read_toml
from workbench.trace import GuestSeries
from workbench.trace.guest_series import interval_of
from workbench.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic_core import ErrorDetails

    from workbench.study.tables import GuestTable, HostTable
    from workbench.study.toml_lines import Place
    from workbench.trace import Trace


def read_study(path: Path | str, *, progress: Callable[[int], None] | bool = True) -> Study:
    """Read a study file, and all recordings it names.

    Parameters
    ----------
    path
        A TOML file; docs/capacity.md has its keys.
    progress
        Whether to show on a terminal or in a notebook, after a second, how many recordings are
        read; or what is called with 1 after each.

    Raises
    ------
    InputError
        The file or a recording cannot be used as it is; the message names the line.
    UnanswerableError
        A trace does not hold what a setting to compare needs.
    """
    path = Path(path)
    document, text = read_toml(path)
    file = _File(path, document, text)
    try:
        return _study(file, StudyTable.model_validate(document), progress=progress)
    except ValidationError as error:
        file.refuse(*min(map(file.found, error.errors()), key=lambda wrong: file.line(wrong[1])))
    except WrongStudyError as error:
        file.refuse(error.sentence, *error.places)
    except UnanswerableStudyError as error:
        who = f"{path}, {file.where(*error.places)}: {error.who}"
        raise UnanswerableError(who, error.identifiable, error.model_error) from None


class _File:
    """A study file, to say where in it something is."""

    def __init__(self, path: Path, document: dict[str, Any], text: str) -> None:
        self.path = path
        self._document = document
        self._text = text

    @cached_property
    def _lines(self) -> TomlLines:
        return TomlLines(self._text)

    def line(self, place: Place) -> int:
        """Give the line of a key."""
        return self._lines.line(place)

    def refuse(self, sentence: str, *places: Place) -> NoReturn:
        """Refuse the file for something that is at these places."""
        message = f"{self.path}, {self.where(*places)}: {sentence}"
        raise InputError(on_one_line(message)) from None

    def where(self, *places: Place) -> str:
        """Name the lines; of a table that is not in the file there is none."""
        known = [place for place in places if self._lines.has(place[:1])]
        lines = sorted({self.line(place) for place in known or ((),)})
        if len(lines) == 1:
            return f"line {lines[0]}"
        return f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"

    def found(self, error: ErrorDetails) -> tuple[str, Place]:
        """Put one of pydantic's errors into a sentence, and say where it is."""
        facts = error.get("ctx", {})
        place = (*error["loc"], *facts.get("within", ()))
        if error["type"] == UNKNOWN_NAME:
            place = (*place, facts["name"])
            return f"there is no {shown(_dotted(place))}{facts['meant']}", place
        if error["type"] == "missing":
            name = _dotted(place) if len(place) > 1 else f"[[{place[0]}]]"
            return f"{name} is missing, expected {expected(place)}; add it", place
        sentence = facts["sentence"] if error["type"] == WRONG else "expected a table; correct it"
        return f"{_dotted(place)} is {self._shown(place)}, {sentence}", place

    def _shown(self, place: Place) -> str:
        value: Any = self._document
        for key in place:
            value = value[key]
        return shown_as_toml(value)


def _dotted(place: Place) -> str:
    """Name a key; which of several tables it is in is told by its line."""
    return ".".join(key for key in place if isinstance(key, str))


class _Kind(NamedTuple):
    """Guests of one kind, as the file has them."""

    table: GuestTable
    place: Place
    sources: list[Source]
    twice: list[Path]


def _study(file: _File, table: StudyTable, *, progress: Callable[[int], None] | bool) -> Study:
    kinds = [_find(file, each, ("guest", index)) for index, each in enumerate(table.guest)]
    compared = variants(
        device=table.compare.device,
        guest=table.compare.guest,
        inhibited_share=table.compare.inhibited_share,
    )
    hosts = tuple(_host(each, ("host", index)) for index, each in enumerate(table.host))
    with told("recordings", sum(len(kind.sources) for kind in kinds), progress=progress) as count:
        guests = tuple(_guest(file, kind, count) for kind in kinds)
    everything = with_page_cache(compared, guests)
    return Study(
        name=on_one_line(table.name or file.path.stem),
        guests=guests,
        hosts=hosts,
        variants=everything,
        limit=Limit(
            share_of_time=table.limit.share_of_time,
            drain_seconds=table.limit.drain,
            swap_in_pages_per_second=table.limit.swap_in_pages_per_second,
        ),
        costs=FaultCosts(fault_ns=table.cost.fault_ns, huge_fault_ns=table.cost.huge_fault_ns),
        seeds=table.seeds,
        step_ns=table.step or _usual_step_ns(guests),
        remarks=(
            *(remark for kind in kinds for remark in twice_remarks(kind.table.name, kind.twice)),
            *swap_remarks(guests, hosts),
            *remarks(guests, everything),
        ),
        path=file.path,
    )


def _find(file: _File, table: GuestTable, place: Place) -> _Kind:
    """Find the recordings of one kind of guests, and read none yet."""
    if bool(table.series) == bool(table.trace):
        both = "both series and trace" if table.series else "neither series nor trace"
        raise WrongStudyError(
            f"guest {table.name!r} has {both}, expected one of them; correct it",
            (*place, "trace") if table.trace else place,
        )
    key = "trace" if table.trace else "series"
    found = find(file.path.parent, table.trace or table.series, (*place, key))
    sources = [
        Source(
            path=each.path,
            place=each.place,
            clock_offset_ns=table.clock_offset,
            is_trace=bool(table.trace),
        )
        for each in found
    ]
    twice = [each.path for each in found if each.times > 1]
    return _Kind(table, place, sources, twice)


def _guest(file: _File, kind: _Kind, count: Callable[[int], None]) -> GuestKind:
    members: list[GuestSeries | Trace] = []
    for source in kind.sources:
        try:
            members += source.read()
        except InputError as error:
            file.refuse(str(error), source.place)
        count(1)
    table = kind.table
    try:
        return GuestKind(
            name=on_one_line(table.name),
            members=tuple(members),
            weight=table.weight,
            phase=table.phase,
            guests_per_phase=table.guests_per_phase,
            shift_ns=table.shift,
            clock_offset_ns=table.clock_offset,
            huge_share=table.huge_share,
            device=table.device,
            guest=table.guest,
        )
    except WrongStudyError as error:
        raise error.within(kind.place) from None


def _host(table: HostTable, place: Place) -> HostKind:
    try:
        return HostKind(
            name=on_one_line(table.name or format_bytes(table.memory).replace(".00 ", " ")),
            memory_bytes=table.memory,
            reserved_bytes=table.reserved,
            swap=table.swap,
            swap_bytes=table.swap_room,
        )
    except WrongStudyError as error:
        raise error.within(place) from None


def _usual_step_ns(guests: Iterable[GuestKind]) -> int:
    """Give the median interval of all series, or a part of the longest trace."""
    members = [member for kind in guests for member in kind.members]
    series = [member for member in members if isinstance(member, GuestSeries)]
    if series:
        return interval_of(*(each.columns["time_ns"] for each in series))
    return max(step_of_trace(each) for each in members if not isinstance(each, GuestSeries))
