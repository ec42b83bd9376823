"""Comparison of instance segmentations with ground truth."""

from collections.abc import Sequence

import numpy as np

from attacca.arrays import Array
from attacca.blockwise import BlockGrid
from attacca.evaluators.compared_arrays import find_compared_roi
from attacca.evaluators.contingency import Overlaps, contingency_table
from attacca.evaluators.findings import describe_findings
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.instance_scores import (
    IOU_THRESHOLDS,
    InstanceConvention,
    InstanceEvaluationScores,
    Unlabelled,
    scores_from_table,
    voi_from_table,
)
from attacca.evaluators.nested_regions import choose_part_size, score_regions
from attacca.evaluators.scores import Coverage
from attacca.evaluators.table_blocks import BlockTables
from attacca.evaluators.table_evaluator import TableEvaluator


class InstanceEvaluator(TableEvaluator[InstanceEvaluationScores]):
    """Variation of information, adapted Rand error and matched objects.

    Args:
        ignore_background: exclude voxels with ground truth 0 from variation of information and Rand error.
            Without it, 0 is an object like any other, on both sides.
        unlabelled_prediction: treatment of predicted voxels with id 0, see ``Unlabelled``.
        iou_thresholds: thresholds of intersection over union at which objects are matched.
        rules: preparation of the ground truth.
        regions: also compute variation of information of nested parts of the compared region.

    Examples:
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> def as_array(values):
        ...     data = np.array(values, np.uint64)
        ...     return NumpyArray.from_np_array(data, Roi((0, 0), data.shape), Coordinate(1, 1), ["y", "x"])
        >>> one_object, two_halves = as_array([[1, 1, 1, 1]]), as_array([[5, 5, 6, 6]])
        >>> scores = InstanceEvaluator().evaluate(two_halves, one_object)
        >>> scores.voi_split, scores.voi_merge
        (1.0, 0.0)
    """

    def __init__(
        self,
        ignore_background: bool = True,
        unlabelled_prediction: Unlabelled = "object",
        iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
        rules: GroundTruthRules | None = None,
        regions: bool = False,
    ) -> None:
        super().__init__(rules)
        self.regions = regions
        self.convention = InstanceConvention(ignore_background, unlabelled_prediction)
        self.iou_thresholds = tuple(iou_thresholds)

    @property
    def score(self) -> InstanceEvaluationScores:
        return InstanceEvaluationScores(self.iou_thresholds, self.convention, self.rules.describe())

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria that choose checkpoints: variation of information and its two parts."""
        return ["voi_merge", "voi_split", "voi"]

    def make_grid(
        self, segmentation: Array, ground_truth: Array, block_size: Sequence[int] | None = None
    ) -> BlockGrid:
        """Return the blocks: parts of the compared region, if regions are scored and no size is given."""
        if not self.regions or block_size is not None:
            return super().make_grid(segmentation, ground_truth, block_size)
        roi, voxel_size = find_compared_roi(segmentation, ground_truth), ground_truth.voxel_size
        return BlockGrid(roi, choose_part_size(roi, voxel_size), voxel_size, self.rules.context(voxel_size))

    def score_blocks(self, tables: BlockTables, unit: str = "nanometer") -> InstanceEvaluationScores:
        """Return all scores from the tables of all blocks. Memory is that of the sizes of all objects."""
        with tables.open_sum() as table:
            scores = self.scores(table, unit)
        if self.regions:
            scores.regions = score_regions(
                tables.grid, tables.load, self.convention, tables.directory / "regions"
            )
        return scores

    def scores(self, table: Overlaps, unit: str = "nanometer") -> InstanceEvaluationScores:
        scores = scores_from_table(table, self.convention, self.iou_thresholds, self.rules.describe(unit))
        total = segmented = labeled = 0
        for piece in table.pieces():
            total += piece.total
            segmented += int(piece.count[piece.segment != 0].sum())
            labeled += int(piece.count[piece.ground_truth != 0].sum())
        if total:
            scores.coverage = Coverage(segmented / total, labeled / total)
            scores.findings = describe_findings(table)
        return scores


def voi(
    reconstruction: np.ndarray,
    groundtruth: np.ndarray,
    ignore_reconstruction: Sequence[int] = (),
    ignore_groundtruth: Sequence[int] = (0,),
) -> np.ndarray:
    """Return the variation of information of two arrays in memory, in bits.

    Args:
        reconstruction: predicted ids, any shape, integer.
        groundtruth: true ids, same shape.
        ignore_reconstruction: predicted ids whose voxels do not count.
        ignore_groundtruth: true ids whose voxels do not count.

    Returns:
        float64, shape (2,): split and merge.

    Examples:
        >>> voi(np.array([5, 5, 6, 6]), np.array([1, 1, 1, 1])).tolist()
        [1.0, 0.0]
    """
    table = contingency_table(reconstruction, groundtruth)
    ignored = np.isin(table.ground_truth, np.asarray(ignore_groundtruth, np.uint64))
    ignored |= np.isin(table.segment, np.asarray(ignore_reconstruction, np.uint64))
    return np.array(voi_from_table(table.select(~ignored), InstanceConvention(ignore_background=False)))


def relabel(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Number ids from 1 without gaps, in ascending order; 0 stays 0.

    Args:
        array: ids, any shape, integer.

    Returns:
        The new ids, shape and dtype of ``array``, and their number.

    Examples:
        >>> relabel(np.array([0, 7, 7, 3]))
        (array([0, 2, 2, 1]), 2)
    """
    ids, position = np.unique(array, return_inverse=True)
    numbers = np.zeros(len(ids), array.dtype)
    count = int(np.count_nonzero(ids))
    numbers[ids != 0] = np.arange(1, count + 1)
    return numbers[position].reshape(array.shape), count
