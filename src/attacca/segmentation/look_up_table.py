"""Look-up table from fragments to segments, and its application to voxels."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from attacca.atomic import write_bytes
from attacca.errors import MissingInputError
from attacca.segmentation.dense_labels import index_labels


@dataclass(frozen=True)
class LookUpTable:
    """The segment of each fragment.

    Args:
        ids: uint64 (fragments,), ascending.
        segments: uint64 (fragments,), 1, 2, ... by first fragment; 0 for deleted fragments.

    >>> table = LookUpTable(np.array([7, 9], np.uint64), np.array([1, 1], np.uint64))
    >>> table.map_ids(np.array([9, 8, 7], np.uint64))
    array([1, 0, 1], dtype=uint64)
    """

    ids: np.ndarray
    segments: np.ndarray

    @property
    def num_segments(self) -> int:
        """Number of segments."""
        return int(self.segments.max(initial=np.uint64(0)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write both columns to one ``.npy`` file, which appears whole or not at all."""
        buffer = io.BytesIO()
        np.save(buffer, np.stack([self.ids, self.segments]))
        write_bytes(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LookUpTable":
        """Open a table that ``save`` wrote, memory-mapped.

        Raises:
            MissingInputError: the file is missing.
        """
        if not os.path.exists(path):
            raise MissingInputError(f"{path}: the look-up table is missing; run the agglomeration first")
        table = np.load(path, mmap_mode="r")
        return cls(table[0], table[1])

    def map_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return the segment of each id, uint64; 0 for ids that the table lacks."""
        segments = np.zeros(len(ids), np.uint64)
        if len(self.ids):
            rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            known = np.asarray(self.ids[rows]) == ids
            segments[known] = self.segments[rows[known]]
        segments[ids == 0] = 0
        return segments


def relabel(fragments: np.ndarray, table: LookUpTable) -> np.ndarray:
    """Replace fragments by their segments.

    Args:
        fragments: uint64, any shape.
        table: ids that it lacks become 0.

    Returns:
        uint64, of the shape of ``fragments``.

    >>> table = LookUpTable(np.array([7, 9], np.uint64), np.array([1, 2], np.uint64))
    >>> relabel(np.array([[0, 7, 9, 9, 3]], np.uint64), table)
    array([[0, 1, 2, 2, 0]], dtype=uint64)
    """
    ids, indices = index_labels(fragments)
    return _take(table.map_ids(ids), indices.reshape(-1)).reshape(fragments.shape)


@njit(cache=True, nogil=True)
def _take(values, indices):
    result = np.empty(len(indices), values.dtype)
    for i in range(len(indices)):
        result[i] = values[indices[i]]
    return result
