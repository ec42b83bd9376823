"""Checks without ground truth, over a spread of blocks: memory and time do not follow the volume."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.blockwise import BlockGrid
from attacca.config.segmentation import CheckThresholds
from attacca.segmentation.checks import (
    SeamCount,
    check_prediction,
    check_seams,
    count_seams,
    count_values,
)

MOST_BLOCKS = 256
"""Blocks that are looked at, at most; evenly spread over the volume."""


def check_affinities(
    prediction: Any, grid: BlockGrid, channels: int, checks: CheckThresholds, name: str
) -> None:
    """Refuse a prediction that is empty, saturated or constant.

    Raises:
        SegmentationCheckError: with the share of the value, and what to look at.
    """
    if prediction.dtype != np.uint8:
        return
    histogram = np.zeros(256, np.int64)
    for roi in _spread(grid):
        histogram += count_values(prediction[roi][:channels])
    check_prediction(histogram, checks, name)


def check_stitching(segmentation: Any, grid: BlockGrid, checks: CheckThresholds, name: str) -> float:
    """Refuse a segmentation whose segments end on the faces of blocks; returns the excess.

    Raises:
        SegmentationCheckError: with the excess, its limit, and what to change.
    """
    if checks.max_seam_excess is None:
        return 1.0
    return check_seams(_seams(segmentation, grid), checks, name)


def _seams(segmentation: Any, grid: BlockGrid) -> Iterator[SeamCount]:
    voxel_size = segmentation.voxel_size
    cell = _triple(grid.block_size / voxel_size)
    for roi in _spread(grid):
        seen = Roi(roi.begin, roi.shape + voxel_size).intersect(segmentation.roi)
        voxels = np.asarray(segmentation[seen])
        begin = (seen.begin - segmentation.roi.begin) / voxel_size
        yield count_seams(voxels.reshape((1,) * (3 - voxels.ndim) + voxels.shape), _triple(begin, 0), cell)


def _triple(values: Coordinate, lead: int = 1) -> tuple[int, int, int]:
    z, y, x = (*[lead] * (3 - len(values)), *(int(value) for value in values))
    return z, y, x


def _spread(grid: BlockGrid) -> Iterator[Roi]:
    numbers = np.unique(np.linspace(0, len(grid) - 1, min(len(grid), MOST_BLOCKS)).astype(np.int64))
    return (block.write_roi for block in grid.blocks(numbers))
