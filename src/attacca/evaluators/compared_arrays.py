"""Pairs of arrays that are compared: opening, checks, common region, blocks."""

from collections.abc import Sequence

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise.grid import BlockGrid
from attacca.errors import VolumeError

COMPARED_VOXELS = 1 << 23
"""Maximum voxels of a block by default: 203 x 203 x 203."""

# Measured: 23 bytes per voxel for borders and components, and two volumes of 8 bytes per voxel.
BYTES_PER_VOXEL = 40
"""Memory for the comparison of a block, per voxel."""


def open_array(array: LocalArrayIdentifier | Array) -> Array:
    """Return the array itself, or open it for reading if its location is given.

    Examples:
        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(
        ...     np.ones((2, 4), np.uint8), Roi((0, 0), (2, 4)), Coordinate(1, 1), ["y", "x"])
        >>> open_array(array) is array
        True
    """
    return array if isinstance(array, Array) else ZarrArray.open_from_array_identifier(array)


def find_compared_roi(segmentation: Array, ground_truth: Array) -> Roi:
    """Return the region in which both arrays are defined, in world units.

    Raises:
        VolumeError: voxel sizes differ, voxels are not on one grid, or the arrays do not overlap.

    Examples:
        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(
        ...     np.ones((2, 4), np.uint8), Roi((0, 0), (2, 4)), Coordinate(1, 1), ["y", "x"])
        >>> find_compared_roi(array, array).shape
        (2, 4)
    """
    if tuple(segmentation.voxel_size) != tuple(ground_truth.voxel_size):
        raise VolumeError(
            f"{segmentation}: found the voxel size {tuple(segmentation.voxel_size)}, expected "
            f"{tuple(ground_truth.voxel_size)}, that of the ground truth {ground_truth}; use labels of the same scale"
        )
    if any((segmentation.roi.begin - ground_truth.roi.begin) % ground_truth.voxel_size):
        raise VolumeError(
            f"{segmentation} and the ground truth {ground_truth} are not on one grid: their offsets "
            f"{tuple(segmentation.roi.begin)} and {tuple(ground_truth.roi.begin)} do not differ by whole voxels of "
            f"{tuple(ground_truth.voxel_size)}; correct the offset of the labels"
        )
    roi = segmentation.roi.intersect(ground_truth.roi)
    if roi.empty:
        raise VolumeError(
            f"{segmentation} covers {segmentation.roi}, the ground truth {ground_truth} covers {ground_truth.roi}: "
            "they do not overlap; correct the offset of the labels"
        )
    return roi


def check_ids(array: Array) -> None:
    """Raise an error if an array does not contain one id per voxel.

    Raises:
        VolumeError: it has several channels, or its dtype is not an integer.

    Examples:
        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(np.ones((2, 4)), Roi((0, 0), (2, 4)), Coordinate(1, 1), ["y", "x"])
        >>> check_ids(array)
        Traceback (most recent call last):
            ...
        attacca.errors.VolumeError: ...: found float64, expected ids, which are whole numbers
    """
    if array.num_channels not in (None, 1):
        raise VolumeError(f"{array}: found {array.num_channels} channels, expected one array of ids")
    if np.dtype(array.dtype).kind not in "biu":
        raise VolumeError(f"{array}: found {np.dtype(array.dtype)}, expected ids, which are whole numbers")


def make_comparison_grid(
    segmentation: Array,
    ground_truth: Array,
    block_size: Sequence[int] | None = None,
    context: Sequence[int] | int = 0,
) -> BlockGrid:
    """Return the blocks of the region in which both arrays are defined.

    Args:
        segmentation: predicted ids.
        ground_truth: true ids.
        block_size: world units; by default about ``COMPARED_VOXELS`` in whole chunks of the segmentation.
        context: ground truth that is read around each block, in world units.

    Raises:
        VolumeError: the arrays cannot be compared.

    Examples:
        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(
        ...     np.ones((2, 4), np.uint8), Roi((0, 0), (2, 4)), Coordinate(1, 1), ["y", "x"])
        >>> make_comparison_grid(array, array, block_size=(2, 2)).shape
        (1, 2)
    """
    roi, voxel_size = find_compared_roi(segmentation, ground_truth), ground_truth.voxel_size
    if block_size is None:
        edge = int(COMPARED_VOXELS ** (1 / ground_truth.dims))
        chunks = getattr(segmentation, "chunk_size", None)
        chunk = tuple(chunks / voxel_size) if chunks is not None else (1,) * ground_truth.dims
        sides = Coordinate(max(1, edge // c) * c if c <= edge else edge for c in chunk)
        block_size = sides * voxel_size
    return BlockGrid(roi, block_size, voxel_size, context, origin=segmentation.roi.begin)
