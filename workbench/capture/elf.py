"""Functions of a program, stripped or not: their addresses and code, and which build it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection, SymbolTableSection

from workbench.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_CODE_BYTES = 2048
"""More than any function that `layout` reads; a longer one is cut here."""

_VERSION = re.compile(rb"QEMU emulator version (\S+)(?: \(([^)\n]*)\))?\n")
"""What `-version` prints (QEMU 7.2 softmmu/vl.c, version): one string, for it is put together by
the compiler."""

_JUMP = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?(?:\xe9(.{4})|\xeb(.))", re.DOTALL)
"""A function that is nothing but another one (jmp rel32 or rel8, behind an endbr64 if at all):
compilers fold functions of equal code (gcc -fipa-icf)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The functions of one executable, and its name among builds.

    Attributes
    ----------
    functions
        Virtual address by name.
    code
        Where the code of each function that was asked for begins, and the code: that of another
        function, where it is nothing but a jump to it.
    build_id
        The linker's name of this build, in hexadecimal; empty where it gave none.
    version
        What QEMU says of its version; "unknown" where it does not.
    """

    path: Path
    functions: dict[str, int]
    code: dict[str, tuple[int, bytes]]
    build_id: str = ""
    version: str = "unknown"

    def missing(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Which of `names` the program does not have."""
        return tuple(name for name in names if name not in self.functions)


def read_program(path: Path, code_of: tuple[str, ...] = ()) -> Program:
    """Read the functions of an x86-64 program, and the code of some.

    What a program exports outlives its being stripped.  One that is linked statically exports
    nothing; its functions are known if it was not stripped.

    Raises
    ------
    HostError
        The file is not an x86-64 ELF program, or names no functions.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf.get_machine_arch() != "x64":
                message = f"{path}: built for {elf.get_machine_arch()}; the probes know x86-64 only"
                raise HostError(message)
            functions = _functions(elf, ".symtab") | _functions(elf, ".dynsym")
            if not functions:
                message = f"{path}: names no functions; use a QEMU that was linked with them"
                raise HostError(message)
            found = {name: functions[name] for name in code_of if name in functions}
            return Program(
                path=path,
                functions={name: address for name, (address, _) in functions.items()},
                code={name: _code(elf, *place) for name, place in found.items()},
                build_id=_build_id(elf),
                version=_version(elf),
            )
    except (OSError, ELFError) as error:
        message = f"{path}: cannot be read as a program ({error})"
        raise HostError(message) from None


def read_build_id(path: Path) -> str:
    """Read the linker's name of a build, which takes no time; empty where there is none."""
    try:
        with path.open("rb") as file:
            return _build_id(ELFFile(file))
    except (OSError, ELFError):
        return ""


def _functions(elf: ELFFile, section: str) -> dict[str, tuple[int, int]]:
    """Address and size of each function of a symbol table that other files can see."""
    symbols = elf.get_section_by_name(section)
    if not isinstance(symbols, SymbolTableSection):
        return {}
    return {
        symbol.name: (symbol["st_value"], symbol["st_size"])
        for symbol in symbols.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC"
        and symbol["st_info"]["bind"] != "STB_LOCAL"
        and symbol["st_value"]
    }


def _code(elf: ELFFile, address: int, size: int) -> tuple[int, bytes]:
    code = _bytes_at(elf, address, size or _LONGEST_CODE_BYTES)
    jump = _JUMP.match(code)
    if jump is None:
        return address, code
    distance = int.from_bytes(jump[1] or jump[2], "little", signed=True)
    target = address + jump.end() + distance
    if address <= target < address + size:  # To the end of a loop of its own.
        return address, code
    return target, _bytes_at(elf, target, _LONGEST_CODE_BYTES)


def _bytes_at(elf: ELFFile, address: int, size: int) -> bytes:
    for segment in elf.iter_segments("PT_LOAD"):
        first = segment["p_vaddr"]
        if first <= address < first + segment["p_filesz"]:
            elf.stream.seek(segment["p_offset"] + address - first)
            return bytes(elf.stream.read(min(size, _LONGEST_CODE_BYTES)))
    return b""


def _build_id(elf: ELFFile) -> str:
    notes = elf.get_section_by_name(".note.gnu.build-id")
    if isinstance(notes, NoteSection):
        for note in notes.iter_notes():
            if note["n_type"] == "NT_GNU_BUILD_ID":
                return str(note["n_desc"])
    return ""


def _version(elf: ELFFile) -> str:
    constants = elf.get_section_by_name(".rodata")
    found = _VERSION.search(constants.data()) if constants is not None else None
    if found is None:
        return "unknown"
    return " ".join(part.decode(errors="replace") for part in found.groups() if part)
