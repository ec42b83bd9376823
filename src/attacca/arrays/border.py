"""Voxel indices that continue a volume beyond its border."""

import numpy as np

from attacca.errors import VolumeError


def map_to_inside(index: np.ndarray, size: int, rule: str) -> np.ndarray:
    """Map any integer indices to indices of ``range(size)``.

    Args:
        index: int64 array of any shape.
        size: number of voxels along the axis.
        rule: ``"edge"`` repeats the outermost voxel; ``"reflect"`` mirrors at the center of the outermost voxel with
            period ``2 * (size - 1)``, so that a margin of any width is defined.

    Raises:
        VolumeError: the rule is unknown.

    >>> map_to_inside(np.arange(-4, 6), 3, "reflect").tolist()
    [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
    >>> map_to_inside(np.arange(-2, 5), 3, "edge").tolist()
    [0, 0, 0, 1, 2, 2, 2]
    """
    if rule == "edge" or (rule == "reflect" and size == 1):
        return np.clip(index, 0, size - 1)
    if rule == "reflect":
        period = 2 * (size - 1)
        index = index % period
        return np.minimum(index, period - index)
    raise VolumeError(f"fill: found {rule!r}, expected a number, 'reflect' or 'edge'")
