"""Base of the evaluators of id volumes, whose scores follow from a contingency table."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.arrays import Array
from attacca.blockwise import BlockGrid, Ledger, run_blocks
from attacca.evaluators.compared_arrays import (
    BYTES_PER_VOXEL,
    check_ids,
    find_compared_roi,
    make_comparison_grid,
    open_array,
)
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.evaluator import Compared, Evaluator, Scores
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.instance_scores import InstanceConvention
from attacca.evaluators.nested_regions import choose_part_size, score_regions
from attacca.evaluators.table_blocks import (
    EvaluateBlocks,
    announce_blocks,
    collect_tables,
    count_max_voxels,
    open_tables,
)
from attacca.progress import Progress


class TableEvaluator(Evaluator[Scores]):
    """Base of the evaluators whose scores follow from the contingency table of prediction and ground truth.

    Memory is that of a block and of the table.

    Args:
        rules: preparation of the ground truth.
        regions: also score nested parts of the compared region.
    """

    convention = InstanceConvention()
    """Treatment of background in the scores of regions."""

    def __init__(self, rules: GroundTruthRules | None = None, regions: bool = False) -> None:
        super().__init__()
        self.rules = rules or GroundTruthRules()
        self.regions = regions

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
        ground_truth = open_array(evaluation_array)
        grid = compare_blocks(
            open_array(output_array_identifier),
            ground_truth,
            directory,
            self.rules,
            regions=self.regions,
            mask=mask,
            block_size=block_size,
            key=key,
            num_workers=num_workers,
            progress=progress,
        )
        scores = self.scores(collect_tables(grid, directory, self.rules.components), ground_truth.unit)
        if self.regions:
            load_table = open_tables(grid, directory, self.rules.components)
            scores.regions = score_regions(grid, load_table, self.convention)
        return scores

    def compare_shard(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        shard: tuple[int, int],
        **options: Any,
    ) -> None:
        arrays = open_array(output_array_identifier), open_array(evaluation_array)
        compare_blocks(*arrays, directory, self.rules, shard, regions=self.regions, **options)

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
    regions: bool = False,
    mask: Compared | None = None,
    block_size: Sequence[int] | None = None,
    key: Any = None,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> BlockGrid:
    """Count the voxels of each pair of predicted and true id in the blocks of a shard, and write a table for each block.

    ``collect_tables`` adds up the tables of all blocks.

    Args:
        segmentation: predicted ids.
        ground_truth: true ids.
        directory: local directory for the tables of blocks.
        rules: preparation of the ground truth.
        shard: number of the shard and number of shards.
        regions: blocks are parts of the compared region (``choose_part_size``), unless ``block_size`` is given.
        mask: voxels of value 0 do not count.
        block_size: world units; the sum of the tables does not depend on it, except for the numbers of true components.
        key: values that identify both arrays; without it, earlier results are ignored.
        num_workers: processes.
        progress: counts the blocks of the shard.

    Returns:
        The grid of all blocks.

    Raises:
        VolumeError: the arrays cannot be compared.

    Examples:
        >>> from tempfile import mkdtemp
        >>> import numpy as np
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> ids = NumpyArray.from_np_array(
        ...     np.array([[1, 1, 2, 0]]), Roi((0, 0), (1, 4)), Coordinate(1, 1), ["y", "x"])
        >>> directory = mkdtemp()
        >>> grid = compare_blocks(ids, ids, directory, GroundTruthRules(unlabelled=0))
        >>> collect_tables(grid, directory).count.tolist()
        [2, 1]
    """
    for array in (segmentation, ground_truth):
        check_ids(array)
    context = rules.context(ground_truth.voxel_size)
    if regions and block_size is None:
        roi = find_compared_roi(segmentation, ground_truth)
        grid = BlockGrid(
            roi, choose_part_size(roi, ground_truth.voxel_size), ground_truth.voxel_size, context
        )
    else:
        grid = make_comparison_grid(segmentation, ground_truth, block_size, context)
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
    )
    return grid
