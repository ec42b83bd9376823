"""Tables of rows that are read a piece at a time, so that a large table is never in memory as a whole.

Tables are numpy arrays, or objects that yield their rows in the same order each time that they are read.
"""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from attacca.atomic import replace_file
from attacca.errors import MissingInputError, VolumeError

PIECE = 1 << 16
"""Rows that are read at a time."""


class RowTable(Protocol):
    """A table that is not in memory."""

    @property
    def dtype(self) -> np.dtype:
        """Type of a row."""

    def __len__(self) -> int: ...

    def read(self) -> Iterator[np.ndarray]:
        """Yield all rows in pieces, which may be read-only."""


Table = np.ndarray | RowTable


def read_pieces(table: Table) -> Iterator[np.ndarray]:
    """Yield all rows of a table in pieces.

    >>> [len(piece) for piece in read_pieces(np.zeros(100_000))]
    [65536, 34464]
    """
    if isinstance(table, np.ndarray):
        for start in range(0, len(table), PIECE):
            yield table[start : start + PIECE]
    else:
        yield from table.read()


def read_all(table: Table) -> np.ndarray:
    """Return all rows of a table in memory.

    >>> read_all(np.arange(3))
    array([0, 1, 2])
    """
    if isinstance(table, np.ndarray):
        return table
    return np.concatenate([np.zeros(0, table.dtype), *table.read()])


def save_tables(path: str | os.PathLike[str], tables: Mapping[str, Table]) -> None:
    """Write tables to one ``.npz`` file, a piece at a time; the file appears whole or not at all.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "tables.npz")
    >>> save_tables(path, {"numbers": np.arange(3)})
    >>> len(StoredRows.open(path, "numbers")), next(StoredRows.open(path, "numbers").read())
    (3, array([0, 1, 2]))
    """
    with replace_file(Path(path)) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, table in tables.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                shape = table.shape if isinstance(table, np.ndarray) else (len(table),)
                header = {
                    "descr": np.lib.format.dtype_to_descr(table.dtype),
                    "fortran_order": False,
                    "shape": shape,
                }
                np.lib.format.write_array_header_1_0(member, header)
                count = 0
                for piece in read_pieces(table):
                    count += len(piece)
                    member.write(np.ascontiguousarray(piece).tobytes())
                assert count == len(table), f"{count} rows in a table of {len(table)}"


@dataclass(frozen=True)
class StoredRows:
    """A table in a file of ``save_tables``. Reading all of it checks its sum.

    Args:
        path: the file.
        name: name of the table.
        length: number of rows.
        dtype: type of a row.
    """

    path: Path
    name: str
    length: int
    dtype: np.dtype

    @classmethod
    def open(cls, path: str | os.PathLike[str], name: str) -> "StoredRows":
        """Return a table that is read later.

        Raises:
            MissingInputError: the file is missing.
            VolumeError: the file is damaged.
        """
        with _open_member(Path(path), name) as (_, shape, dtype):
            return cls(Path(path), name, shape[0], dtype)

    def __len__(self) -> int:
        return self.length

    def read(self) -> Iterator[np.ndarray]:
        """Yield all rows in pieces, which are read-only.

        Raises:
            MissingInputError: the file is missing.
            VolumeError: the file is damaged.
        """
        with _open_member(self.path, self.name) as (member, _, dtype):
            for start in range(0, self.length, PIECE):
                count = min(PIECE, self.length - start)
                yield np.frombuffer(member.read(count * dtype.itemsize), dtype, count)


def load_array(path: str | os.PathLike[str], name: str) -> np.ndarray:
    """Return an array of any shape from a file of ``save_tables``.

    Raises:
        MissingInputError: the file is missing.
        VolumeError: the file is damaged.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "tables.npz")
    >>> save_tables(path, {"pairs": np.array([[1, 2]])})
    >>> load_array(path, "pairs")
    array([[1, 2]])
    """
    with _open_member(Path(path), name) as (member, shape, dtype):
        array = np.frombuffer(bytearray(member.read()), dtype)
        return array.reshape(shape)


def list_arrays(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of all arrays in a ``.npz`` file.

    Raises:
        MissingInputError: the file is missing.
        VolumeError: the file is damaged.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "tables.npz")
    >>> save_tables(path, {"pairs": np.array([[1, 2]])})
    >>> list_arrays(path)
    ['pairs']
    """
    with _open_archive(Path(path)) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


@contextmanager
def _open_member(path: Path, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype]]:
    """Yield the file of a table, at its first row, with the shape and the type of all."""
    with _open_archive(path) as archive, archive.open(f"{name}.npy") as member:
        np.lib.format.read_magic(member)
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        yield member, shape, dtype


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise MissingInputError(
            f"{path}: the table of a part of the volume is missing; delete its directory and run the workflow again"
        ) from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise VolumeError(
            f"{path}: the table of a part of the volume is damaged ({error}); delete its directory and run the workflow "
            "again"
        ) from error


@dataclass(frozen=True)
class MergedRows:
    """The rows of several sorted tables, in one order.

    Args:
        tables: tables of the same type, sorted by ``keys``.
        keys: one or two columns; no two rows of one table have the same values in them. Rows of several tables with the
            same values are in one piece.

    >>> tables = [np.array([(1, 2), (1, 9)], "u8,u8"), np.array([(1, 3)], "u8,u8")]
    >>> [piece.tolist() for piece in MergedRows(tables, ("f0", "f1")).read()]
    [[(1, 2), (1, 3)], [(1, 9)]]
    """

    tables: Sequence[Table]
    keys: tuple[str, ...]

    @property
    def dtype(self) -> np.dtype:
        """Type of a row."""
        return self.tables[0].dtype

    def __len__(self) -> int:
        return sum(map(len, self.tables))

    def read(self) -> Iterator[np.ndarray]:
        """Yield all rows in pieces. In memory are a piece of each table, and one of their sum."""
        pieces = [read_pieces(table) for table in self.tables]
        waiting = [next(rows, None) for rows in pieces]
        while True:
            lasts = [rows[list(self.keys)][-1].tolist() for rows in waiting if rows is not None]
            if not lasts:
                return
            ready = []
            for i, rows in enumerate(waiting):
                if rows is not None:
                    # Rows up to the first of the last rows are followed by none that precedes them.
                    count = _count_until(rows, self.keys, min(lasts))
                    ready.append(rows[:count])
                    waiting[i] = rows[count:] if count < len(rows) else next(pieces[i], None)
            joined = np.concatenate(ready)
            yield joined[np.lexsort([joined[key] for key in reversed(self.keys)])]


def _count_until(rows: np.ndarray, keys: Sequence[str], last: Sequence[int]) -> int:
    """Return the number of sorted rows up to a value of the keys, inclusive."""
    start, stop = 0, len(rows)
    for key, value in zip(keys, last):
        column = np.ascontiguousarray(rows[key][start:stop])
        bounds = [int(np.searchsorted(column, column.dtype.type(value), side)) for side in ("left", "right")]
        start, stop = start + bounds[0], start + bounds[1]
    return stop
