"""Base of the evaluators of id volumes, whose scores follow from a contingency table."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.arrays import Array
from attacca.blockwise import BlockGrid, Ledger, run_blocks
from attacca.evaluators.compared_arrays import BYTES_PER_VOXEL, check_ids, make_comparison_grid, open_array
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.evaluator import Compared, Evaluator, Scores
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.table_blocks import BlockTables, EvaluateBlocks, announce_blocks, count_max_voxels
from attacca.progress import Progress


class TableEvaluator(Evaluator[Scores]):
    """Base of the evaluators whose scores follow from the contingency table of prediction and ground truth.

    Memory is that of a block and of the table, unless ``score_blocks`` reads the table in pieces.

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
        **run_options: Any,
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
            run_options: further keyword arguments of ``run_blocks``.
        """
        segmentation, ground_truth = open_array(output_array_identifier), open_array(evaluation_array)
        tables = compare_blocks(
            segmentation,
            ground_truth,
            directory,
            self.rules,
            grid=self.make_grid(segmentation, ground_truth, block_size),
            mask=mask,
            key=key,
            num_workers=num_workers,
            progress=progress,
            **run_options,
        )
        return self.score_blocks(tables, ground_truth.unit)

    def compare_shard(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        shard: tuple[int, int],
        **options: Any,
    ) -> None:
        arrays = open_array(output_array_identifier), open_array(evaluation_array)
        grid = self.make_grid(*arrays, options.pop("block_size", None))
        compare_blocks(*arrays, directory, self.rules, shard, grid=grid, **options).sum_shard(shard)

    def make_grid(
        self, segmentation: Array, ground_truth: Array, block_size: Sequence[int] | None = None
    ) -> BlockGrid:
        """Return the blocks, see ``make_comparison_grid``."""
        context = self.rules.context(ground_truth.voxel_size)
        return make_comparison_grid(segmentation, ground_truth, block_size, context)

    def score_blocks(self, tables: BlockTables, unit: str = "nanometer") -> Scores:
        """Return all scores from the tables of all blocks.

        Args:
            tables: tables of the blocks, whose sum is in memory here.
            unit: length unit in the conventions.
        """
        return self.scores(tables.collect(), unit)

    @abstractmethod
    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> Scores:
        """Return all scores of a contingency table.

        Args:
            table: voxels by predicted and true id.
            unit: length unit in the conventions.
        """


def compare_blocks(
    segmentation: Array,
    ground_truth: Array,
    directory: str | Path,
    rules: GroundTruthRules,
    shard: tuple[int, int] = (0, 1),
    *,
    grid: BlockGrid | None = None,
    mask: Compared | None = None,
    key: Any = None,
    num_workers: int = 1,
    progress: Progress | None = None,
    **run_options: Any,
) -> BlockTables:
    """Count the voxels of each pair of predicted and true id in the blocks of a shard, and write a table for each block.

    Args:
        segmentation: predicted ids.
        ground_truth: true ids.
        directory: local directory for the tables of blocks.
        rules: preparation of the ground truth.
        shard: number of the shard and number of shards.
        grid: the blocks, with the context of the rules; by default those of ``make_comparison_grid``. The sum of the tables
            does not depend on it, except for the numbers of true components.
        mask: voxels of value 0 do not count.
        key: values that identify both arrays; without it, earlier results are ignored.
        num_workers: processes.
        progress: counts the blocks of the shard.
        run_options: further keyword arguments of ``run_blocks``.

    Returns:
        The tables of all blocks.

    Raises:
        VolumeError: the arrays cannot be compared.

    Examples:
        >>> from tempfile import mkdtemp
        >>> import numpy as np
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> ids = NumpyArray.from_np_array(
        ...     np.array([[1, 1, 2, 0]]), Roi((0, 0), (1, 4)), Coordinate(1, 1), ["y", "x"])
        >>> compare_blocks(ids, ids, mkdtemp(), GroundTruthRules(unlabelled=0)).collect().count.tolist()
        [2, 1]
    """
    for array in (segmentation, ground_truth):
        check_ids(array)
    if grid is None:
        context = rules.context(ground_truth.voxel_size)
        grid = make_comparison_grid(segmentation, ground_truth, context=context)
    parts = {"key": key, "grid": grid.to_dict(), "rules": vars(rules)}
    ledger = None if key is None else Ledger(directory, parts, len(grid))
    announce_blocks(progress, grid, ledger, grid.shard(*shard))
    run_blocks(
        EvaluateBlocks(segmentation, ground_truth, rules, mask, str(directory)),
        grid,
        ledger=ledger,
        shard=shard,
        num_workers=num_workers,
        progress=progress,
        memory_per_block=BYTES_PER_VOXEL * count_max_voxels(grid),
        **run_options,
    )
    return BlockTables(grid, Path(directory), rules.components, None if ledger is None else ledger.key)
