"""Exact squared Euclidean distance transform, one axis after the other.

Algorithm: A. Meijster, J. B. T. M. Roerdink, W. H. Hesselink, "A general algorithm for computing distance
transforms in linear time" (2000), with a voxel size for each axis.

The ``edt`` package, which other rooms use, computes whole arrays in float32. Scores need what it does not have:
exact integers, so that sums do not depend on blocks, and passes over independent lines, so that a volume of any
size is processed pencil by pencil.
"""

import math
from collections.abc import Sequence

import numba
import numpy as np

NOWHERE = np.iinfo(np.int64).max
"""Squared distance to an empty set."""

_TILE = 32


def compute_distance_unit(voxel_size: Sequence[int]) -> int:
    """Return the length unit of the distances: the greatest common divisor of the voxel size.

    Examples:
        >>> compute_distance_unit((40, 4, 4))
        4
    """
    return math.gcd(*(int(size) for size in voxel_size))


def compute_squared_distances(foreground: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Return the squared distance between the centers of each voxel and the nearest foreground voxel.

    Args:
        foreground: bool, any number of axes.
        voxel_size: world units, integer, one per axis.

    Returns:
        int64, shape of ``foreground``, in units of ``compute_distance_unit(voxel_size)`` squared; ``NOWHERE`` without
        foreground.

    Raises:
        ValueError: the numbers of axes differ.

    Examples:
        >>> compute_squared_distances(np.array([[True, False, False], [False, False, False]]), (40, 4))
        array([[  0,   1,   4],
               [100, 101, 104]])
    """
    if foreground.ndim != len(voxel_size):
        raise ValueError(
            f"voxel_size: found {len(voxel_size)} numbers, expected one for each of {foreground.ndim} axes"
        )
    unit = compute_distance_unit(voxel_size)
    steps = [int(size) // unit for size in voxel_size]
    distances = scan_axis(foreground, 0, steps[0])
    for axis in range(1, foreground.ndim):
        extend_along_axis(distances, axis, steps[axis])
    return distances


def scan_axis(foreground: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Return the squared distance along one axis to the nearest foreground voxel on the same line.

    Args:
        foreground: bool, complete along ``axis``.
        axis: axis along which distances are measured.
        step: distance of neighboring voxels along the axis, in distance units.

    Returns:
        int64, shape of ``foreground``; ``NOWHERE`` on lines without foreground.

    Examples:
        >>> scan_axis(np.array([[True, False, False]]), axis=1, step=2)
        array([[ 0,  4, 16]])
    """
    foreground = np.ascontiguousarray(foreground, np.bool_)
    result = np.empty(foreground.shape, np.int64)
    lines = _as_lines(foreground.shape, axis)
    _scan(foreground.reshape(lines), result.reshape(lines), step)
    return result


def extend_along_axis(distances: np.ndarray, axis: int, step: int) -> None:
    """Extend squared distances by one axis, in place.

    Args:
        distances: squared distances over the axes of earlier passes, int64, contiguous, complete along
            ``axis``; replaced by those over these axes and ``axis``.
        axis: the additional axis.
        step: distance of neighboring voxels along the axis, in distance units.

    Examples:
        >>> distances = np.array([[0, NOWHERE, NOWHERE]])
        >>> extend_along_axis(distances, axis=1, step=2)
        >>> distances.tolist()
        [[0, 4, 16]]
    """
    _envelope(distances.reshape(_as_lines(distances.shape, axis)), step)


def _as_lines(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


@numba.njit(cache=True, nogil=True)
def _scan(foreground: np.ndarray, result: np.ndarray, step: int) -> None:
    outer, n, inner = foreground.shape
    last = np.empty(inner, np.int64)
    for o in range(outer):
        last[:] = -1
        for i in range(n):
            for j in range(inner):
                if foreground[o, i, j]:
                    last[j] = i
                result[o, i, j] = NOWHERE if last[j] < 0 else i - last[j]
        last[:] = -1
        for i in range(n - 1, -1, -1):
            for j in range(inner):
                if foreground[o, i, j]:
                    last[j] = i
                nearest = result[o, i, j]
                if last[j] >= 0 and last[j] - i < nearest:
                    nearest = last[j] - i
                result[o, i, j] = nearest if nearest == NOWHERE else nearest * nearest * step * step


@numba.njit(cache=True, nogil=True)
def _envelope(volume: np.ndarray, step: int) -> None:
    """Replace squared distances by the lower envelope of their parabolas along the middle axis, in place.

    ``attacca.predictors.distances._spread_along`` is its counterpart for targets. That one works on floats,
    because faces are half a voxel away; here distances are exact integers, so that scores do not depend on blocks.
    """
    outer, n, inner = volume.shape
    lines = np.empty((_TILE, n), np.int64)
    apex = np.empty(n, np.int64)
    start = np.empty(n, np.int64)
    square = step * step
    for o in range(outer):
        for first in range(0, inner, _TILE):
            width = min(_TILE, inner - first)
            for i in range(n):
                for j in range(width):
                    lines[j, i] = volume[o, i, first + j]
            for j in range(width):
                line = lines[j]
                # Lower envelope of parabolas, from left to right: apex has their centers, start the first
                # voxel at which each is the lowest.
                top = -1
                for u in range(n):
                    height = line[u]
                    if height == NOWHERE:
                        continue
                    while top >= 0:
                        x = start[top]
                        v = apex[top]
                        if line[v] + (x - v) * (x - v) * square > height + (x - u) * (x - u) * square:
                            top -= 1
                        else:
                            break
                    if top < 0:
                        top = 0
                        apex[0] = u
                        start[0] = 0
                    else:
                        v = apex[top]
                        x = 1 + (height - line[v] + square * (u * u - v * v)) // (2 * square * (u - v))
                        if x < n:
                            top += 1
                            apex[top] = u
                            start[top] = x
                if top < 0:
                    continue
                end = n
                for k in range(top, -1, -1):
                    v = apex[k]
                    for x in range(start[k], end):
                        volume[o, x, first + j] = line[v] + (x - v) * (x - v) * square
                    end = start[k]
