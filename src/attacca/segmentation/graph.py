"""Region adjacency graph of a whole volume."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Graph:
    """Region adjacency graph as columns; large columns may be memory-mapped files.

    Sums and maxima are of stored affinities, 255 for an affinity of 1. ``direct`` columns count
    nearest-neighbor affinities, ``long`` columns long-range affinities, ``inner`` columns the
    nearest-neighbor affinities between voxels of one fragment.

    Args:
        ids: uint64 (nodes,), ascending.
        sizes: int64 (nodes,), voxels.
        lower: int32 (nodes, 3), first voxel of the bounding box.
        upper: int32 (nodes, 3), last voxel of the bounding box plus one.
        inner_sum: int64 (nodes,).
        inner_count: int64 (nodes,).
        u: int32 (edges,), index of the first node.
        v: int32 (edges,), index of the second node; ``u < v``, sorted by ``(u, v)``.
        direct_sum: int64 (edges,).
        direct_count: int32 (edges,).
        direct_max: uint8 (edges,).
        long_sum: int64 (edges,).
        long_count: int32 (edges,).

    Three fragments in a row:

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> graph = make_example_graph()
    >>> graph.read_column("sizes"), graph.read_column("direct_sum")
    (array([2, 3, 1]), array([204, 102]))
    """

    ids: np.ndarray
    sizes: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    inner_sum: np.ndarray
    inner_count: np.ndarray
    u: np.ndarray
    v: np.ndarray
    direct_sum: np.ndarray
    direct_count: np.ndarray
    direct_max: np.ndarray
    long_sum: np.ndarray
    long_count: np.ndarray

    def read_column(self, name: str) -> np.ndarray:
        """Return a copy of a whole column."""
        column = getattr(self, name)
        return _copy_rows(column, 0, len(column))

    def read_edges(self, *names: str, rows: int = 1 << 18) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield copies of columns of the edges, ``rows`` rows at a time."""
        for start in range(0, len(self.u), rows):
            yield tuple(_copy_rows(getattr(self, name), start, start + rows) for name in names)


def _copy_rows(column: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Copy rows of a column; of a memory-mapped file without keeping its pages in this process's memory."""
    if (
        isinstance(column, np.memmap)
        and column.filename is not None
        and column.offset == 0
        and column.base is not None
    ):
        count = max(0, min(stop, column.size) - start)
        return np.fromfile(column.filename, column.dtype, count, offset=start * column.itemsize)
    return np.array(column[start:stop])
