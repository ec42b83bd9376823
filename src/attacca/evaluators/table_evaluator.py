"""Base of the evaluators of id volumes, whose scores follow from a contingency table."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.blockwise import Ledger, run_blocks
from attacca.evaluators.compared_arrays import BYTES_PER_VOXEL, check_ids, make_comparison_grid, open_array
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.evaluator import Compared, Evaluator, Scores
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.table_blocks import EvaluateBlocks, announce_blocks, collect_tables, count_max_voxels
from attacca.progress import Progress


class TableEvaluator(Evaluator[Scores]):
    """Base of the evaluators whose scores follow from the contingency table of prediction and ground truth.

    Memory is that of a block and of the table.

    Args:
        rules: preparation of the ground truth.
    """

    def __init__(self, rules: GroundTruthRules | None = None) -> None:
        super().__init__()
        self.rules = rules or GroundTruthRules()

    def evaluate_blockwise(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        *,
        mask: Compared | None = None,
        block_size: Sequence[int] | None = None,
        key: Any = None,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> Scores:
        """Compare id volumes of any size, see ``Evaluator.evaluate_blockwise``.

        Args:
            output_array_identifier: predicted ids.
            evaluation_array: true ids.
            directory: local directory for the tables of blocks.
            mask: voxels of value 0 do not count.
            block_size: world units; scores do not depend on it.
            key: values that identify both arrays.
            num_workers: processes.
            progress: counts the blocks.
        """
        segmentation, ground_truth = open_array(output_array_identifier), open_array(evaluation_array)
        for array in (segmentation, ground_truth):
            check_ids(array)
        grid = make_comparison_grid(
            segmentation, ground_truth, block_size, self.rules.context(ground_truth.voxel_size)
        )
        parts = {"key": key, "grid": grid.to_dict(), "rules": vars(self.rules)}
        ledger = None if key is None else Ledger(directory, parts, len(grid))
        announce_blocks(progress, grid, ledger)
        run_blocks(
            EvaluateBlocks(segmentation, ground_truth, self.rules, mask, str(directory)),
            grid,
            ledger=ledger,
            num_workers=num_workers,
            progress=progress,
            memory_per_block=BYTES_PER_VOXEL * count_max_voxels(grid),
        )
        return self.scores(collect_tables(grid, directory, self.rules.components), ground_truth.unit)

    @abstractmethod
    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> Scores:
        """Return all scores of a contingency table.

        Args:
            table: voxels by predicted and true id.
            unit: length unit in the conventions.
        """
