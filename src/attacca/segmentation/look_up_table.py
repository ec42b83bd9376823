"""Look-up table from fragments to segments, and its application to voxels."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from attacca.atomic import replace_file, write_json
from attacca.errors import MissingInputError
from attacca.segmentation.dense_labels import index_labels
from attacca.segmentation.fragment_lattice import FragmentLattice


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

    def count_voxels(self, sizes: np.ndarray) -> np.ndarray:
        """Return the voxels of each segment, int64 (segments,), from those of the fragments, int64 (fragments,)."""
        totals = np.zeros(self.num_segments + 1, np.int64)
        np.add.at(totals, self.segments.astype(np.int64), sizes)
        return totals[1:]

    def divide(self, lattice: FragmentLattice) -> "LeafTable":
        """Return the table in slices for the leaves of an octree."""
        leaves = lattice.find_leaves(self.ids)
        order = np.argsort(leaves, kind="stable")
        offsets = np.searchsorted(leaves[order], np.arange(lattice.octree.count(0) + 1)).tolist()
        return LeafTable(lattice, offsets, np.stack([self.ids[order], self.segments[order]]))

    def map_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return the segment of each id, uint64; 0 for ids that the table lacks."""
        segments = np.zeros(len(ids), np.uint64)
        if len(self.ids):
            rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
            known = np.asarray(self.ids[rows]) == ids
            segments[known] = self.segments[rows[known]]
        segments[ids == 0] = 0
        return segments


def locate_leaves(table: str | os.PathLike[str]) -> Path:
    """Return the path of the file that describes the leaves of a look-up table.

    >>> locate_leaves("results/look_up_table.npy").as_posix()
    'results/look_up_table.leaves.json'
    """
    return Path(table).with_suffix(".leaves.json")


@dataclass(frozen=True)
class LeafTable:
    """The segment of each fragment, in slices for the leaves of an octree, memory-mapped.

    Args:
        lattice: leaves of the volume.
        offsets: first row of each leaf, and the number of rows.
        rows: uint64 (2, fragments): fragments, ascending in each leaf, and their segments.
    """

    lattice: FragmentLattice
    offsets: Sequence[int]
    rows: np.ndarray

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LeafTable":
        """Open a table that the agglomeration wrote.

        Raises:
            MissingInputError: the table or the file of its leaves is missing, or they do not belong together.
        """
        try:
            leaves = json.loads(locate_leaves(path).read_text())
            rows = np.load(path, mmap_mode="r")
        except FileNotFoundError as error:
            raise MissingInputError(
                f"{error.filename}: the look-up table is missing; run the agglomeration first"
            ) from None
        offsets = leaves["offsets"]
        if offsets[-1] != rows.shape[1]:
            raise MissingInputError(
                f"{path}: found {rows.shape[1]} fragments, expected {offsets[-1]}, those of {locate_leaves(path).name}; "
                "delete both files and run the workflow again"
            )
        return cls(FragmentLattice.from_json(leaves["lattice"]), offsets, rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table and the file of its leaves; both appear whole or not at all."""
        write_json(locate_leaves(path), {"lattice": self.lattice.to_json(), "offsets": list(self.offsets)})
        with replace_file(path) as file:
            np.save(file, self.rows)

    def map_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return the segment of each id, uint64; 0 for ids that the table lacks. Reads slices of their leaves only."""
        segments = np.zeros(len(ids), np.uint64)
        known = np.flatnonzero(ids)
        leaves = self.lattice.find_leaves(ids[known])
        for leaf in np.unique(leaves).tolist():
            rows = known[leaves == leaf]
            part = slice(self.offsets[leaf], self.offsets[leaf + 1])
            segments[rows] = LookUpTable(self.rows[0, part], self.rows[1, part]).map_ids(ids[rows])
        return segments


def relabel(fragments: np.ndarray, table: LookUpTable | LeafTable) -> np.ndarray:
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
