"""Exact distances to label boundaries and to masks, in world units.

A label boundary is a set of points: the midpoints of the faces between neighboring voxels with different labels.
The distance from the center of a voxel to the nearest midpoint is computed without a grid of twice the resolution:

1. For each axis k, ``_find_faces_along`` finds the nearest face across k on each line along k: half a voxel, then
   whole steps.
2. ``_spread_along`` extends the squared distances along each other axis, as the lower envelope of parabolas.
3. The minimum over the axes is the result. Both steps commute with the minimum, so spreading is shared: five passes
   in 3D.

The lower envelope follows P. Felzenszwalb and D. Huttenlocher, "Distance transforms of sampled functions", Theory of
Computing 8 (2012). Squared distances are stored as float32 and computed as float64: the relative error of a distance
is below 1e-7.

The package ``edt`` gives the distance to the center of the nearest voxel outside a mask (``compute_hole_distances``). It
does not give the distance to the midpoints of faces, which is DaCapo's target: half a voxel less along an axis, and
another amount across a diagonal. For these, ``edt`` needs a grid of twice the resolution: eight times the memory.
"""

from collections.abc import Sequence

import edt
import numba
import numpy as np

from attacca.errors import VolumeError
from attacca.predictors.label_arrays import convert_to_unsigned

_COLUMNS = 16  # lines that are processed together: one cache line of float32


@numba.njit(cache=True, nogil=True)
def _find_faces_along(labels, step, out):  # type: ignore[no-untyped-def]
    """Write the squared distance to the nearest face across the middle axis of (outer, axis, inner) to ``out``."""
    outer, length, inner = labels.shape
    since = np.empty(inner, dtype=np.float32)
    infinite = np.float32(np.inf)
    one = np.float32(1.0)
    half = np.float32(0.5)
    square = np.float32(step) * np.float32(step)
    for o in range(outer):
        since[:] = infinite
        for j in range(inner):
            out[o, 0, j] = infinite
        for i in range(1, length):
            for j in range(inner):
                d = half if labels[o, i, j] != labels[o, i - 1, j] else since[j] + one
                since[j] = d
                out[o, i, j] = d
        since[:] = infinite
        for i in range(length - 1, -1, -1):
            for j in range(inner):
                d = since[j] + one
                if i + 1 < length and labels[o, i, j] != labels[o, i + 1, j]:
                    d = half
                since[j] = d
                d = min(d, out[o, i, j])
                out[o, i, j] = d * d * square


@numba.njit(cache=True, nogil=True)
def _spread_along(squares, step):  # type: ignore[no-untyped-def]
    """Replace ``squares[p]`` by the minimum of ``squares[q] + (step (p - q))**2`` over q, along the middle axis.

    ``attacca.evaluators.distance_transform._envelope`` is its counterpart for scores. That one works on exact
    integers; here squared distances are fractions (faces are half a voxel away), stored as float32 to save memory.
    """
    outer, length, inner = squares.shape
    lines = np.empty((_COLUMNS, length), dtype=np.float32)
    apex = np.empty(length, dtype=np.int64)
    height = np.empty(length, dtype=np.float64)
    start = np.empty(length + 1, dtype=np.float64)
    weight = np.float64(step) * np.float64(step)
    for o in range(outer):
        for first in range(0, inner, _COLUMNS):
            count = min(_COLUMNS, inner - first)
            for i in range(length):
                for j in range(count):
                    lines[j, i] = squares[o, i, first + j]
            for j in range(count):
                line = lines[j]
                top = -1
                for q in range(length):
                    if not np.isfinite(line[q]):
                        continue
                    h = np.float64(line[q]) / weight + np.float64(q) * q
                    where = -np.inf
                    while top >= 0:
                        where = (h - height[top]) / (2 * (q - apex[top]))
                        if where > start[top]:
                            break
                        top -= 1
                    if top < 0:
                        where = -np.inf
                    top += 1
                    apex[top] = q
                    height[top] = h
                    start[top] = where
                if top < 0:
                    continue
                start[top + 1] = np.inf
                k = 0
                for p in range(length):
                    while start[k + 1] < p:
                        k += 1
                    d = np.float64(p - apex[k])
                    base = height[k] - np.float64(apex[k]) * apex[k]
                    squares[o, p, first + j] = np.float32((base + d * d) * weight)
            # A line without finite values stays infinite.


def _as_lines(array: np.ndarray, axis: int) -> np.ndarray:
    shape = array.shape
    outer = int(np.prod(shape[:axis], dtype=np.int64))
    inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    return array.reshape(outer, shape[axis], inner)


def compute_boundary_distances(labels: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Return the distance from the center of each voxel to the nearest label boundary.

    Args:
        labels: (*spatial) with 1 to 3 axes; bool or any integer dtype.
        voxel_size: world units per voxel, one per axis.

    Returns:
        float32, shape of ``labels``, world units, at least half a voxel; infinite without any boundary. The
        border of the array does not count as a boundary.

    Raises:
        VolumeError: the number of axes is not that of the voxel size, or not 1 to 3.

    >>> compute_boundary_distances(np.array([1, 1, 1, 2]), [10])
    array([25., 15.,  5.,  5.], dtype=float32)
    """
    labels = np.ascontiguousarray(convert_to_unsigned(labels))
    steps = [float(size) for size in voxel_size]
    if len(steps) != labels.ndim or not 1 <= labels.ndim <= 3:
        raise VolumeError(f"labels of shape {labels.shape} do not fit a voxel size of {len(steps)} axes")
    nearest = np.empty(labels.shape, dtype=np.float32)
    if labels.size == 0:
        return nearest
    _find_faces_along(_as_lines(labels, 0), steps[0], _as_lines(nearest, 0))
    for axis in range(1, labels.ndim):
        _spread_along(_as_lines(nearest, axis), steps[axis])
        across = np.empty(labels.shape, dtype=np.float32)
        _find_faces_along(_as_lines(labels, axis), steps[axis], _as_lines(across, axis))
        for other in range(axis):
            _spread_along(_as_lines(across, other), steps[other])
        np.minimum(nearest, across, out=nearest)
        del across
    return np.sqrt(nearest, out=nearest)


def compute_signed_distances(labels: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Return the distance to the nearest label boundary, positive in objects, negative in the background (label 0).

    Touching objects are separated: both sides of their interface are positive. Without any boundary, the distance
    is half the smallest extent of the array.

    Args:
        labels: (*spatial) with 1 to 3 axes; bool or any integer dtype.
        voxel_size: world units per voxel, one per axis.

    Returns:
        float32, shape of ``labels``, world units.

    Raises:
        VolumeError: as of ``compute_boundary_distances``.

    >>> compute_signed_distances(np.array([0, 0, 7, 7, 3]), [4])
    array([-6., -2.,  2.,  2.,  2.], dtype=float32)
    """
    distances = compute_boundary_distances(labels, voxel_size)
    if distances.size == 0:
        return distances
    if not np.isfinite(distances.flat[0]):
        distances[...] = min(n * size / 2 for n, size in zip(labels.shape, voxel_size))
    np.negative(distances, out=distances, where=labels == 0)
    return distances


def compute_hole_distances(mask: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Return the distance from the center of each voxel to that of the nearest voxel masked out or outside the array.

    Args:
        mask: (*spatial), 0 where masked out; any dtype.
        voxel_size: world units per voxel, one per axis.

    Returns:
        float32, shape of ``mask``, world units; 0 where masked out.

    >>> compute_hole_distances(np.array([1, 1, 1, 0, 1]), [10])
    array([10., 20., 10.,  0., 10.], dtype=float32)
    """
    mask = np.ascontiguousarray(mask != 0).view(np.uint8)
    if mask.size == 0:
        return np.empty(mask.shape, dtype=np.float32)
    steps = tuple(float(size) for size in voxel_size)
    return edt.edt(mask, anisotropy=steps if mask.ndim > 1 else steps[0], black_border=True, parallel=1)


@numba.njit(cache=True, nogil=True)
def _certain(distances, holes, mask, scale, epsilon, threshold, out):  # type: ignore[no-untyped-def]
    for i in range(distances.size):
        need = min(np.float32(abs(distances[i]) + epsilon), threshold)
        have = np.float64(holes[i])
        if scale > 0:
            have = np.tanh(have / scale)
        out[i] = mask[i] if have > need else 0


def mask_uncertain_distances(
    distances: np.ndarray,
    mask: np.ndarray,
    voxel_size: Sequence[int],
    scale: float | None,
    epsilon: float = 0.05,
    threshold: float = 0.8,
) -> np.ndarray:
    """Set a mask to 0 where a boundary outside the mask or the array could change a distance.

    A voxel is kept if its distance to the nearest voxel that is masked out or outside, after ``tanh(d / scale)``,
    exceeds ``min(abs(distance) + epsilon, threshold)``.

    Args:
        distances: signed, (*spatial); after tanh if ``scale`` is given, otherwise in world units.
        mask: shape of ``distances``; bool or integers.
        voxel_size: world units per voxel, one per axis.
        scale: world units; None compares without tanh.
        epsilon: margin, in the unit of ``distances``; larger values mask more.
        threshold: distances above it are kept at this distance from the border of the mask.

    Returns:
        a copy of ``mask``, in its dtype, with 0 where distances are uncertain.

    >>> distances = np.array([25, 15, 5, -5, -15], dtype=np.float32)
    >>> mask_uncertain_distances(distances, np.ones(5, np.uint8), [10], None, threshold=100.0)
    array([0, 1, 1, 1, 0], dtype=uint8)
    """
    holes = compute_hole_distances(mask, voxel_size)
    values = np.ascontiguousarray(mask.view(np.uint8) if mask.dtype == bool else mask)
    kept = np.empty(values.shape, dtype=values.dtype)
    _certain(
        np.ascontiguousarray(distances, dtype=np.float32).ravel(),
        holes.ravel(),
        values.ravel(),
        np.float64(0.0 if scale is None else scale),
        np.float32(epsilon),
        np.float32(threshold),
        kept.ravel(),
    )
    return kept.view(mask.dtype)
