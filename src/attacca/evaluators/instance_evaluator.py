"""Compares a segmentation into objects with the truth."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays import Array, LocalArrayIdentifier
from attacca.blockwise import Ledger, run_blocks
from attacca.evaluators.blocks import EvaluateBlocks, announce, collect_tables, largest_block
from attacca.evaluators.comparison import (
    BYTES_PER_VOXEL,
    TruthRules,
    check_ids,
    comparison_grid,
    open_array,
)
from attacca.evaluators.contingency import ContingencyTable, contingency_table
from attacca.evaluators.evaluator import Evaluator
from attacca.evaluators.instance_scores import (
    IOU_THRESHOLDS,
    InstanceConvention,
    InstanceEvaluationScores,
    Unlabelled,
    scores_from_table,
    voi_from_table,
)
from attacca.progress import Progress


class InstanceEvaluator(Evaluator):
    """Variation of information, adapted Rand error and matched objects.

    Memory is that of a block and of the contingency table.

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
        rules: TruthRules | None = None,
    ) -> None:
        super().__init__()
        self.convention = InstanceConvention(ignore_background, unlabelled_prediction)
        self.iou_thresholds = tuple(iou_thresholds)
        self.rules = rules or TruthRules()

    @property
    def score(self) -> InstanceEvaluationScores:
        return InstanceEvaluationScores(self.iou_thresholds, self.convention, self.rules.describe())

    @property
    def criteria(self) -> list[str]:
        """Variation of information, its parts and the sum: what checkpoints are chosen by."""
        return ["voi_merge", "voi_split", "voi"]

    def evaluate(
        self,
        output_array_identifier: LocalArrayIdentifier | Array,
        evaluation_array: LocalArrayIdentifier | Array,
    ) -> InstanceEvaluationScores:
        with tempfile.TemporaryDirectory(prefix="attacca-evaluate-") as directory:
            return self.evaluate_blockwise(output_array_identifier, evaluation_array, directory)

    def evaluate_blockwise(
        self,
        output_array_identifier: LocalArrayIdentifier | Array,
        evaluation_array: LocalArrayIdentifier | Array,
        directory: str | Path,
        *,
        mask: LocalArrayIdentifier | Array | None = None,
        block_size: Sequence[int] | None = None,
        key: Any = None,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> InstanceEvaluationScores:
        """Compare arrays of any size; an interrupted call is taken up by one with its directory and key.

        Args:
            output_array_identifier: predicted ids.
            evaluation_array: true ids.
            directory: for the blocks' tables, on a local disk.
            mask: voxels that count, not 0; all of them by default.
            block_size: world units.
            key: what the two arrays depend on (fingerprints); without it nothing of an earlier call is used.
            num_workers: processes; the result does not depend on it.
            progress: its total grows by the blocks to do, and it is advanced by each.

        Raises:
            VolumeError: the arrays cannot be compared.
            BlocksFailedError: a block failed.
        """
        truth = open_array(evaluation_array)
        table = self.table(
            output_array_identifier, truth, directory, mask=mask, block_size=block_size, key=key,
            num_workers=num_workers, progress=progress,
        )  # fmt: skip
        return self.scores(table, truth.unit)

    def table(
        self,
        output_array_identifier: LocalArrayIdentifier | Array,
        evaluation_array: LocalArrayIdentifier | Array,
        directory: str | Path,
        *,
        mask: LocalArrayIdentifier | Array | None = None,
        block_size: Sequence[int] | None = None,
        key: Any = None,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> ContingencyTable:
        """The contingency table of ``evaluate_blockwise``, whose arguments it has."""
        segmentation, truth = open_array(output_array_identifier), open_array(evaluation_array)
        for array in (segmentation, truth):
            check_ids(array)
        grid = comparison_grid(segmentation, truth, block_size, self.rules.context(truth.voxel_size))
        parts = {"key": key, "grid": grid.to_dict(), "rules": vars(self.rules)}
        ledger = None if key is None else Ledger(directory, parts, len(grid))
        function = EvaluateBlocks(segmentation, truth, self.rules, mask, str(directory))
        announce(progress, grid, ledger)
        run_blocks(
            function,
            grid,
            ledger=ledger,
            num_workers=num_workers,
            progress=progress,
            memory_per_block=BYTES_PER_VOXEL * largest_block(grid),
        )
        return collect_tables(grid, directory, self.rules.components)

    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> InstanceEvaluationScores:
        """All scores of a table, with this evaluator's conventions."""
        return scores_from_table(table, self.convention, self.iou_thresholds, self.rules.describe(unit))


def voi(
    reconstruction: np.ndarray,
    groundtruth: np.ndarray,
    ignore_reconstruction: Sequence[int] = (),
    ignore_groundtruth: Sequence[int] = (0,),
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
    table = contingency_table(reconstruction, groundtruth)
    ignored = np.isin(table.truth, np.asarray(ignore_groundtruth, np.uint64))
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
