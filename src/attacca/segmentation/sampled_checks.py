"""Checks without ground truth on a sample of blocks, so that memory and time do not grow with the volume."""

from collections.abc import Iterator

import numpy as np
from funlib.geometry import Roi

from attacca.arrays import Array
from attacca.blockwise import BlockGrid
from attacca.config.segmentation import CheckThresholds
from attacca.segmentation.box import triple
from attacca.segmentation.checks import (
    SeamCount,
    check_prediction,
    check_seams,
    count_seams,
    count_values,
)

SAMPLED_BLOCKS = 256
"""Maximum number of blocks that are read, spread evenly over the volume."""


def check_affinities(
    prediction: Array, grid: BlockGrid, channels: int, checks: CheckThresholds, name: str
) -> None:
    """Raise an error if a uint8 prediction is empty, saturated or constant; other dtypes are not checked.

    Args:
        prediction: affinities, channels first.
        grid: blocks of the segmentation.
        channels: number of affinity channels; later channels are ignored.
        checks: thresholds.
        name: description of the prediction in the error message.

    Raises:
        SegmentationCheckError: with the share of the value, and advice.

    >>> from funlib.geometry import Coordinate
    >>> from attacca.arrays import NumpyArray
    >>> roi, voxel_size = Roi((0, 0), (1, 900)), Coordinate(1, 1)
    >>> prediction = NumpyArray.from_np_array(np.zeros((1, 1, 900), np.uint8), roi, voxel_size, ["c", "y", "x"])
    >>> grid = BlockGrid(roi, Coordinate(1, 300), voxel_size)
    >>> check_affinities(prediction, grid, 1, CheckThresholds(), "the prediction")
    Traceback (most recent call last):
        ...
    attacca.errors.SegmentationCheckError: the prediction is empty (all 0): ...
    """
    if prediction.dtype != np.uint8:
        return
    histogram = np.zeros(256, np.int64)
    for roi in _sample_rois(grid):
        histogram += count_values(prediction[roi][:channels])
    check_prediction(histogram, checks, name)


def check_stitching(segmentation: Array, grid: BlockGrid, checks: CheckThresholds, name: str) -> float:
    """Raise an error if a segmentation has too many segment boundaries on block faces.

    Args:
        segmentation: segment ids.
        grid: blocks in which it was made.
        checks: thresholds.
        name: description of the segmentation in the error message.

    Returns:
        Boundaries on block faces over those elsewhere; 1 without excess.

    Raises:
        SegmentationCheckError: with the excess, its limit, and advice.

    Segments of three voxels, in blocks of seven voxels:

    >>> from funlib.geometry import Coordinate
    >>> from attacca.arrays import NumpyArray
    >>> roi, voxel_size = Roi((0, 0), (1, 900)), Coordinate(1, 1)
    >>> segments = (np.arange(900, dtype=np.uint64) // 3 + 1).reshape(1, 900)
    >>> array = NumpyArray.from_np_array(segments, roi, voxel_size, ["y", "x"])
    >>> grid = BlockGrid(roi, Coordinate(1, 7), voxel_size)
    >>> check_stitching(array, grid, CheckThresholds(), "the segmentation")
    1.0
    """
    if checks.max_seam_excess is None:
        return 1.0
    return check_seams(_count_seams(segmentation, grid), checks, name)


def _count_seams(segmentation: Array, grid: BlockGrid) -> Iterator[SeamCount]:
    """Yield the count of each sampled block, with one voxel more above."""
    voxel_size = segmentation.voxel_size
    cell = triple(grid.block_size / voxel_size, 1)
    for roi in _sample_rois(grid):
        with_next_plane = Roi(roi.begin, roi.shape + voxel_size).intersect(segmentation.roi)
        voxels = np.asarray(segmentation[with_next_plane])
        offset = (with_next_plane.begin - segmentation.roi.begin) / voxel_size
        yield count_seams(voxels.reshape((1,) * (3 - voxels.ndim) + voxels.shape), triple(offset), cell)


def _sample_rois(grid: BlockGrid) -> Iterator[Roi]:
    """Return the regions of blocks that are spread evenly over the grid."""
    numbers = np.unique(np.linspace(0, len(grid) - 1, min(len(grid), SAMPLED_BLOCKS)).astype(np.int64))
    return (block.write_roi for block in grid.blocks(numbers))
