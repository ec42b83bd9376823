"""Contingency tables: voxels that each predicted object shares with each true one, for all instance scores.

A table is sparse, with one row per pair of ids that occurs, and additive: the table of a volume is the sum of the
tables of its blocks. Ids can have any value of uint64.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from attacca.atomic import replace_file

SLAB_VOXELS = 1 << 22
"""Voxels that are converted and counted at once, which limits the memory for memory-mapped arrays."""

PIECE_ROWS = 1 << 20
"""Rows of a table that are read at once."""


class Overlaps(Protocol):
    """Voxels by predicted and true id, in memory or in a file. It is read a piece at a time."""

    def pieces(self) -> Iterator["ContingencyTable"]:
        """Yield all rows in order, each time that it is called. Pieces begin at multiples of ``PIECE_ROWS`` rows."""


@dataclass(frozen=True, eq=False)
class ContingencyTable:
    """Voxels by predicted and true id. Rows are distinct pairs, sorted by true id, then by predicted id.

    Attributes:
        segment: predicted ids, uint64, shape (rows,).
        ground_truth: true ids, uint64, shape (rows,).
        count: voxels with this pair of ids, int64, shape (rows,), positive.
    """

    segment: np.ndarray
    ground_truth: np.ndarray
    count: np.ndarray

    @classmethod
    def empty(cls) -> "ContingencyTable":
        """Return a table without rows."""
        ids = np.empty(0, np.uint64)
        return cls(ids, ids.copy(), np.empty(0, np.int64))

    @classmethod
    def from_rows(
        cls, segment: np.ndarray, ground_truth: np.ndarray, count: np.ndarray
    ) -> "ContingencyTable":
        """Return the table of unsorted rows; rows with equal pairs are summed."""
        segment, ground_truth = (
            segment.astype(np.uint64, copy=False),
            ground_truth.astype(np.uint64, copy=False),
        )
        order = np.lexsort((segment, ground_truth))
        return cls.from_sorted_rows(
            segment[order], ground_truth[order], count[order].astype(np.int64, copy=False)
        )

    @classmethod
    def from_sorted_rows(
        cls, segment: np.ndarray, ground_truth: np.ndarray, count: np.ndarray
    ) -> "ContingencyTable":
        """Return the table of sorted rows; rows with equal pairs are summed."""
        if len(count) == 0:
            return cls.empty()
        first = np.empty(len(count), bool)
        first[0] = True
        np.not_equal(segment[1:], segment[:-1], out=first[1:])
        first[1:] |= ground_truth[1:] != ground_truth[:-1]
        starts = np.flatnonzero(first)
        return cls(segment[starts], ground_truth[starts], np.add.reduceat(count, starts))

    @property
    def total(self) -> int:
        """Number of voxels."""
        return int(self.count.sum())

    def __len__(self) -> int:
        return len(self.count)

    def __add__(self, other: "ContingencyTable") -> "ContingencyTable":
        return merge_tables([self, other])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ContingencyTable)
            and np.array_equal(self.segment, other.segment)
            and np.array_equal(self.ground_truth, other.ground_truth)
            and np.array_equal(self.count, other.count)
        )

    __hash__ = None  # type: ignore[assignment]

    def pieces(self) -> Iterator["ContingencyTable"]:
        """Yield all rows in pieces, see ``Overlaps``."""
        for start in range(0, len(self), PIECE_ROWS):
            yield self.select(slice(start, start + PIECE_ROWS))

    def select(self, rows: np.ndarray | slice) -> "ContingencyTable":
        """Return some rows: a slice, or those for which a bool array is true."""
        return ContingencyTable(self.segment[rows], self.ground_truth[rows], self.count[rows])

    def map_ground_truth(self, ids: np.ndarray, new_ids: np.ndarray) -> "ContingencyTable":
        """Return the table with each true id in ``ids`` replaced by the corresponding one in ``new_ids``.

        Args:
            ids: distinct ids, in any order.
            new_ids: same length as ``ids``.

        Examples:
            >>> one_segment = np.array([7, 7], np.uint64)
            >>> table = ContingencyTable(one_segment, np.array([1, 2], np.uint64), np.array([10, 30]))
            >>> table.map_ground_truth(np.array([2]), np.array([1])).count
            array([40])
        """
        return ContingencyTable.from_rows(self.segment, _map_ids(self.ground_truth, ids, new_ids), self.count)

    def map_segments(self, ids: np.ndarray, new_ids: np.ndarray) -> "ContingencyTable":
        """Return the table with each predicted id in ``ids`` replaced, see ``map_ground_truth``."""
        return ContingencyTable.from_rows(_map_ids(self.segment, ids, new_ids), self.ground_truth, self.count)

    def save(self, path: str | Path) -> None:
        """Write the table to a .npz file, which appears whole or not at all."""
        with replace_file(path) as file:
            np.savez_compressed(file, segment=self.segment, ground_truth=self.ground_truth, count=self.count)

    @classmethod
    def load(cls, path: str | Path) -> "ContingencyTable":
        """Read a file that ``save`` wrote."""
        with np.load(path) as stored:
            return cls(stored["segment"], stored["ground_truth"], stored["count"])


def _map_ids(values: np.ndarray, ids: np.ndarray, new_ids: np.ndarray) -> np.ndarray:
    ids, new_ids = np.asarray(ids, np.uint64), np.asarray(new_ids, np.uint64)
    if len(ids) == 0:
        return values
    order = np.argsort(ids)
    ids, new_ids = ids[order], new_ids[order]
    place = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
    return np.where(ids[place] == values, new_ids[place], values)


def contingency_table(
    segmentation: np.ndarray, ground_truth: np.ndarray, mask: np.ndarray | None = None
) -> ContingencyTable:
    """Count the voxels of each pair of ids.

    Args:
        segmentation: predicted ids, any shape, bool or integer, not negative.
        ground_truth: true ids, same shape.
        mask: voxels that count, bool, same shape; all voxels count by default.

    Returns:
        The table. It includes background (0) on both sides; scores apply their convention to it.

    Raises:
        ValueError: shapes differ, or an array does not contain ids.

    Examples:
        >>> table = contingency_table(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 0]))
        >>> table.segment.tolist(), table.ground_truth.tolist(), table.count.tolist()
        ([2, 1, 2], [0, 1, 1], [1, 2, 1])
    """
    if segmentation.shape != ground_truth.shape or (mask is not None and mask.shape != ground_truth.shape):
        shapes = f"{segmentation.shape}, {ground_truth.shape}" + ("" if mask is None else f", {mask.shape}")
        raise ValueError(
            f"segmentation, ground truth and mask: found the shapes {shapes}, expected equal shapes"
        )
    tables = []
    for slab in _slabs(ground_truth.shape):
        ids = _convert_to_ids(segmentation[slab]), _convert_to_ids(ground_truth[slab])
        if mask is not None:
            counted = np.asarray(mask[slab], bool).ravel()
            ids = ids[0][counted], ids[1][counted]
        tables.append(ContingencyTable.from_rows(*_count_runs(*ids)))
    return merge_tables(tables)


def merge_tables(tables: Iterable[ContingencyTable]) -> ContingencyTable:
    """Return the sum of tables. Memory is a few times that of the result and of one table.

    Examples:
        >>> ids = np.array([1], np.uint64)
        >>> blocks = [ContingencyTable(ids, ids, np.array([count])) for count in (10, 30)]
        >>> merge_tables(blocks).count.tolist()
        [40]
    """
    pending: list[ContingencyTable] = []
    merged, rows = ContingencyTable.empty(), 0
    for table in tables:
        pending.append(table)
        rows += len(table)
        if rows > max(len(merged), 1 << 20):
            merged, pending, rows = _sum([merged, *pending]), [], 0
    return _sum([merged, *pending])


def _sum(tables: list[ContingencyTable]) -> ContingencyTable:
    filled = [table for table in tables if len(table)]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        return ContingencyTable.empty()
    return ContingencyTable.from_rows(
        np.concatenate([table.segment for table in filled]),
        np.concatenate([table.ground_truth for table in filled]),
        np.concatenate([table.count for table in filled]),
    )


def _convert_to_ids(array: np.ndarray) -> np.ndarray:
    """Return an array as flat uint64 ids.

    Raises:
        ValueError: its dtype is neither bool nor integer, or it has negative values.
    """
    if array.dtype.kind not in "biu":
        raise ValueError(f"ids: found {array.dtype}, expected integers")
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise ValueError(f"ids: found {int(array.min())}, expected no negative values")
    return np.ascontiguousarray(array).astype(np.uint64, copy=False).ravel()


def _slabs(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    if not shape:
        yield ()
        return
    plane = max(1, int(np.prod(shape[1:], dtype=np.int64)))
    step = max(1, SLAB_VOXELS // plane)
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])),)


def _count_runs(segment: np.ndarray, ground_truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Neighbors mostly have equal ids: runs of equal pairs are far fewer rows to sort than voxels.
    is_start = np.ones(len(segment), bool)
    np.not_equal(segment[1:], segment[:-1], out=is_start[1:])
    is_start[1:] |= ground_truth[1:] != ground_truth[:-1]
    starts = np.flatnonzero(is_start)
    return segment[starts], ground_truth[starts], np.diff(starts, append=len(segment))
