"""What stands beyond the border of a volume, as indices of voxels inside it."""

import numpy as np

from attacca.errors import VolumeError


def mirrored(index: np.ndarray, size: int, rule: str) -> np.ndarray:
    """Indices inside ``range(size)`` that stand for any integer indices.

    ``"edge"`` repeats the outermost voxel; ``"reflect"`` mirrors at the outermost voxel's centre with period
    2 (size - 1), so that a margin of any width is defined.

    >>> mirrored(np.arange(-4, 6), 3, "reflect").tolist()
    [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    if rule == "edge" or (rule == "reflect" and size == 1):
        return np.clip(index, 0, size - 1)
    if rule == "reflect":
        period = 2 * (size - 1)
        index = index % period
        return np.minimum(index, period - index)
    raise VolumeError(f"unknown rule {rule!r} beyond the border; known are a number, 'reflect' and 'edge'")
