"""Boxes of voxels, for kernels that know three axes and no world units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Triple = tuple[int, int, int]


def triple(values: Sequence[int], fill: int = 0) -> Triple:
    """Return two or three numbers as three; a plane gets ``fill`` as its z.

    >>> triple((5, 6), fill=1)
    (1, 5, 6)
    """
    z, y, x = [fill] * (3 - len(values)) + [int(value) for value in values]
    return z, y, x


@dataclass(frozen=True)
class Box:
    """Voxels from ``begin`` up to but excluding ``end``, in z, y, x.

    >>> block = Box((0, 0, 0), (4, 8, 8))
    >>> block.shape, block.grow((0, 2, 2), (0, 2, 2)).intersect(Box((0, 0, 0), (9, 9, 9)))
    ((4, 8, 8), Box(begin=(0, 0, 0), end=(4, 9, 9)))
    """

    begin: Triple
    end: Triple

    @property
    def shape(self) -> Triple:
        """Number of voxels along each axis."""
        return triple([end - begin for begin, end in zip(self.begin, self.end)])

    def grow(self, lower: Sequence[int], upper: Sequence[int]) -> "Box":
        """Return the box with ``lower`` more voxels below and ``upper`` more above."""
        begin = [b - extra for b, extra in zip(self.begin, lower)]
        return Box(triple(begin), triple([e + extra for e, extra in zip(self.end, upper)]))

    def intersect(self, other: "Box") -> "Box":
        """Return the voxels that are in both boxes."""
        begin = [max(a, b) for a, b in zip(self.begin, other.begin)]
        end = [max(b, min(e, f)) for b, e, f in zip(begin, self.end, other.end)]
        return Box(triple(begin), triple(end))

    def shift(self, origin: Sequence[int]) -> "Box":
        """Return the box relative to ``origin``."""
        begin = triple([b - o for b, o in zip(self.begin, origin)])
        return Box(begin, triple([e - o for e, o in zip(self.end, origin)]))

    def slices(self, origin: Triple = (0, 0, 0)) -> tuple[slice, slice, slice]:
        """Return the slices of the box in an array whose first voxel is ``origin``."""
        z, y, x = (slice(b - o, e - o) for b, e, o in zip(self.begin, self.end, origin))
        return z, y, x

    def to_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``begin`` and ``end`` as int64 arrays, for kernels."""
        return np.array(self.begin, np.int64), np.array(self.end, np.int64)
