"""Exact distances to label boundaries and to masks, in world units.

A boundary stands at the midpoint of the face between two neighboring voxels with different labels. The
distance from a voxel's centre to the nearest such midpoint is found without a grid of twice the resolution:

1. for each axis k, ``_faces_along`` finds on every line along k the nearest face across k: half a voxel, then
   whole steps;
2. ``_spread_along`` takes the squared distances along every other axis, as the lower envelope of parabolas;
3. the smallest over the axes counts. As both steps commute with the minimum, spreading is shared: five passes
   in 3D.

The envelope is that of P. Felzenszwalb and D. Huttenlocher, "Distance transforms of sampled functions",
Theory of Computing 8 (2012). Squared distances are stored as float32 and computed as float64, so a distance
is exact to 1e-7 of itself.
"""

from collections.abc import Sequence

import numba
import numpy as np

from attacca.errors import VolumeError
from attacca.predictors.label_arrays import unsigned_labels

_COLUMNS = 16  # lines that are treated together: one cache line of float32


@numba.njit(cache=True, nogil=True)
def _faces_along(labels, step, out):  # type: ignore[no-untyped-def]
    """``labels`` and ``out`` as (outer, axis, inner): squared distance to the nearest face across the
    axis."""
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
def _holes_along(mask, step, out):  # type: ignore[no-untyped-def]
    """As ``_faces_along``: squared distance to the nearest voxel with mask 0, or beyond either end."""
    outer, length, inner = mask.shape
    since = np.empty(inner, dtype=np.float32)
    one = np.float32(1.0)
    zero = np.float32(0.0)
    square = np.float32(step) * np.float32(step)
    for o in range(outer):
        since[:] = zero
        for i in range(length):
            for j in range(inner):
                d = zero if mask[o, i, j] == 0 else since[j] + one
                since[j] = d
                out[o, i, j] = d
        since[:] = zero
        for i in range(length - 1, -1, -1):
            for j in range(inner):
                d = zero if mask[o, i, j] == 0 else since[j] + one
                since[j] = d
                d = min(d, out[o, i, j])
                out[o, i, j] = d * d * square


@numba.njit(cache=True, nogil=True)
def _spread_along(squares, step):  # type: ignore[no-untyped-def]
    """In place, on the middle axis: the lower envelope of parabolas ``squares[q] + (step (p - q))**2``."""
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
            # a line without any finite value stays infinite


def _as_lines(array: np.ndarray, axis: int) -> np.ndarray:
    shape = array.shape
    outer = int(np.prod(shape[:axis], dtype=np.int64))
    inner = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    return array.reshape(outer, shape[axis], inner)


def boundary_distances(labels: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Distance from each voxel's centre to the nearest label boundary.

    Args:
        labels: spatial axes only, 1 to 3 of them; bool or any integer dtype.
        voxel_size: world units.

    Returns:
        float32, world units, at least half a voxel; infinite where there is no boundary. The border of the
        array is no boundary.
    """
    labels = np.ascontiguousarray(unsigned_labels(labels))
    steps = [float(size) for size in voxel_size]
    if len(steps) != labels.ndim or not 1 <= labels.ndim <= 3:
        raise VolumeError(f"labels of shape {labels.shape} do not fit a voxel size of {len(steps)} axes")
    nearest = np.empty(labels.shape, dtype=np.float32)
    if labels.size == 0:
        return nearest
    _faces_along(_as_lines(labels, 0), steps[0], _as_lines(nearest, 0))
    for axis in range(1, labels.ndim):
        _spread_along(_as_lines(nearest, axis), steps[axis])
        across = np.empty(labels.shape, dtype=np.float32)
        _faces_along(_as_lines(labels, axis), steps[axis], _as_lines(across, axis))
        for other in range(axis):
            _spread_along(_as_lines(across, other), steps[other])
        np.minimum(nearest, across, out=nearest)
        del across
    return np.sqrt(nearest, out=nearest)


def signed_distances(labels: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Distance to the nearest label boundary, positive inside objects, negative in the background (label 0).

    Touching objects are separated: both sides of their interface are positive. Without any boundary the
    distance is half the smallest extent of the array.

    Args:
        labels: as in ``boundary_distances``.

    Returns:
        float32, world units, the shape of ``labels``.
    """
    distances = boundary_distances(labels, voxel_size)
    if distances.size == 0:
        return distances
    if not np.isfinite(distances.flat[0]):
        distances[...] = min(n * size / 2 for n, size in zip(labels.shape, voxel_size))
    np.negative(distances, out=distances, where=labels == 0)
    return distances


def hole_distances(mask: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray:
    """Distance from each voxel's centre to that of the nearest voxel that is masked out or outside the array.

    Args:
        mask: spatial axes only; 0 where masked out.
        voxel_size: world units.

    Returns:
        float32, world units; 0 where masked out.
    """
    mask = np.ascontiguousarray(mask != 0).view(np.uint8)
    nearest = np.empty(mask.shape, dtype=np.float32)
    if mask.size == 0:
        return nearest
    _holes_along(_as_lines(mask, 0), float(voxel_size[0]), _as_lines(nearest, 0))
    for axis in range(1, mask.ndim):
        lines = _as_lines(nearest, axis)
        step = float(voxel_size[axis])
        _spread_along(lines, step)
        # outside is as near as the ends of the line, whatever stands on it
        index = np.arange(lines.shape[1], dtype=np.float32)
        outside = (np.minimum(index + 1, index[::-1] + 1) * np.float32(step)) ** 2
        np.minimum(lines, outside[np.newaxis, :, np.newaxis], out=lines)
    return np.sqrt(nearest, out=nearest)


@numba.njit(cache=True, nogil=True)
def _certain(distances, holes, mask, scale, epsilon, threshold, out):  # type: ignore[no-untyped-def]
    for i in range(distances.size):
        need = min(np.float32(abs(distances[i]) + epsilon), threshold)
        have = np.float64(holes[i])
        if scale > 0:
            have = np.tanh(have / scale)
        out[i] = mask[i] if have > need else 0


def certain_distances(
    distances: np.ndarray,
    mask: np.ndarray,
    voxel_size: Sequence[int],
    scale: float | None,
    epsilon: float = 0.05,
    threshold: float = 0.8,
) -> np.ndarray:
    """The part of a mask in which no boundary beyond the mask or the array could change a distance.

    A voxel stays if its distance to the nearest voxel that is masked out or outside, after ``tanh(d /
    scale)``, is larger than ``min(abs(distance) + epsilon, threshold)``.

    Args:
        distances: spatial axes only; already after tanh if ``scale`` is given.
        mask: of the same shape; integers.
        voxel_size: world units.
        scale: world units; None compares without tanh.

    Returns:
        ``mask``, in its dtype, with 0 where the distance is not certain.
    """
    holes = hole_distances(mask, voxel_size)
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
