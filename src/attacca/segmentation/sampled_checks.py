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
    """Refuse a uint8 prediction that is empty, saturated or constant; other dtypes are not checked.

    Args:
        prediction: affinities, channels first.
        grid: blocks of the segmentation.
        channels: number of affinity channels; later channels are ignored.
        checks: thresholds.
        name: description of the prediction in the error message.

    Raises:
        SegmentationCheckError: with the share of the value, and advice.
    """
    if prediction.dtype != np.uint8:
        return
    histogram = np.zeros(256, np.int64)
    for roi in _sample_rois(grid):
        histogram += count_values(prediction[roi][:channels])
    check_prediction(histogram, checks, name)


def check_stitching(segmentation: Array, grid: BlockGrid, checks: CheckThresholds, name: str) -> float:
    """Refuse a segmentation with too many segment boundaries on block faces.

    Args:
        segmentation: segment ids.
        grid: blocks in which it was made.
        checks: thresholds.
        name: description of the segmentation in the error message.

    Returns:
        Boundaries on block faces over those elsewhere; 1 without excess.

    Raises:
        SegmentationCheckError: with the excess, its limit, and advice.
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
