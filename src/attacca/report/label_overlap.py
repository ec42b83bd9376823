"""Overlap of a segmentation with its ground truth, measured block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array
from attacca.evaluators.contingency import ContingencyTable, contingency_table, merge_tables

MAX_VOXELS = 1 << 28
"""Largest number of voxels that are compared. Of a larger volume, the center is compared."""

_BLOCK_VOXELS = 1 << 22


@dataclass(frozen=True)
class LabelOverlap:
    """Overlap of a segmentation with its ground truth.

    Attributes:
        table: voxels by segment and ground-truth object, without the background of the ground truth.
        roi: the region that was compared.
        is_whole: False if only the center of a large volume was compared.
        blocks: ROI, segments and ground-truth objects of each block, the ids uint64 and sorted.
    """

    table: ContingencyTable
    roi: Roi
    is_whole: bool
    blocks: tuple[tuple[Roi, np.ndarray, np.ndarray], ...]

    @property
    def matches(self) -> dict[int, int]:
        """Ground-truth object of each segment, for pairs that are each other's largest partner."""
        return find_mutual_matches(self.table)


def measure_overlap(
    segmentation: Array,
    ground_truth: Array,
    unlabelled: int | None = None,
    max_voxels: int = MAX_VOXELS,
    mask: Array | None = None,
) -> LabelOverlap | None:
    """Count the voxels that segments share with ground-truth objects.

    Args:
        segmentation: segment ids.
        ground_truth: object ids on the same grid of voxels.
        unlabelled: id of voxels without annotation, which are ignored.
        max_voxels: largest number of voxels that are compared.
        mask: 0 for voxels that are ignored, on the grid of the ground truth; None ignores none.

    Returns:
        None if the volumes are not on one grid of voxels or do not overlap, or if either has channels.
    """
    size = ground_truth.voxel_size
    if segmentation.voxel_size != size or any((segmentation.roi.begin - ground_truth.roi.begin) % size):
        return None
    if ground_truth.num_channels is not None or segmentation.num_channels is not None:
        return None
    common = segmentation.roi.intersect(ground_truth.roi)
    if common.empty:
        return None
    roi = _take_center(common, size, max_voxels)
    tables, blocks = [], []
    for block in _split_into_blocks(roi, size):
        objects = ground_truth[block]
        if mask is not None:
            known = np.asarray(mask.read(block, 0)) != 0
            known = known if known.ndim == objects.ndim else known.all(axis=0)
            objects = np.where(known, objects, objects.dtype.type(0))
        table = contingency_table(segmentation[block], objects)
        table = table.select(table.ground_truth != 0)
        if unlabelled is not None:
            table = table.select(table.ground_truth != np.uint64(unlabelled))
        if len(table):
            tables.append(table)
            blocks.append((block, np.unique(table.segment), np.unique(table.ground_truth)))
    return LabelOverlap(merge_tables(tables), roi, roi == common, tuple(blocks))


def _take_center(roi: Roi, voxel_size: Coordinate, max_voxels: int) -> Roi:
    """Halve the longest axis until at most ``max_voxels`` voxels are left, around the same center."""
    shape = list(roi.shape / voxel_size)
    while int(np.prod(shape, dtype=np.float64)) > max_voxels:
        longest = int(np.argmax(shape))
        shape[longest] = shape[longest] // 2
    kept = Coordinate(shape) * voxel_size
    return Roi(roi.begin + (roi.shape - kept) / (voxel_size * 2) * voxel_size, kept)


def _split_into_blocks(roi: Roi, voxel_size: Coordinate) -> Iterator[Roi]:
    edge = int(_BLOCK_VOXELS ** (1 / roi.dims))
    ranges = [range(0, int(n), edge) for n in roi.shape / voxel_size]
    for corner in product(*ranges):
        offset = roi.begin + Coordinate(corner) * voxel_size
        yield Roi(offset, Coordinate([edge] * roi.dims) * voxel_size).intersect(roi)


def find_mutual_matches(table: ContingencyTable) -> dict[int, int]:
    """Match segments to ground-truth objects that are each other's largest partner.

    Ties are decided for the smaller id. Background takes no part.
    """
    foreground = table.select((table.ground_truth != 0) & (table.segment != 0))
    order = np.lexsort((foreground.ground_truth, foreground.segment, -foreground.count))
    by_segment: dict[int, int] = {}
    by_object: dict[int, int] = {}
    for row in order:
        segment, true_object = int(foreground.segment[row]), int(foreground.ground_truth[row])
        by_segment.setdefault(segment, true_object)
        by_object.setdefault(true_object, segment)
    return {
        segment: true_object
        for segment, true_object in by_segment.items()
        if by_object[true_object] == segment
    }
