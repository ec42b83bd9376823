"""The octree of a volume: leaves, and boxes of up to eight leaves, of up to eight of these, up to the whole volume."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from attacca.segmentation.box import Triple, triple


@dataclass(frozen=True)
class Octree:
    """Boxes of all levels; level 0 has the leaves, and the last level has one box.

    Args:
        shape: number of leaves along z, y, x.

    >>> octree = Octree((1, 3, 5))
    >>> octree.num_levels, octree.get_shape(1), octree.list_children(1, 2)
    (4, (1, 2, 3), [4, 9])
    """

    shape: Triple

    @property
    def num_levels(self) -> int:
        """Number of levels; 1 if the volume is one leaf."""
        return 1 + (max(self.shape) - 1).bit_length()

    def get_shape(self, level: int) -> Triple:
        """Return the number of boxes of a level along z, y, x."""
        return triple([-(-size >> level) if size else 0 for size in map(int, self.shape)])

    def count(self, level: int) -> int:
        """Return the number of boxes of a level."""
        z, y, x = self.get_shape(level)
        return z * y * x

    def list_children(self, level: int, number: int) -> list[int]:
        """Return the numbers of the boxes of the level below that make up a box."""
        below = self.get_shape(level - 1)
        position = np.unravel_index(number, self.get_shape(level))
        ranges = [range(2 * int(p), min(2 * int(p) + 2, size)) for p, size in zip(position, below)]
        return [int(np.ravel_multi_index(child, below)) for child in product(*ranges)]

    def find_boxes(self, leaves: np.ndarray, level: int) -> np.ndarray:
        """Return the box of a level that contains each leaf.

        Args:
            leaves: int64 (n,), numbers of leaves.
            level: level of the boxes.

        >>> Octree((1, 3, 5)).find_boxes(np.array([4, 9, 14]), 1)
        array([2, 2, 5])
        """
        shape = self.get_shape(level)
        positions = np.unravel_index(leaves, self.shape)
        return np.ravel_multi_index([axis >> level for axis in positions], shape)

    def divide(self, count: int) -> tuple[int, np.ndarray]:
        """Divide the leaves into shards of whole boxes, of the highest level at which shards are of similar size.

        Args:
            count: number of shards.

        Returns:
            The level, at which the largest shard has at most a quarter more leaves than a mean one, or 0; and the shard of
            each leaf, int64 (n,).

        >>> level, shards = Octree((1, 3, 5)).divide(3)
        >>> level, np.bincount(shards).tolist()
        (1, [4, 6, 5])
        """
        leaves = np.arange(self.count(0))
        for level in range(self.num_levels - 1, -1, -1):
            boxes = self.find_boxes(leaves, level)
            sizes = np.bincount(boxes)
            # The shard that contains the middle leaf of the box.
            shards = ((2 * np.cumsum(sizes) - sizes) * count // (2 * len(leaves)))[boxes]
            if level == 0 or 4 * count * np.bincount(shards).max() <= 5 * len(leaves):
                break
        return level, shards

    def find_common_levels(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the lowest level at which two leaves are in one box, int64 (n,).

        Args:
            a: int64 (n,), numbers of leaves.
            b: int64 (n,), numbers of leaves.

        >>> Octree((1, 3, 5)).find_common_levels(np.array([0, 0, 0]), np.array([0, 1, 4]))
        array([0, 1, 3])
        """
        levels = np.zeros(len(a), np.int64)
        for level in range(self.num_levels - 1):
            levels += self.find_boxes(a, level) != self.find_boxes(b, level)
        return levels
