"""The leaf of the octree to which a fragment belongs, computed from its id."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attacca.segmentation.box import Box, Triple, triple
from attacca.segmentation.index_range import check_range
from attacca.segmentation.octree import Octree


@dataclass(frozen=True)
class FragmentLattice:
    """Leaves as boxes of the volume. A fragment belongs to the leaf with its seed, its first voxel, or its cell.

    Args:
        shape: voxels of the volume along z, y, x.
        leaf: voxels of a leaf.
        cell: voxels of a cell if ids contain the number of their cell (mutex watershed), or None if they contain a
            coordinate (see ``fragments``).

    Fragments of a row of ten voxels, in leaves of four; ids are one more than the coordinate:

    >>> lattice = FragmentLattice((1, 1, 10), (1, 1, 4), None)
    >>> lattice.octree.shape, lattice.find_leaves(np.array([1, 5, 10], np.uint64))
    ((1, 1, 3), array([0, 1, 2]))
    """

    shape: Triple
    leaf: Triple
    cell: Triple | None

    @property
    def octree(self) -> Octree:
        """The octree of the leaves."""
        return Octree(_divide(self.shape, self.leaf))

    def get_box(self, leaf: int) -> Box:
        """Return the voxels of a leaf; it may extend beyond the volume."""
        position = np.unravel_index(leaf, self.octree.shape)
        begin = triple([int(p) * size for p, size in zip(position, self.leaf)])
        return Box(begin, triple([b + size for b, size in zip(begin, self.leaf)]))

    def find_leaves(self, ids: np.ndarray) -> np.ndarray:
        """Return the number of the leaf of each fragment, int64 (n,), from the ids, uint64 (n,).

        Raises:
            ResourceError: the volume has too many voxels for coordinates of 64 bits.
        """
        cells = _divide(self.shape, self.cell or (1, 1, 1))
        side = self.cell or (1, 1, 1)
        volume = [int(n) * s for n, s in zip(cells, side)]
        check_range(volume[0] * volume[1] * volume[2], np.int64, "voxels", "divide the volume")
        numbers = (ids.astype(np.int64) - 1) // (side[0] * side[1] * side[2])
        result = np.zeros(len(ids), np.int64)
        for axis, leaves in enumerate(self.octree.shape):
            below = int(np.prod(cells[axis + 1 :], dtype=np.int64))
            position = numbers // below
            numbers = numbers - position * below
            result = result * leaves + position * side[axis] // self.leaf[axis]
        return result

    def to_json(self) -> dict[str, Any]:
        """Return the lattice as plain values, for ``from_json``."""
        return {"shape": list(self.shape), "leaf": list(self.leaf), "cell": self.cell and list(self.cell)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "FragmentLattice":
        """Return the lattice of values of ``to_json``."""
        cell = values["cell"]
        return cls(triple(values["shape"]), triple(values["leaf"]), None if cell is None else triple(cell))


def _divide(shape: Triple, side: Triple) -> Triple:
    """Return how many boxes cover a volume along each axis."""
    return triple([-(-size // edge) for size, edge in zip(shape, side)])
