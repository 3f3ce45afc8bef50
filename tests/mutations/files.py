"""Ways to damage the files of a trace: bytes, lengths, names, links."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from pathlib import Path


def files_of(folder: Path) -> list[Path]:
    """All files of a trace, in one order; what is not in it is nobody's to damage."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(found)


def tables_of(folder: Path) -> list[Path]:
    """The Parquet files, in one order."""
    return [path for path in files_of(folder) if path.suffix == ".parquet"]


def folders_of(folder: Path) -> list[Path]:
    """The folders of the tables, in one order."""
    found = (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return sorted(found)


def write_new(path: Path, content: bytes) -> None:
    """Write a file; where a link is, it is replaced and not followed."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def flip_bytes(chance: random.Random, folder: Path) -> None:
    path = chance.choice(files_of(folder))
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 5, 20]) if content else 0):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)


def flip_footer(chance: random.Random, folder: Path) -> None:
    """In what a Parquet file says of itself, which is at its end."""
    path = chance.choice(tables_of(folder))
    content = bytearray(path.read_bytes())
    reach = min(len(content), chance.choice([12, 200, 2000]))
    for _ in range(chance.choice([1, 2, 4])):
        content[len(content) - 1 - chance.randrange(reach)] = chance.randrange(256)
    path.write_bytes(content)


def cut(chance: random.Random, folder: Path) -> None:
    path = chance.choice(files_of(folder))
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) + 1)])


def overwrite(chance: random.Random, folder: Path) -> None:
    path = chance.choice(files_of(folder))
    content = bytearray(path.read_bytes())
    first = chance.randrange(len(content) + 1)
    length = chance.randrange(1, 200)
    content[first : first + length] = chance.choice([b"\0", b"\xff", b"["]) * length
    path.write_bytes(content)


def append(chance: random.Random, folder: Path) -> None:
    path = chance.choice(files_of(folder))
    content = path.read_bytes()
    path.write_bytes(content + chance.choice([b"\0" * 8, b"PAR1", content, chance.randbytes(64)]))


def remove(chance: random.Random, folder: Path) -> None:
    path = chance.choice([*files_of(folder), *folders_of(folder)])
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replace(chance: random.Random, folder: Path) -> None:
    """Put something else in the place of a file, or of a table's folder."""
    path = chance.choice([*files_of(folder), *folders_of(folder)])
    outside = folder.with_name("outside.txt")
    outside.write_text("secret\n", encoding="utf-8")
    others = [str(other) for other in tables_of(folder) if other != path]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    targets = [outside, "../../outside.txt", "/dev/zero", "/proc/self/mem", "/", "../..", path.name]
    match chance.choice(["link", "folder", "pipe", "empty", "other"]):
        case "link":
            path.symlink_to(chance.choice([*targets, "no such file"]))
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "other" if others:
            path.symlink_to(chance.choice(others))
        case _:
            path.touch()


NAMES = [
    "000000-999999999999999999999.parquet",
    "000000-000000.parquet",
    "000001-000000.parquet",
    "000003-000007.parquet",
    "99999999999999999999-99999999999999999999.parquet",
    "..parquet",
    "\x1b[2J.parquet",
    "000000-000001.parquet\n",
    "a" * 200 + ".parquet",
]


def rename(chance: random.Random, folder: Path) -> None:
    """Give a segment another name, or copy it to one."""
    path = chance.choice(tables_of(folder))
    content = path.read_bytes()
    if chance.random() < 0.5:
        path.unlink()
    write_new(path.with_name(chance.choice(NAMES)), content)


def move(chance: random.Random, folder: Path) -> None:
    """Put the file of one table into the folder of another."""
    path, other = chance.choice(tables_of(folder)), chance.choice(tables_of(folder))
    content = path.read_bytes()
    other.write_bytes(content)


def multiply(chance: random.Random, folder: Path) -> None:
    """Add hundreds of copies of a segment."""
    path = chance.choice(tables_of(folder))
    content = path.read_bytes()
    for number in range(1, chance.choice([2, 20, 300])):
        write_new(path.with_name(f"{number:06d}-{number:06d}.parquet"), content)


FILE_DAMAGES = (
    flip_bytes,
    flip_bytes,
    flip_footer,
    flip_footer,
    cut,
    overwrite,
    append,
    remove,
    replace,
    rename,
    move,
    multiply,
)
