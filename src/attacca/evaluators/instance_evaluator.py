"""Compares a segmentation into objects with the truth."""

from collections.abc import Sequence

import numpy as np

from attacca.evaluators.contingency import ContingencyTable, contingency_table
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.instance_scores import (
    IOU_THRESHOLDS,
    InstanceConvention,
    InstanceEvaluationScores,
    Unlabelled,
    scores_from_table,
    voi_from_table,
)
from attacca.evaluators.table_evaluator import TableEvaluator


class InstanceEvaluator(TableEvaluator[InstanceEvaluationScores]):
    """Variation of information, adapted Rand error and matched objects.

    Args:
        ignore_background: leave voxels with truth 0 out of variation of information and Rand error; else 0 is
            an object as any other, on both sides.
        unlabelled_prediction: what predicted voxels with id 0 are, see ``Unlabelled``.
        iou_thresholds: for matched objects.
        rules: what is done to the truth first.
    """

    def __init__(
        self,
        ignore_background: bool = True,
        unlabelled_prediction: Unlabelled = "object",
        iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
        rules: GroundTruthRules | None = None,
    ) -> None:
        super().__init__(rules)
        self.convention = InstanceConvention(ignore_background, unlabelled_prediction)
        self.iou_thresholds = tuple(iou_thresholds)

    @property
    def score(self) -> InstanceEvaluationScores:
        return InstanceEvaluationScores(self.iou_thresholds, self.convention, self.rules.describe())

    @property
    def criteria(self) -> list[str]:
        """Variation of information, its parts and the sum: what checkpoints are chosen by."""
        return ["voi_merge", "voi_split", "voi"]

    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> InstanceEvaluationScores:
        return scores_from_table(table, self.convention, self.iou_thresholds, self.rules.describe(unit))


def voi(
    reconstruction: np.ndarray,
    groundground_truth: np.ndarray,
    ignore_reconstruction: Sequence[int] = (),
    ignore_groundground_truth: Sequence[int] = (0,),
) -> np.ndarray:
    """Variation of information of two arrays in memory, in bits.

    Args:
        reconstruction: predicted ids.
        groundtruth: true ids, same shape.
        ignore_reconstruction: voxels with these predicted ids do not count.
        ignore_groundtruth: voxels with these true ids do not count.

    Returns:
        float64, (split, merge).
    """
    table = contingency_table(reconstruction, groundground_truth)
    ignored = np.isin(table.ground_truth, np.asarray(ignore_groundground_truth, np.uint64))
    ignored |= np.isin(table.segment, np.asarray(ignore_reconstruction, np.uint64))
    return np.array(voi_from_table(table.select(~ignored), InstanceConvention(ignore_background=False)))


def relabel(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Number ids from 1 without gaps, in their order; 0 stays 0.

    Returns:
        The new ids, dtype of ``array``, and how many there are.
    """
    ids, position = np.unique(array, return_inverse=True)
    numbers = np.zeros(len(ids), array.dtype)
    count = int(np.count_nonzero(ids))
    numbers[ids != 0] = np.arange(1, count + 1)
    return numbers[position].reshape(array.shape), count
