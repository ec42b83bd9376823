"""Contingency tables that are added up on disk: sorted files are merged in a tree, a piece at a time.

Memory is that of ``RUN_ROWS`` rows, or of ``FAN_IN`` pieces of files, and not that of a table.
"""

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacca.atomic import replace_file
from attacca.blockwise.row_tables import MergedRows, StoredRows, list_arrays, load_array
from attacca.evaluators import contingency
from attacca.evaluators.contingency import ContingencyTable, Overlaps, merge_tables

ROW_TYPE = np.dtype([("ground_truth", "<u8"), ("segment", "<u8"), ("count", "<i8")])
"""Rows of a file."""

RUN_ROWS = 1 << 20
"""Rows that are sorted in memory. A larger sum is written to files."""

FAN_IN = 32
"""Files that are merged at once."""


@dataclass(frozen=True)
class StoredTable:
    """A contingency table in a file. Reading all of it checks its sums.

    Attributes:
        path: a ``.npz`` file.
        names: names of the arrays of ``ROW_TYPE``, each with ``PIECE_ROWS`` rows, the last one with the rest.
    """

    path: Path
    names: tuple[str, ...]

    @classmethod
    def write(cls, path: Path, pieces: Iterable[ContingencyTable], is_scratch: bool = False) -> "StoredTable":
        """Write the pieces of a table, in order and of any size.

        Args:
            path: the file. It appears whole or not at all, unless it is scratch.
            pieces: the table.
            is_scratch: the file is not read after a crash, so that nothing waits for the disk.

        Examples:
            >>> from tempfile import mkdtemp
            >>> ids = np.array([7, 8], np.uint64)
            >>> table = ContingencyTable(ids, ids, np.array([4, 5]))
            >>> next(StoredTable.write(Path(mkdtemp(), "table.npz"), [table]).pieces()) == table
            True
        """
        names = []
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("wb") if is_scratch else replace_file(path)
        with target as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            for number, rows in enumerate(_regroup(pieces)):
                names.append(f"{number:06d}")
                with archive.open(f"{names[-1]}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, rows, version=(1, 0))
        return cls(path, tuple(names))

    @classmethod
    def open(cls, path: Path) -> "StoredTable":
        """Return a table that is read later.

        Raises:
            MissingInputError: the file is missing.
            VolumeError: the file is damaged.
        """
        return cls(path, tuple(sorted(list_arrays(path))))

    @property
    def dtype(self) -> np.dtype:
        """Type of a row."""
        return ROW_TYPE

    def __len__(self) -> int:
        return sum(StoredRows.open(self.path, name).length for name in self.names)

    def read(self) -> Iterator[np.ndarray]:
        """Yield all rows as ``ROW_TYPE``, in small pieces."""
        for name in self.names:
            yield from StoredRows.open(self.path, name).read()

    def pieces(self) -> Iterator[ContingencyTable]:
        """Yield all rows in pieces, see ``Overlaps``."""
        for name in self.names:
            yield _to_table(load_array(self.path, name))


def sum_tables(tables: Iterable[ContingencyTable], path: Path) -> Overlaps:
    """Return the sum of tables in any order, with bounded memory.

    Args:
        tables: the tables.
        path: file of the sum. A sum of at most ``RUN_ROWS`` rows is in memory, and the file is not written.

    Examples:
        >>> from tempfile import mkdtemp
        >>> ids = np.array([7], np.uint64)
        >>> parts = [ContingencyTable(ids, ids, np.array([count])) for count in (4, 5)]
        >>> next(sum_tables(parts, Path(mkdtemp(), "sum.npz")).pieces()).count.tolist()
        [9]
    """
    with _make_scratch_directory(path) as directory:
        runs: list[StoredTable] = []
        pending: list[ContingencyTable] = []
        rows = 0
        for table in tables:
            pending.append(table)
            rows += len(table)
            if rows > RUN_ROWS:
                total = merge_tables(pending)
                pending, rows = [total], len(total)
                # Half of the space is for the next tables.
                if rows > RUN_ROWS // 2:
                    runs.append(
                        StoredTable.write(directory / f"run-{len(runs)}.npz", pending, is_scratch=True)
                    )
                    pending, rows = [], 0
        total = merge_tables(pending)
        if not runs:
            return total
        runs.append(StoredTable.write(directory / f"run-{len(runs)}.npz", [total], is_scratch=True))
        return _merge_in_tree(runs, path, directory)


def merge_stored_tables(tables: Sequence[StoredTable], path: Path) -> StoredTable:
    """Return the sum of tables in files, with bounded memory.

    Args:
        tables: at least one; a single one is returned as it is.
        path: file of the sum.

    Examples:
        >>> from tempfile import mkdtemp
        >>> ids, directory = np.array([7], np.uint64), Path(mkdtemp())
        >>> parts = [
        ...     StoredTable.write(directory / f"{count}.npz", [ContingencyTable(ids, ids, np.array([count]))])
        ...     for count in (4, 5)]
        >>> next(merge_stored_tables(parts, directory / "sum.npz").pieces()).count.tolist()
        [9]
    """
    if len(tables) == 1:
        return tables[0]
    with _make_scratch_directory(path) as directory:
        return _merge_in_tree(tables, path, directory)


@contextmanager
def _make_scratch_directory(path: Path) -> Iterator[Path]:
    directory = path.with_suffix(".runs")
    # A killed job may have left files.
    shutil.rmtree(directory, ignore_errors=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _merge_in_tree(tables: Sequence[StoredTable], path: Path, directory: Path) -> StoredTable:
    level = 0
    while len(tables) > FAN_IN:
        merged = []
        for start in range(0, len(tables), FAN_IN):
            group = tables[start : start + FAN_IN]
            scratch = directory / f"level-{level}-{start}.npz"
            merged.append(StoredTable.write(scratch, _read_sum(group), is_scratch=True))
            for table in group:
                if table.path.parent == directory:
                    table.path.unlink()
        tables, level = merged, level + 1
    return StoredTable.write(path, _read_sum(tables))


def _read_sum(tables: Sequence[StoredTable]) -> Iterator[ContingencyTable]:
    return map(_to_table, MergedRows(tables, ("ground_truth", "segment")).read())


def _to_table(rows: np.ndarray) -> ContingencyTable:
    columns = (np.ascontiguousarray(rows[name]) for name in ("segment", "ground_truth", "count"))
    return ContingencyTable.from_sorted_rows(*columns)


def _regroup(pieces: Iterable[ContingencyTable]) -> Iterator[np.ndarray]:
    """Yield rows of ``ROW_TYPE`` in arrays of ``PIECE_ROWS`` rows, and the rest."""
    size = contingency.PIECE_ROWS
    rest = np.empty(0, ROW_TYPE)
    for table in pieces:
        rows = np.empty(len(table), ROW_TYPE)
        for name in ("segment", "ground_truth", "count"):
            rows[name] = getattr(table, name)
        rest = np.concatenate([rest, rows])
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if len(rest):
        yield rest
