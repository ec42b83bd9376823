"""Pairs of arrays that are compared: opening, common region, blocks."""

from collections.abc import Sequence

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise.grid import BlockGrid
from attacca.errors import VolumeError

BLOCK_VOXELS = 1 << 23
"""Voxels of a block at most, where no block size is given: 203 x 203 x 203."""

# Measured: 23 bytes a voxel for borders and components, and two volumes of 8 bytes a voxel.
BYTES_PER_VOXEL = 40
"""Memory that the comparison of a block needs."""


def open_array(array: LocalArrayIdentifier | Array) -> Array:
    """The array itself, or opened for reading where only its place is given."""
    return array if isinstance(array, Array) else ZarrArray.open_from_array_identifier(array)


def common_roi(segmentation: Array, ground_truth: Array) -> Roi:
    """Where both arrays are defined.

    Raises:
        VolumeError: voxel sizes differ, voxels do not lie on one grid, or the arrays have no voxel in common.
    """
    if tuple(segmentation.voxel_size) != tuple(ground_truth.voxel_size):
        raise VolumeError(
            f"{segmentation}: found the voxel size {tuple(segmentation.voxel_size)}, the truth {ground_truth} has "
            f"{tuple(ground_truth.voxel_size)}; a segmentation is compared with a truth of its own voxel size"
        )
    if any((segmentation.roi.begin - ground_truth.roi.begin) % ground_truth.voxel_size):
        raise VolumeError(
            f"{segmentation} begins at {tuple(segmentation.roi.begin)}, the truth {ground_truth} at "
            f"{tuple(ground_truth.roi.begin)}: with voxels of {tuple(ground_truth.voxel_size)} they do not lie on one grid"
        )
    roi = segmentation.roi.intersect(ground_truth.roi)
    if roi.empty:
        raise VolumeError(
            f"{segmentation} covers {segmentation.roi}, the truth {ground_truth} covers {ground_truth.roi}: they have "
            "no voxel in common"
        )
    return roi


def check_ids(array: Array) -> None:
    """Refuse an array that does not hold one id a voxel.

    Raises:
        VolumeError: there are several channels, or other numbers than integers.
    """
    if array.num_channels not in (None, 1):
        raise VolumeError(f"{array}: found {array.num_channels} channels, expected one array of ids")
    if np.dtype(array.dtype).kind not in "biu":
        raise VolumeError(f"{array}: found {np.dtype(array.dtype)}, expected ids, which are whole numbers")


def without_channel(array: np.ndarray, dims: int, name: object) -> np.ndarray:
    """Drop a channel axis of size 1.

    Raises:
        VolumeError: there are several channels.
    """
    if array.ndim == dims:
        return array
    if array.shape[0] != 1:
        raise VolumeError(f"{name}: found {array.shape[0]} channels, expected one array of ids")
    return array[0]


def comparison_grid(
    segmentation: Array,
    ground_truth: Array,
    block_size: Sequence[int] | None = None,
    context: Sequence[int] | int = 0,
) -> BlockGrid:
    """Blocks over the region where both arrays are defined.

    Args:
        segmentation, truth: the two arrays.
        block_size: world units; about ``BLOCK_VOXELS`` in whole chunks of the segmentation by default.
        context: world units of truth read around each block.

    Raises:
        VolumeError: the two cannot be compared.
    """
    roi, voxel_size = common_roi(segmentation, ground_truth), ground_truth.voxel_size
    if block_size is None:
        edge = int(BLOCK_VOXELS ** (1 / ground_truth.dims))
        chunks = getattr(segmentation, "chunk_size", None)
        chunk = tuple(chunks / voxel_size) if chunks is not None else (1,) * ground_truth.dims
        sides = Coordinate(max(1, edge // c) * c if c <= edge else edge for c in chunk)
        block_size = sides * voxel_size
    return BlockGrid(roi, block_size, voxel_size, context, origin=segmentation.roi.begin)
