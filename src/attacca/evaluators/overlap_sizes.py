"""Sums over a table of overlaps that is read a piece at a time: rows that count, and voxels of each id.

Memory is that of a piece and of the ids.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from attacca.evaluators.contingency import ContingencyTable, Overlaps

_PENDING = 1 << 20


@dataclass(frozen=True)
class SelectedOverlaps:
    """Some rows of a table, selected whenever it is read.

    Attributes:
        table: the table.
        find_rows: returns the rows of a piece that count, bool.

    Examples:
        >>> ids = np.array([0, 7], np.uint64)
        >>> table = ContingencyTable(ids, ids, np.array([4, 5]))
        >>> next(SelectedOverlaps(table, lambda piece: piece.segment != 0).pieces()).count.tolist()
        [5]
    """

    table: Overlaps
    find_rows: Callable[[ContingencyTable], np.ndarray]

    def pieces(self) -> Iterator[ContingencyTable]:
        """Yield the rows of each piece of the table."""
        for piece in self.table.pieces():
            yield piece.select(self.find_rows(piece))


def select_objects(table: Overlaps) -> Overlaps:
    """Return the rows of objects of the ground truth, without background (0).

    Examples:
        >>> table = ContingencyTable(np.array([5, 5], np.uint64), np.array([0, 7], np.uint64), np.array([4, 6]))
        >>> [piece.count.tolist() for piece in select_objects(table).pieces()]
        [[6]]
    """
    return SelectedOverlaps(table, lambda piece: piece.ground_truth != 0)


@dataclass(frozen=True)
class IdSizes:
    """Voxels of each id of one side.

    Attributes:
        ids: distinct, ascending, uint64, shape (n,).
        sizes: int64, shape (n,).
    """

    ids: np.ndarray
    sizes: np.ndarray

    @property
    def total(self) -> int:
        """Number of voxels."""
        return int(self.sizes.sum())

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows of ids, all of which occur."""
        return np.searchsorted(self.ids, ids)

    def get(self, one: int) -> int:
        """Return the voxels of one id, 0 if it does not occur.

        >>> sizes = IdSizes(np.array([3, 5], np.uint64), np.array([10, 20]))
        >>> sizes.get(5), sizes.get(4)
        (20, 0)
        """
        return int(self.sizes[self.ids == one].sum())

    def without(self, one: int) -> "IdSizes":
        """Return the sizes of all ids but one."""
        is_kept = self.ids != one
        return IdSizes(self.ids[is_kept], self.sizes[is_kept])


def measure_sides(table: Overlaps) -> tuple[IdSizes, IdSizes]:
    """Return the voxels of each segment and of each object of the ground truth.

    Examples:
        >>> table = ContingencyTable(np.array([5, 6], np.uint64), np.array([1, 1], np.uint64), np.array([10, 20]))
        >>> segments, objects = measure_sides(table)
        >>> segments.sizes.tolist(), objects.sizes.tolist()
        ([10, 20], [30])
    """
    segments, objects = _SizeSum(), _SizeSum()
    for piece in table.pieces():
        segments.add(piece.segment, piece.count)
        objects.add(piece.ground_truth, piece.count)
    return segments.finish(), objects.finish()


class _SizeSum:
    """Sum of sizes by id, sorted whenever the new rows are as many as the ids."""

    def __init__(self) -> None:
        self.ids, self.sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        self.rows = 0

    def add(self, ids: np.ndarray, count: np.ndarray) -> None:
        distinct, sizes = _sum_sizes(ids, count)
        self.ids.append(distinct)
        self.sizes.append(sizes)
        self.rows += len(distinct)
        if self.rows > max(len(self.ids[0]), _PENDING):
            self.finish()

    def finish(self) -> IdSizes:
        ids, sizes = _sum_sizes(np.concatenate(self.ids), np.concatenate(self.sizes))
        self.ids, self.sizes, self.rows = [ids], [sizes], 0
        return IdSizes(ids, sizes)


def _sum_sizes(ids: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(ids, kind="stable")
    ids, count = ids[order], count[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(ids)), bool), ids[1:] != ids[:-1]]))
    return ids[starts], np.add.reduceat(count, starts) if len(starts) else count[:0]
