"""Compares two volumes of ids through their contingency table."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.blockwise import Ledger, run_blocks
from attacca.evaluators.compared_arrays import BYTES_PER_VOXEL, check_ids, comparison_grid, open_array
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.evaluator import Compared, Evaluator, Scores
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.table_blocks import EvaluateBlocks, announce, collect_tables, largest_block
from attacca.progress import Progress


class TableEvaluator(Evaluator[Scores]):
    """Base of the evaluators whose scores follow from the contingency table of prediction and truth.

    Memory is that of a block and of the table.

    Args:
        rules: what is done to the truth first.
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
        """As ``Evaluator.evaluate_blockwise``; ``block_size`` is in world units."""
        segmentation, ground_truth = open_array(output_array_identifier), open_array(evaluation_array)
        for array in (segmentation, ground_truth):
            check_ids(array)
        grid = comparison_grid(
            segmentation, ground_truth, block_size, self.rules.context(ground_truth.voxel_size)
        )
        parts = {"key": key, "grid": grid.to_dict(), "rules": vars(self.rules)}
        ledger = None if key is None else Ledger(directory, parts, len(grid))
        announce(progress, grid, ledger)
        run_blocks(
            EvaluateBlocks(segmentation, ground_truth, self.rules, mask, str(directory)),
            grid,
            ledger=ledger,
            num_workers=num_workers,
            progress=progress,
            memory_per_block=BYTES_PER_VOXEL * largest_block(grid),
        )
        return self.scores(collect_tables(grid, directory, self.rules.components), ground_truth.unit)

    @abstractmethod
    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> Scores:
        """All scores of a table.

        Args:
            table: voxels by predicted and true id.
            unit: of the volume, in which conventions are written.
        """
