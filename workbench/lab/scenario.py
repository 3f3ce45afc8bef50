"""Scenarios: small text files that say, step by step, what a guest does with its memory.

    # Lines and line ends after a hash are comments.
    take album 128M           # write a file of random data into memory (fill: random, zero, text)
    touch album               # read all of it again
    rewrite album text        # write all of it again, in place
    idle 4                    # seconds; also 500ms, 2m
    free album
    repeat 3 {
        scatter bits 200 256K # many small files ...
        thin bits             # ... every second one freed ...
        free bits             # ... and the rest
    }
    save log 64M              # write a file on the guest's disk: its page cache grows
    load log                  # read it, from the page cache where it is still there
    delete log
    drop-caches
    mark halfway              # a name for this moment, for `migrate_at` and `attach_after`
    stagger 6                 # guest 0 waits 0 s, guest 1 waits 6 s, guest 2 waits 12 s ...

Before the first step, lines such as `host guests 2` say which host it is made for (host_advice.py).

The host never guesses what a step meant: repeats are unrolled here, names and sizes are checked
here, and the guest gets a flat list of commands.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError, UsageError
from workbench.lab.host_advice import HostAdvice, parse_host_line
from workbench.lab.sizes import parse_size, size_text
from workbench.spelling import suggestion
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

SUFFIX: Final = ".scenario"

FILLS: Final = ("random", "zero", "text")

STEPS_MAX: Final = 10_000
"""More unrolled steps than this would make the guest's script larger than the guest should hold."""

FILES_MAX: Final = 20_000
"""Files of one `scatter`: each costs the emulated guest about 10 ms to create."""

_TIME_UNITS_MS: Final[Mapping[str, int]] = {"": 1000, "s": 1000, "ms": 1, "m": 60_000}
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|)")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the guest does.  Fields that its word has no use for keep their default."""

    word: str
    line: int
    name: str = ""
    size_bytes: int = 0
    count: int = 0
    fill: str = ""
    duration_ms: int = 0

    @property
    def text(self) -> str:
        """The step in the words of the scenario."""
        parts = [self.word, self.name]
        parts += [str(self.count)] if self.count else []
        parts += [size_text(self.size_bytes)] if self.size_bytes else []
        parts += [f"{self.duration_ms}ms"] if self.duration_ms else []
        return " ".join(part for part in (*parts, self.fill) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a guest does: its steps in order, repeats unrolled; step 1 is the first."""

    name: str
    text: str
    steps: tuple[Step, ...]
    host: HostAdvice = field(default_factory=HostAdvice)

    @property
    def needs_disk(self) -> bool:
        """Whether a step works on the guest's disk."""
        return any(step.word in ("save", "load", "delete") for step in self.steps)

    @property
    def fills(self) -> frozenset[str]:
        """The fills it uses."""
        return frozenset(step.fill for step in self.steps if step.fill)

    @property
    def peak_bytes(self) -> int:
        """The most memory its files take at any time (disk files are cache, and not counted)."""
        held: dict[str, int] = {}
        peak_bytes = 0
        for step in self.steps:
            if step.word in ("take", "scatter"):
                held[step.name] = step.size_bytes * max(step.count, 1)
            elif step.word == "thin":
                held[step.name] //= 2
            elif step.word == "free":
                held.pop(step.name)
            peak_bytes = max(peak_bytes, sum(held.values()))
        return peak_bytes

    @property
    def disk_bytes(self) -> int:
        """Room for every file it saves, as if none were ever deleted."""
        sizes = {step.name: 0 for step in self.steps}
        for step in self.steps:
            if step.word == "save":
                sizes[step.name] = max(sizes[step.name], step.size_bytes)
        return sum(sizes.values())

    def step_number(self, place: str) -> int:
        """The number of the step that `place` names: a number, or the name of a mark.

        Raises
        ------
        UsageError
            There is no such step.
        """
        if place.isdecimal() and 1 <= int(place) <= len(self.steps):
            return int(place)
        marks = {step.name: n for n, step in enumerate(self.steps, 1) if step.word == "mark"}
        if place in marks:
            return marks[place]
        known = f"its marks are {', '.join(marks)}" if marks else "it has no marks"
        raise UsageError(
            f"scenario {self.name} has no step {place!r}: it has steps 1 to {len(self.steps)}, "
            f"and {known}{suggestion(place, marks)}"
        )


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a scenario: one that comes with the workbench, by name, or any file, by path.

    Raises
    ------
    UsageError
        There is no scenario of that name.
    InputError
        The file cannot be read, or one of its lines cannot be understood.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and "/" not in text and not text.endswith(SUFFIX):
        known = bundled_scenarios()
        if text not in known:
            raise UsageError(
                f"there is no scenario {text!r}: the bundled ones are {', '.join(known)}"
                f"{suggestion(text, known)}; your own is given as a path, ./{text}{SUFFIX}"
            )
        source = resources.files(__package__).joinpath("scenarios").joinpath(f"{text}{SUFFIX}")
        return parse_scenario(source.read_text("utf-8"), name=text, origin=f"{text}{SUFFIX}")
    path = Path(name_or_path)
    try:
        content = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot read this scenario: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: a scenario is a text file in UTF-8, this is not") from error
    return parse_scenario(content, name=path.stem, origin=str(path))


def bundled_scenarios() -> tuple[str, ...]:
    """The names of the scenarios that come with the workbench."""
    folder = resources.files(__package__).joinpath("scenarios")
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(SUFFIX))
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names))


def parse_scenario(text: str, *, name: str, origin: str = "scenario") -> Scenario:
    """Read a scenario from its text.  `origin` is what messages call it.

    Raises
    ------
    InputError
        A line cannot be understood; the message names it.
    """
    lines = _tokenised(text)
    header = list(itertools.takewhile(lambda line: line[1][0] == "host", lines))
    parser = _Parser(origin, lines[len(header) :])
    host = _host_advice(header, origin)
    steps = tuple(parser.block(opened_at=0))
    if not steps:
        raise InputError(f"{origin}: no steps; write at least one, for example: take a 64M")
    _check_names(steps, origin)
    return Scenario(name=name, text=text, steps=steps, host=host)


def _tokenised(text: str) -> list[tuple[int, list[str]]]:
    lines = ((number, line.split("#")[0]) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line.split()) for number, line in lines if line.strip()]


def _host_advice(lines: list[tuple[int, list[str]]], origin: str) -> HostAdvice:
    given: dict[str, int] = {}
    for line, words in lines:
        try:
            field, value = parse_host_line(words)
        except UsageError as error:
            raise InputError(f"{origin}:{line}: {error}") from error
        if field in given:
            raise InputError(f"{origin}:{line}: `host {words[1]}` is said twice")
        given[field] = value
    return HostAdvice(**given)


class _Parser:
    """Reads lines of words, and unrolls the repeats."""

    def __init__(self, origin: str, lines: list[tuple[int, list[str]]]) -> None:
        self._origin = origin
        self._lines = lines
        self._next = 0

    def block(self, *, opened_at: int) -> list[Step]:
        """The steps up to the closing brace, or to the end for the outermost block."""
        steps: list[Step] = []
        while self._next < len(self._lines):
            line, words = self._lines[self._next]
            self._next += 1
            if words == ["}"]:
                if opened_at:
                    return steps
                raise self._error(line, "a closing brace without a `repeat N {` before it")
            if words[0] == "host":
                raise self._error(line, "lines of `host` stand before the first step")
            if words[0] == "repeat":
                steps += self._repeated(line, words)
            else:
                steps.append(self._step(line, words))
            if len(steps) > STEPS_MAX:
                raise self._error(line, f"more than {STEPS_MAX} steps when repeats are unrolled")
        if opened_at:
            raise self._error(opened_at, "this repeat is never closed; end it with a line of `}`")
        return steps

    def _repeated(self, line: int, words: list[str]) -> list[Step]:
        match words:
            case [_, number, "{"]:
                count = self._count(line, number, STEPS_MAX)
            case _:
                raise self._error(line, "write `repeat N {`, and the steps on lines of their own")
        inner = self.block(opened_at=line)
        if len(inner) * count > STEPS_MAX:
            raise self._error(line, f"more than {STEPS_MAX} steps when this repeat is unrolled")
        return inner * count

    def _step(self, line: int, words: list[str]) -> Step:
        word, *arguments = words
        form = FORMS.get(word)
        if form is None:
            known = (*FORMS, "repeat")
            raise self._error(
                line,
                f"unknown step {word!r}: the steps are {', '.join(known)}{suggestion(word, known)}",
            )
        least = len([field for field in form if field != "fill"])
        if not least <= len(arguments) <= len(form):
            usage = " ".join((word, *(_shown(field) for field in form)))
            raise self._error(line, f"{' '.join(words)!r} should be written `{usage}`")
        given = dict(zip(form, arguments, strict=False))
        return Step(
            word=word,
            line=line,
            name=self._name(line, given["name"]) if "name" in given else "",
            count=self._count(line, given["count"], FILES_MAX) if "count" in given else 0,
            size_bytes=self._size_bytes(line, given["size"]) if "size" in given else 0,
            fill=self._fill(line, given.get("fill", FILLS[0])) if "fill" in form else "",
            duration_ms=self._duration_ms(line, given["seconds"]) if "seconds" in given else 0,
        )

    def _name(self, line: int, text: str) -> str:
        if _NAME.fullmatch(text):
            return text
        raise self._error(
            line, f"{text!r} is no name: a lower-case letter, then letters, digits, - or _"
        )

    def _count(self, line: int, text: str, most: int) -> int:
        if text.isdecimal() and 1 <= int(text) <= most:
            return int(text)
        raise self._error(line, f"{text!r} is no count: a whole number from 1 to {most}")

    def _size_bytes(self, line: int, text: str) -> int:
        try:
            size_bytes = parse_size(text)
        except UsageError as error:
            raise self._error(line, str(error)) from error
        if size_bytes and size_bytes % PAGE_BYTES == 0:
            return size_bytes
        raise self._error(line, f"size {text!r} is not a whole number of pages of 4K")

    def _fill(self, line: int, text: str) -> str:
        if text in FILLS:
            return text
        raise self._error(
            line, f"unknown fill {text!r}: it is {', '.join(FILLS)}{suggestion(text, FILLS)}"
        )

    def _duration_ms(self, line: int, text: str) -> int:
        match = _TIME.fullmatch(text)
        duration_ms = round(float(match[1]) * _TIME_UNITS_MS[match[2]]) if match else 0
        if duration_ms:
            return duration_ms
        raise self._error(line, f"{text!r} is no time: write for example 4, 0.5, 500ms or 2m")

    def _error(self, line: int, problem: str) -> InputError:
        return InputError(f"{self._origin}:{line}: {problem}")


FORMS: Final[dict[str, tuple[str, ...]]] = {
    "take": ("name", "size", "fill"),
    "touch": ("name",),
    "rewrite": ("name", "fill"),
    "free": ("name",),
    "scatter": ("name", "count", "size", "fill"),
    "thin": ("name",),
    "save": ("name", "size", "fill"),
    "load": ("name",),
    "delete": ("name",),
    "drop-caches": (),
    "idle": ("seconds",),
    "stagger": ("seconds",),
    "mark": ("name",),
}
"""The words of a scenario, each with its arguments in order; a fill may be left out."""


def _shown(field: str) -> str:
    return f"[{'|'.join(FILLS)}]" if field == "fill" else field.upper()


def _check_names(steps: tuple[Step, ...], origin: str) -> None:
    # What each name holds now.  Disk files and memory files have their own names.
    memory: dict[str, str] = {}
    disk: dict[str, str] = {}
    for step in steps:
        where = f"{origin}:{step.line}: "
        held, ends = (disk, "delete") if step.word in _DISK_WORDS else (memory, "free")
        if step.word in ("take", "scatter", "save"):
            if step.name in held:
                raise InputError(f"{where}{step.name!r} is held already; {ends} it first")
            held[step.name] = step.word
        elif step.word in _USES:
            if step.name not in held:
                raise InputError(
                    f"{where}{step.word} {step.name}: nothing of that name is held here"
                    f"{suggestion(step.name, held)}"
                )
            if held[step.name] not in _USES[step.word]:
                raise InputError(
                    f"{where}{step.word} does not work on {step.name!r}, which came from "
                    f"{held[step.name]!r}: it needs {' or '.join(_USES[step.word])}"
                )
            if step.word == ends:
                del held[step.name]


_DISK_WORDS: Final = ("save", "load", "delete")

_USES: Final[dict[str, tuple[str, ...]]] = {
    "touch": ("take",),
    "rewrite": ("take",),
    "free": ("take", "scatter"),
    "thin": ("scatter",),
    "load": ("save",),
    "delete": ("save",),
}
"""The words that need a file, each with the words that make one it can work on."""
