"""Affinities of label volumes, with the context of a neighborhood, eroded labels and masks of partners."""

from collections.abc import Sequence

import fastremap
import numba
import numpy as np
from funlib.geometry import Coordinate

from attacca.errors import VolumeError
from attacca.predictors.label_arrays import unsigned_labels

_ABSENT = np.uint32(0xFFFFFFFF)  # a label that no volume with 32-bit labels may have


@numba.njit(cache=True, nogil=True)
def _narrow(labels, plane):  # type: ignore[no-untyped-def]
    """Copy as uint32; does every label fit, and differ from ``_ABSENT``?"""
    excess = np.uint64(0)
    for i in range(plane.size):
        value = np.uint64(labels[i])
        excess |= (value + np.uint64(1)) >> np.uint64(32)
        plane[i] = np.uint32(value)
    return excess == np.uint64(0)


@numba.njit(cache=True, nogil=True)
def _replace(labels, absent, plane):  # type: ignore[no-untyped-def]
    for i in range(plane.size):
        plane[i] = absent if labels[i] == 0 else labels[i]


@numba.njit(cache=True, nogil=True)
def _compare(here, there, result):  # type: ignore[no-untyped-def]
    # both sides are cut before this loop, so that its indices start at 0 and the compiler can use vectors
    one = result.dtype.type(1)
    zero = result.dtype.type(0)
    for i in range(result.size):
        result[i] = one if here[i] == there[i] else zero


@numba.njit(cache=True, nogil=True)
def _fill_affinities(labels, offsets, absent, out):  # type: ignore[no-untyped-def]
    """Fill ``out``; False if a label does not fit into 32 bits, with ``out`` unfinished.

    ``absent`` replaces background on one side of each comparison: ``_ABSENT``, or 0 where background is an
    object. Only the planes that offsets reach are held as uint32, in a ring. A plane is compared as one line,
    shifted by the offset; columns whose partners are on the next line are set to 0 afterwards.
    """
    depth, height, width = labels.shape
    size = height * width
    zero = out.dtype.type(0)
    lowest = min(0, offsets[:, 0].min())
    highest = max(0, offsets[:, 0].max())
    ring = min(depth, highest - lowest + 1)
    planes = np.empty((ring, size), dtype=np.uint32)
    here = np.empty(size, dtype=np.uint32)
    ready = 0
    for z in range(depth):
        while ready < min(depth, z + highest + 1):
            if not _narrow(labels[ready].reshape(size), planes[ready % ring]):
                return False
            ready += 1
        _replace(planes[z % ring], absent, here)
        for e in range(offsets.shape[0]):
            result = out[e, z].reshape(size)
            pz = z + offsets[e, 0]
            dy = offsets[e, 1]
            dx = offsets[e, 2]
            if pz < 0 or pz >= depth or abs(dy) >= height or abs(dx) >= width:
                result[:] = zero
                continue
            shift = dy * width + dx
            first = max(0, -shift)
            last = min(size, size - shift)
            result[:first] = zero
            result[last:] = zero
            _compare(here[first:last], planes[pz % ring, first + shift : last + shift], result[first:last])
            if dx > 0:
                out[e, z, :, width - dx :] = zero
            elif dx < 0:
                out[e, z, :, :-dx] = zero
    return True


def affinities(
    labels: np.ndarray,
    neighborhood: Sequence[Sequence[int]],
    background_as_object: bool = False,
    dtype: type | np.dtype = np.float32,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Which voxels belong to the same object as their partners.

    Args:
        labels: 2 or 3 spatial axes; 0 is background.
        neighborhood: offsets in voxels from a voxel to its partner, of any sign and length.
        background_as_object: let pairs of background voxels count as one object.
        dtype: of the result; ``uint8`` and ``float32`` are fast.
        out: array of the result's shape to fill instead of a new one; fastest if contiguous.

    Returns:
        (len(neighborhood), *labels.shape): 1 where ``labels(v) == labels(v + offset)`` and both are
        objects, else 0; a partner outside the array gives 0.
    """
    if labels.ndim not in (2, 3):
        raise VolumeError(f"affinities need labels with 2 or 3 axes; these have the shape {labels.shape}")
    offsets = np.array([list(offset) for offset in neighborhood], dtype=np.int64).reshape(
        len(neighborhood), -1
    )
    if offsets.shape[1] != labels.ndim:
        raise VolumeError(
            f"offsets with {offsets.shape[1]} axes do not fit labels of the shape {labels.shape}"
        )
    labels = np.ascontiguousarray(unsigned_labels(labels))
    shape = (len(offsets), *labels.shape)
    direct = out is not None and out.flags.c_contiguous
    result = out if direct else np.empty(shape, dtype=dtype if out is None else out.dtype)
    assert result is not None
    lift = (1,) * (3 - labels.ndim)
    offsets = np.pad(offsets, ((0, 0), (3 - labels.ndim, 0)))
    absent = np.uint32(0) if background_as_object else _ABSENT
    filled = result.reshape(len(offsets), *lift, *labels.shape)
    if not _fill_affinities(labels.reshape(*lift, *labels.shape), offsets, absent, filled):
        dense, _ = fastremap.renumber(labels, preserve_zero=True)
        _fill_affinities(dense.reshape(*lift, *labels.shape), offsets, absent, filled)
    if out is not None and not direct:
        out[...] = result
        return out
    return result


def padding(
    neighborhood: Sequence[Sequence[int]], voxel_size: Sequence[int]
) -> tuple[Coordinate, Coordinate]:
    """World units that partners reach beyond a region, below and above it; neither is negative.

    >>> padding([(1, 0, 0), (2, -3, 4)], (8, 4, 4))
    ((0, 12, 0), (16, 0, 16))
    """
    below = Coordinate(max(0, *(-offset[axis] for offset in neighborhood)) for axis in range(len(voxel_size)))
    above = Coordinate(max(0, *(offset[axis] for offset in neighborhood)) for axis in range(len(voxel_size)))
    return below * Coordinate(voxel_size), above * Coordinate(voxel_size)


def partner_masks(mask: np.ndarray, neighborhood: Sequence[Sequence[int]]) -> np.ndarray:
    """The part of a mask where the partner is in it too.

    Args:
        mask: spatial axes only; a number for each voxel, 0 where masked out.

    Returns:
        (len(neighborhood), *mask.shape) in the dtype of ``mask``: ``mask(v) * mask(v + offset)``, 0 where
        the partner is outside the array.
    """
    masks = np.zeros((len(neighborhood), *mask.shape), dtype=mask.dtype)
    for channel, offset in zip(masks, neighborhood):
        if all(abs(step) < size for step, size in zip(offset, mask.shape)):
            here = tuple(slice(max(0, -step), size - max(0, step)) for step, size in zip(offset, mask.shape))
            there = tuple(slice(max(0, step), size - max(0, -step)) for step, size in zip(offset, mask.shape))
            np.multiply(mask[here], mask[there], out=channel[here])
    return masks


def erode_labels(labels: np.ndarray, iterations: int) -> np.ndarray:
    """Labels with the outermost voxels of each object turned into background, ``iterations`` times.

    A voxel is outermost if one of its face neighbors has another label; the border of the array is no
    boundary.
    """
    for _ in range(iterations):
        border = np.zeros(labels.shape, dtype=bool)
        for axis in range(labels.ndim):
            low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
            high = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
            change = labels[low] != labels[high]
            border[low] |= change
            border[high] |= change
        labels = np.where(border, labels.dtype.type(0), labels)
    return labels
