"""Exact squared Euclidean distances to the nearest voxel of a set, along one axis after the other.

A. Meijster, J. B. T. M. Roerdink, W. H. Hesselink, "A general algorithm for computing distance transforms in
linear time" (2000), with a voxel size for each axis. All numbers are integers, so the result is exact, and
each axis is a separate pass over independent lines, so that a volume of any size is processed pencil by pencil.

The package ``edt`` does neither: it gives float32 distances, of arrays that are in memory as a whole.
"""

import math
from collections.abc import Sequence

import numba
import numpy as np

NOWHERE = np.iinfo(np.int64).max
"""Squared distance where the set is empty."""

_TILE = 32


def distance_unit(voxel_size: Sequence[int]) -> int:
    """The greatest common divisor of the voxel size: the length in which this module measures."""
    return math.gcd(*(int(size) for size in voxel_size))


def squared_distances(inside: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Squared distance of each voxel to the nearest voxel of a set, between centres.

    Args:
        inside: the set, bool, any number of axes.
        voxel_size: whole world units, one for each axis.

    Returns:
        int64, shape of ``inside``, in units of ``distance_unit(voxel_size)`` squared; ``NOWHERE`` for an
        empty set.
    """
    if inside.ndim != len(voxel_size):
        raise ValueError(f"{inside.ndim} axes and a voxel size of {len(voxel_size)} do not fit")
    unit = distance_unit(voxel_size)
    steps = [int(size) // unit for size in voxel_size]
    distances = first_pass(inside, 0, steps[0])
    for axis in range(1, inside.ndim):
        next_pass(distances, axis, steps[axis])
    return distances


def first_pass(inside: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Squared distance along one axis, to the nearest voxel of the set on the same line.

    Args:
        inside: the set, bool; whole lines along ``axis``.
        axis: along which distances are measured.
        step: distance of neighboring voxels along it.

    Returns:
        int64, shape of ``inside``; ``NOWHERE`` on lines without such a voxel.
    """
    inside = np.ascontiguousarray(inside, np.bool_)
    result = np.empty(inside.shape, np.int64)
    lines = _as_lines(inside.shape, axis)
    _scan(inside.reshape(lines), result.reshape(lines), step)
    return result


def next_pass(distances: np.ndarray, axis: int, step: int) -> None:
    """Replace squared distances over some axes by those over one more.

    Args:
        distances: int64, contiguous, whole lines along ``axis``; changed in place.
        axis: the additional axis.
        step: distance of neighboring voxels along it.
    """
    _envelope(distances.reshape(_as_lines(distances.shape, axis)), step)


def _as_lines(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


@numba.njit(cache=True, nogil=True)
def _scan(inside: np.ndarray, result: np.ndarray, step: int) -> None:
    outer, n, inner = inside.shape
    last = np.empty(inner, np.int64)
    for o in range(outer):
        last[:] = -1
        for i in range(n):
            for j in range(inner):
                if inside[o, i, j]:
                    last[j] = i
                result[o, i, j] = NOWHERE if last[j] < 0 else i - last[j]
        last[:] = -1
        for i in range(n - 1, -1, -1):
            for j in range(inner):
                if inside[o, i, j]:
                    last[j] = i
                nearest = result[o, i, j]
                if last[j] >= 0 and last[j] - i < nearest:
                    nearest = last[j] - i
                result[o, i, j] = nearest if nearest == NOWHERE else nearest * nearest * step * step


@numba.njit(cache=True, nogil=True)
def _envelope(volume: np.ndarray, step: int) -> None:
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
                # apex: the parabolas of the lower envelope, from left to right; start: where each begins to
                # be the lowest.
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
