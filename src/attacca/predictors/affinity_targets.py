"""Affinities of labels, the context of a neighborhood, masks of partners, and erosion of labels.

An affinity is 1 if a voxel and its partner, the voxel at an offset, belong to the same object: nearest-neighbor
affinities as in S. C. Turaga et al., "Convolutional networks can learn to generate affinity graphs for image
segmentation", Neural Computation 22 (2010); with long-range offsets as in K. Lee et al., "Superhuman accuracy on the
SNEMI3D connectomics challenge" (2017) and J. Funke et al., "Large scale image segmentation with structured loss based
deep learning for connectome reconstruction", IEEE TPAMI 41 (2019).
"""

from collections.abc import Sequence

import fastremap
import numba
import numpy as np
from funlib.geometry import Coordinate

from attacca.errors import VolumeError
from attacca.predictors.label_arrays import convert_to_unsigned

_ABSENT = np.uint32(0xFFFFFFFF)  # reserved: labels with this value are renumbered first


@numba.njit(cache=True, nogil=True)
def _narrow(labels, plane):  # type: ignore[no-untyped-def]
    """Copy labels as uint32; return whether all of them fit and differ from ``_ABSENT``."""
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
def _compare(own, partner, result):  # type: ignore[no-untyped-def]
    # Both sides are sliced before this loop: with indices from 0, the compiler vectorizes it.
    one = result.dtype.type(1)
    zero = result.dtype.type(0)
    for i in range(result.size):
        result[i] = one if own[i] == partner[i] else zero


@numba.njit(cache=True, nogil=True)
def _fill_affinities(labels, offsets, absent, out):  # type: ignore[no-untyped-def]
    """Fill ``out``; return False, with ``out`` incomplete, if a label does not fit into 32 bits.

    ``absent`` replaces background on one side of each comparison: ``_ABSENT``, or 0 if background counts as an
    object. Only the planes within reach of the offsets are kept as uint32, in a ring buffer. A plane is compared as
    one line, shifted by the offset; columns whose partners are on the next line are set to 0 afterwards.
    """
    depth, height, width = labels.shape
    size = height * width
    zero = out.dtype.type(0)
    lowest = min(0, offsets[:, 0].min())
    highest = max(0, offsets[:, 0].max())
    ring = min(depth, highest - lowest + 1)
    planes = np.empty((ring, size), dtype=np.uint32)
    own = np.empty(size, dtype=np.uint32)
    ready = 0
    for z in range(depth):
        while ready < min(depth, z + highest + 1):
            if not _narrow(labels[ready].reshape(size), planes[ready % ring]):
                return False
            ready += 1
        _replace(planes[z % ring], absent, own)
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
            _compare(own[first:last], planes[pz % ring, first + shift : last + shift], result[first:last])
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
    """Return whether each voxel belongs to the same object as its partners.

    Args:
        labels: (*spatial), 2D or 3D, bool or any integer dtype; 0 is background.
        neighborhood: offsets in voxels from a voxel to its partners, of any sign and length.
        background_as_object: give pairs of background voxels affinity 1.
        dtype: of the result; ``uint8`` and ``float32`` are fast.
        out: array to fill instead of a new one, of the result's shape; fastest if contiguous.

    Returns:
        (len(neighborhood), *labels.shape): 1 where ``labels(v) == labels(v + offset)`` and both are objects,
        otherwise 0. Partners outside the array give 0.

    Raises:
        VolumeError: labels or offsets do not have 2 or 3 axes, or different numbers of them.

    >>> labels = np.array([[1, 1, 2], [0, 0, 2]])
    >>> affinities(labels, [(0, 1), (1, 0)], dtype=np.uint8)
    array([[[1, 0, 0],
            [0, 0, 0]],
    <BLANKLINE>
           [[0, 0, 1],
            [0, 0, 0]]], dtype=uint8)
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
    labels = np.ascontiguousarray(convert_to_unsigned(labels))
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
    """Return the reach of partners beyond a region, below and above it, in world units; neither is negative.

    Args:
        neighborhood: offsets in voxels.
        voxel_size: world units per voxel.

    >>> padding([(1, 0, 0), (2, -3, 4)], (8, 4, 4))
    ((0, 12, 0), (16, 0, 16))
    """
    below = Coordinate(max(0, *(-offset[axis] for offset in neighborhood)) for axis in range(len(voxel_size)))
    above = Coordinate(max(0, *(offset[axis] for offset in neighborhood)) for axis in range(len(voxel_size)))
    return below * Coordinate(voxel_size), above * Coordinate(voxel_size)


def compute_partner_masks(mask: np.ndarray, neighborhood: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the product of a mask's values at each voxel and at its partners.

    Args:
        mask: (*spatial), any numeric dtype; 0 where masked out.
        neighborhood: offsets in voxels.

    Returns:
        (len(neighborhood), *mask.shape), dtype of ``mask``: ``mask(v) * mask(v + offset)``, 0 if the partner is
        outside the array.

    >>> compute_partner_masks(np.array([1, 1, 0, 1]), [(1,), (-3,)])
    array([[1, 0, 0, 0],
           [0, 0, 0, 1]])
    """
    masks = np.zeros((len(neighborhood), *mask.shape), dtype=mask.dtype)
    for channel, offset in zip(masks, neighborhood):
        if all(abs(step) < size for step, size in zip(offset, mask.shape)):
            own = tuple(slice(max(0, -step), size - max(0, step)) for step, size in zip(offset, mask.shape))
            partner = tuple(
                slice(max(0, step), size - max(0, -step)) for step, size in zip(offset, mask.shape)
            )
            np.multiply(mask[own], mask[partner], out=channel[own])
    return masks


def erode_labels(labels: np.ndarray, iterations: int) -> np.ndarray:
    """Set the outermost voxels of each object to background, ``iterations`` times.

    A voxel is outermost if one of its face neighbors has another label. The border of the array does not count as a
    boundary.

    Args:
        labels: (*spatial), any integer dtype; 0 is background.
        iterations: number of erosions.

    >>> erode_labels(np.array([1, 1, 1, 2, 2, 2]), 1)
    array([1, 1, 0, 0, 2, 2])
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
