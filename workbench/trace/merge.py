"""Read the files of a table as one, in order, holding no more than what can still be preceded.

Parquet says of every row group the least value of each column.  Row groups are read in the order
of those; a row may go as soon as no row group that is still to come can hold one before it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.trace.segments import (
    column_numbers,
    column_view,
    open_segment,
    refuse_gaps,
    refuse_large,
    table_files,
    with_absent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow.parquet as pq

    from workbench.schema import Table
    from workbench.trace.reader import Columns

    Key = tuple[int, ...]
    """A row's place in the order: the values of the key columns, then its number in the files."""

_ROWS_AT_ONCE: Final = 1 << 16
"""Rows that are put in order at once, if so many overlap: what a processor's cache holds."""

_ROW: Final = ""
"""Where a run keeps the numbers that its rows have in the files; no column is called so."""


class _RowGroup(NamedTuple):
    """A part of a file, and a key that none of its rows is before."""

    first_key: Key
    path: Path
    number: int
    row_count: int


class _Source(NamedTuple):
    """What is read of a table."""

    paths: list[Path]
    advice: str
    table: Table
    column_names: tuple[str, ...]
    key_names: tuple[str, ...]


def merge_rows(
    folder: Path,
    table: Table,
    column_names: Iterable[str],
    key_names: Iterable[str],
    *,
    held_rows_max: int | None = None,
) -> Iterator[Columns]:
    """Give the rows of all files of a table in the order of their keys, in runs of any length.

    Rows with equal keys stay in the order of the files.

    Parameters
    ----------
    column_names
        What to give of each row, the keys not included.
    key_names
        The columns to order by, the first one first.
    held_rows_max
        How many rows may wait for what can still precede them; None is any number.

    Raises
    ------
    InputError
        A file is damaged or cannot be opened, a column is not what the schema says, or more rows
        than `held_rows_max` would have to wait.  Runs that were given before are right.

    Notes
    -----
    Memory: twice the rows that must wait, and of every column that is read one row group, or as
    many small ones as are put in order at once.  Little waits where the files follow each other in
    time, and as many row groups as overlap where they do not.
    Runs may be views of what was read, and may not be writable.
    """
    source = _Source(*table_files(folder, table), table, tuple(column_names), tuple(key_names))
    groups = sorted(_row_groups(source))
    stops = [group.first_key for group in groups[1:]]
    names = (*source.key_names, _ROW)
    last_key: Key = ()
    held: list[Columns] = []
    """Each in order."""
    size = put_in_order = 0
    """How many rows they have, and how many of those were put in order together and must wait."""
    runs = _read_groups(source, groups)
    for run, stop in itertools.zip_longest(runs, stops):
        held.append(_ordered(run, names))
        size += len(run[_ROW])
        if stop is not None and len(held) > 1 and size < _worth(put_in_order, held_rows_max):
            continue
        whole = _ordered(_joined(held), names)
        ready = size if stop is None else _count_before(whole, names, stop)
        if ready:
            _refuse_wrong_statistics(folder, last_key, _key(whole, names, 0))
            last_key = _key(whole, names, ready - 1)
            yield {name: whole[name][:ready] for name in source.column_names}
        size = put_in_order = size - ready
        held = [{name: whole[name][ready:] for name in whole}] if put_in_order else []
        if held_rows_max is not None and put_in_order > held_rows_max:
            raise _disorder(folder, held_rows_max)


def _disorder(folder: Path, held_rows_max: int) -> InputError:
    return InputError(
        f"{folder}: more than {held_rows_max:,} rows are out of the order of time, too many to put "
        "in order piece by piece; read or replay the trace whole, or write the trace anew in order"
    )


def _worth(put_in_order: int, held_rows_max: int | None) -> int:
    """Say how many rows are worth putting in order together.

    Twice as many as the last time, so that each row is taken in hand a few times at most, however
    many row groups overlap; and no fewer than a sort is quick for, unless fewer may wait.
    """
    least = _ROWS_AT_ONCE if held_rows_max is None else min(_ROWS_AT_ONCE, held_rows_max)
    return max(2 * put_in_order, least)


def regroup(runs: Iterable[Columns], row_count: int) -> Iterator[Columns]:
    """Cut and join runs of rows, so that all but the last have `row_count` rows.

    What is given is copied: nobody else has it, and it can be written to.
    """
    parts: list[Columns] = []
    room = row_count
    for run in runs:
        size = len(next(iter(run.values())))
        start = 0
        while size - start >= room:
            parts.append({name: values[start : start + room] for name, values in run.items()})
            yield _copied(parts)
            start, room, parts = start + room, row_count, []
        if start < size:
            parts.append({name: values[start:] for name, values in run.items()})
            room -= size - start
    if parts:
        yield _copied(parts)


def order_names(table: Table) -> tuple[str, ...]:
    """The columns that a reader orders a table by; equal rows stay in the order of the files."""
    return tuple(name for name in ("time_ns", "sequence") if name in table.column_names)


def is_in_order(keys: Iterable[npt.NDArray[np.int64]]) -> bool:
    """Whether no row is before the one that it follows."""
    is_tied: npt.NDArray[np.bool_] | None = None
    for key in keys:
        before, after = key[:-1], key[1:]
        is_wrong = after < before
        if is_tied is not None:
            is_wrong &= is_tied
        if is_wrong.any():
            return False
        is_tied = (after == before) if is_tied is None else is_tied & (after == before)
        if not is_tied.any():
            break
    return True


def _row_groups(source: _Source) -> Iterator[_RowGroup]:
    first_row = 0
    for path in source.paths:
        groups = []
        with open_segment(path, source.table, source.advice) as file:
            for number in range(file.metadata.num_row_groups):
                row_count = file.metadata.row_group(number).num_rows
                if row_count:
                    first_key = (*_least(file, number, source.key_names), first_row)
                    groups.append(_RowGroup(first_key, path, number, row_count))
                first_row += row_count
        yield from groups


def _least(file: pq.ParquetFile, number: int, names: Sequence[str]) -> list[int]:
    """Find the least value of each column, in one row group.

    Together they are a key that no row of the group is before, though it may be no row's.
    """
    group = file.metadata.row_group(number)
    columns = (group.column(place) for place in range(group.num_columns))
    statistics = {column.path_in_schema: column.statistics for column in columns}
    least = []
    for name in names:
        known = statistics[name]
        if known is not None and known.has_min_max:
            least.append(int(known.min))
        else:  # Other tools need not write it.
            content = file.read_row_group(number, columns=[name])
            values = column_numbers(content[name].drop_null(), "int64")
            least.append(int(values.min()) if values.size else 0)
    return least


def _read_groups(source: _Source, groups: Iterable[_RowGroup]) -> Iterator[Columns]:
    """Read one row group after the other.

    Where files take turns, each is opened once for many row groups that are small: to open a file
    is to read all that it says about itself.
    """
    for wanted in _some_rows_at_once(groups):
        paths = [path for path, _ in itertools.groupby(wanted, key=_path_of)]
        read = _read_in_turn if len(paths) == len(set(paths)) else _read_together
        yield from read(source, wanted)


def _read_in_turn(source: _Source, groups: list[_RowGroup]) -> Iterator[Columns]:
    """Read each when it is asked for, and keep its file open while its row groups follow."""
    for path, own in itertools.groupby(groups, key=_path_of):
        with open_segment(path, source.table, source.advice) as file:
            for group in own:
                yield from _read(source, file, [group])


def _read_together(source: _Source, groups: list[_RowGroup]) -> Iterator[Columns]:
    """Read all of them, file by file."""
    of_file: dict[Path, list[_RowGroup]] = {}
    for group in groups:
        of_file.setdefault(group.path, []).append(group)
    runs: dict[Key, Columns] = {}
    for path, own in of_file.items():
        with open_segment(path, source.table, source.advice) as file:
            runs.update(
                zip([each.first_key for each in own], _read(source, file, own), strict=True)
            )
    for group in groups:
        yield runs.pop(group.first_key)


def _path_of(group: _RowGroup) -> Path:
    return group.path


def _some_rows_at_once(groups: Iterable[_RowGroup]) -> Iterator[list[_RowGroup]]:
    """Cut row groups into lists that have no more rows than are put in order at once, or one."""
    some: list[_RowGroup] = []
    row_count = 0
    for group in groups:
        if some and row_count + group.row_count > _ROWS_AT_ONCE:
            yield some
            some, row_count = [], 0
        some.append(group)
        row_count += group.row_count
    if some:
        yield some


def _read(source: _Source, file: pq.ParquetFile, groups: list[_RowGroup]) -> list[Columns]:
    """Read row groups of one file, all at once."""
    path = groups[0].path
    names = list(dict.fromkeys((*source.key_names, *source.column_names)))
    dtypes = {column.name: column.dtype for column in source.table.columns}
    row_count = sum(group.row_count for group in groups)
    refuse_large(path, source.table, row_count)
    numbers = [group.number for group in groups]
    content = with_absent(file.read_row_groups(numbers, columns=names), source.table)
    content.validate()
    if content.num_rows != row_count:
        raise ValueError("a row group is not as long as it says")
    refuse_gaps(path, content)
    read = {name: column_view(content[name], dtypes[name]) for name in names}
    runs, first = [], 0
    for group in groups:
        run = {name: values[first : first + group.row_count] for name, values in read.items()}
        run[_ROW] = np.arange(group.first_key[-1], group.first_key[-1] + group.row_count)
        runs.append(run)
        first += group.row_count
    return runs


def _joined(runs: list[Columns]) -> Columns:
    return runs[0] if len(runs) == 1 else _copied(runs)


def _copied(runs: list[Columns]) -> Columns:
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def _ordered(run: Columns, names: Sequence[str]) -> Columns:
    if is_in_order([run[name] for name in names]):
        return run
    order = np.lexsort([run[name] for name in reversed(names)])
    return {name: values[order] for name, values in run.items()}


def _count_before(run: Columns, names: Sequence[str], stop: Key) -> int:
    """Count the rows of an ordered run whose keys are before `stop`."""
    start, end = 0, len(run[_ROW])
    for name, value in zip(names, stop, strict=True):
        tied = run[name][start:end]
        start, end = (
            start + int(np.searchsorted(tied, value, side="left")),
            start + int(np.searchsorted(tied, value, side="right")),
        )
    return start


def _key(run: Columns, names: Sequence[str], place: int) -> Key:
    return tuple(int(run[name][place]) for name in names)


def _refuse_wrong_statistics(folder: Path, last_key: Key, key: Key) -> None:
    if key < last_key:
        message = (
            f"{folder}: a row belongs before others that its file's statistics put first; the "
            "trace is damaged, copy it again"
        )
        raise InputError(message)
