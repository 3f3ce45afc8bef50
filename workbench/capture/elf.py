"""Functions of a program that was stripped: their addresses and code, from its dynamic symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from workbench.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_CODE_BYTES = 512
"""More than any accessor that `layout` reads; longer functions are cut here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The exported functions of one executable.

    Attributes
    ----------
    functions
        Virtual address by name.
    code
        The first bytes of each function that was asked for.
    """

    path: Path
    functions: dict[str, int]
    code: dict[str, bytes]

    def missing(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Which of `names` the program does not export."""
        return tuple(name for name in names if name not in self.functions)


def read_program(path: Path, code_of: tuple[str, ...] = ()) -> Program:
    """Read the dynamic symbols of an x86-64 program, and the code of some functions.

    Raises
    ------
    HostError
        The file is not an x86-64 ELF program.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf.get_machine_arch() != "x64":
                message = f"{path}: built for {elf.get_machine_arch()}; the probes know x86-64 only"
                raise HostError(message)
            symbols = elf.get_section_by_name(".dynsym")
            if not isinstance(symbols, SymbolTableSection):
                message = f"{path}: exports no symbols; use a QEMU that was linked with them"
                raise HostError(message)
            functions = {
                symbol.name: symbol["st_value"]
                for symbol in symbols.iter_symbols()
                if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_value"]
            }
            code = {name: _code(elf, functions[name]) for name in code_of if name in functions}
    except (OSError, ELFError) as error:
        message = f"{path}: cannot be read as a program ({error})"
        raise HostError(message) from None
    return Program(path=path, functions=functions, code=code)


def _code(elf: ELFFile, address: int) -> bytes:
    for segment in elf.iter_segments():
        first = segment["p_vaddr"]
        if segment["p_type"] == "PT_LOAD" and first <= address < first + segment["p_filesz"]:
            elf.stream.seek(segment["p_offset"] + address - first)
            return bytes(elf.stream.read(_LONGEST_CODE_BYTES))
    return b""
