"""Ways to damage what is in a Parquet file: types, values, order, and how much of it there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.mutations.files import tables_of

if TYPE_CHECKING:
    import random
    from pathlib import Path

EXTREMES = [-1, -2, 0, 1, 7, 15, 127, 128, 255, 2**31 - 1, 2**31, 2**45, 2**52, 2**61, 2**62]
EXTREMES += [2**63 - 1, -(2**31), -(2**62), -(2**63)]

TYPES: list[Any] = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float64()),
    *(pa.string(), pa.bool_(), pa.binary(), pa.timestamp("ns"), pa.decimal128(38, 3), pa.null()),
    *(pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.dictionary(pa.int8(), pa.string())),
]

BOMB_ROWS = 1 << 24
"""Of 62 bytes each: a gigabyte of events in a file of some kilobytes."""


def read(path: Path) -> pa.Table:
    return pq.read_table(path, partitioning=None)


def write(table: pa.Table, path: Path, **options: Any) -> None:
    path.unlink()
    pq.write_table(table, path, **options)


def change_type(chance: random.Random, folder: Path) -> None:
    path = chance.choice(tables_of(folder))
    table = read(path)
    place = chance.randrange(table.num_columns)
    wanted = chance.choice(TYPES)
    column: Any = pa.nulls(table.num_rows, wanted)
    if pa.types.is_integer(wanted) or pa.types.is_floating(wanted):
        numbers = table.column(place).to_numpy().astype(wanted.to_pandas_dtype())
        column = pa.array(numbers, wanted)
    write(table.set_column(place, table.column_names[place], column), path)


def change_columns(chance: random.Random, folder: Path) -> None:
    """Drop, add, double or reorder columns."""
    path = chance.choice(tables_of(folder))
    table = read(path)
    name = chance.choice(table.column_names)
    match chance.choice(["drop", "add", "double", "order", "rename", "none"]):
        case "drop":
            table = table.drop_columns([name])
        case "add":
            extra = pa.array([chance.choice(["../x", "\x1b[31m", "<script>"])] * table.num_rows)
            table = table.append_column(chance.choice(["extra", "", "a" * 5000, "\x00"]), extra)
        case "double":
            table = table.append_column(name, table[name])
        case "order":
            names = table.column_names
            chance.shuffle(names)
            table = table.select(names)
        case "rename":
            names = [other if other != name else other.upper() for other in table.column_names]
            table = table.rename_columns(names)
        case _:
            table = table.select([])
    write(table, path)


def change_values(chance: random.Random, folder: Path) -> None:
    """Put extreme numbers into some rows of some columns."""
    path = chance.choice(tables_of(folder))
    table = read(path)
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(table.num_columns)
        values = table.column(place).to_numpy().copy()
        if not values.size:
            continue
        extremes = np.array(EXTREMES).astype(values.dtype)
        for _ in range(chance.choice([1, 1, 3, 50])):
            values[chance.randrange(values.size)] = chance.choice(extremes.tolist())
        table = table.set_column(place, table.field(place), pa.array(values))
    write(table, path)


def fill_column(chance: random.Random, folder: Path) -> None:
    """Make a column all one number, or all random ones, or leave gaps in it."""
    path = chance.choice(tables_of(folder))
    table = read(path)
    place = chance.randrange(table.num_columns)
    dtype = table.column(place).to_numpy().dtype
    size = table.num_rows
    match chance.choice(["one", "random", "small", "gaps"]):
        case "one":
            values = pa.array(np.full(size, np.array(chance.choice(EXTREMES)).astype(dtype)))
        case "random":
            values = pa.array(np.frombuffer(chance.randbytes(size * dtype.itemsize), dtype))
        case "small":
            drawn = [chance.randrange(-1, 21) for _ in range(size)]
            values = pa.array(np.array(drawn, dtype))
        case _:
            values = pa.nulls(size, pa.from_numpy_dtype(dtype))
    write(table.set_column(place, table.column_names[place], values), path)


def change_rows(chance: random.Random, folder: Path) -> None:
    """Reverse, shuffle, repeat or drop rows."""
    path = chance.choice(tables_of(folder))
    table = read(path)
    rows = list(range(table.num_rows))
    match chance.choice(["reverse", "shuffle", "repeat", "drop", "none"]):
        case "reverse":
            rows.reverse()
        case "shuffle":
            chance.shuffle(rows)
        case "repeat":
            rows = rows * 3
        case "drop":
            rows = [row for row in rows if chance.random() < 0.7]
        case _:
            rows = []
    write(table.take(pa.array(rows, pa.int64())), path)


def store_otherwise(chance: random.Random, folder: Path) -> None:
    """Nothing is wrong with it: other row groups, compression, encoding, no statistics."""
    path = chance.choice(tables_of(folder))
    write(
        read(path),
        path,
        row_group_size=chance.choice([1, 7, 1000]),
        compression=chance.choice(["none", "gzip", "lz4", "brotli"]),
        write_statistics=chance.random() < 0.5,
        use_dictionary=chance.random() < 0.5,
        data_page_version=chance.choice(["1.0", "2.0"]),
        store_schema=chance.random() < 0.5,
    )


def blow_up(chance: random.Random, folder: Path) -> None:
    """Many rows that take no room: each row group says the same once more."""
    path = chance.choice(tables_of(folder))
    table = read(path).slice(0, 1)
    if not table.num_rows:
        return
    many = table.take(pa.array(np.zeros(1 << 20, np.int64)))
    rows = chance.choice([1 << 20, 1 << 20, 1 << 22, BOMB_ROWS])
    path.unlink()
    with pq.ParquetWriter(path, table.schema, compression="zstd") as file:
        for _ in range(rows >> 20):
            file.write_table(many)


def swell(chance: random.Random, folder: Path) -> None:
    """A list of millions of different values, of which hardly any is used."""
    path = chance.choice(tables_of(folder))
    table = read(path)
    place = chance.randrange(table.num_columns)
    dtype = table.column(place).to_numpy().dtype
    values = pa.array((np.arange(1 << 20) % 2**63).astype(dtype))
    rest = table.take(pa.array(np.zeros(1 << 20, np.int64))) if table.num_rows else None
    if rest is not None:
        changed = rest.set_column(place, table.column_names[place], values)
        write(changed, path, use_dictionary=True, dictionary_pagesize_limit=1 << 30)


COLUMN_DAMAGES = (
    change_type,
    change_type,
    change_columns,
    change_columns,
    change_values,
    change_values,
    change_values,
    change_values,
    fill_column,
    fill_column,
    change_rows,
    store_otherwise,
)

LARGE_DAMAGES = (blow_up, swell)
"""These take seconds."""
