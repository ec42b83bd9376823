"""Scores of the objects of a class: connected components of its voxels, such as single mitochondria.

Semantic tasks learn classes, and their evaluators count voxels. Here the components of both sides are matched like
instances, block by block.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacca.blockwise import BlockGrid, Ledger, run_blocks
from attacca.blockwise.grid import Block
from attacca.evaluators.binary_blocks import BinarySides
from attacca.evaluators.block_components import BlockFaces, label_block, make_global_ids
from attacca.evaluators.compared_arrays import BYTES_PER_VOXEL, make_comparison_grid
from attacca.evaluators.contingency import ContingencyTable, Overlaps, contingency_table
from attacca.evaluators.instance_scores import IOU_THRESHOLDS, InstanceConvention, scores_from_table
from attacca.evaluators.scores import ChannelScores, EvaluationScores
from attacca.evaluators.stored_tables import sum_tables
from attacca.evaluators.table_blocks import (
    BlockResult,
    BlockTables,
    announce_blocks,
    count_max_voxels,
    join_block_components,
    locate_block_file,
)
from attacca.progress import Progress

_SCORES = ("voi", "average_precision", "precision_", "recall_", "f1_")
_COMPONENTS = "objects are connected components (faces, edges, corners) of the class in the scored region"


@dataclass
class CompareComponents:
    """Block function: components of both sides in a block, their overlaps, and their faces; it can be pickled.

    Attributes:
        sides: reader of both sides.
        directory: local directory; ``true`` has the overlaps and the faces of the ground truth, ``predicted`` the faces
            of the segmentation.
    """

    sides: BinarySides
    directory: Path

    def __call__(self, block: Block) -> None:
        predicted, true, counted = self.sides.read_all(block.write_roi)
        segments, segment_faces = label_block(predicted)
        objects, object_faces = label_block(true)
        table = contingency_table(segments, objects, counted)
        ids, true_ids = (make_global_ids(block.index, side) for side in (table.segment, table.ground_truth))
        self._save("true", block, ContingencyTable(ids, true_ids, table.count), object_faces)
        self._save("predicted", block, ContingencyTable.empty(), segment_faces)

    def _save(self, name: str, block: Block, table: ContingencyTable, faces: BlockFaces) -> None:
        BlockResult(table, faces).save(locate_block_file(self.directory / name, block.index))


@contextmanager
def match_components(
    sides: BinarySides,
    directory: str | Path,
    *,
    block_size: Sequence[int] | None = None,
    key: Any = None,
    num_workers: int = 1,
    progress: Progress | None = None,
    **run_options: Any,
) -> Iterator[Overlaps]:
    """Count the voxels that each component of the segmentation shares with each component of the ground truth.

    Memory is that of a block and of the components that touch faces of blocks. A large table is in a file, which is
    deleted at the end.

    Args:
        sides: reader of both sides. Voxels that do not count belong to components, but are not counted.
        directory: local directory for the tables and faces of blocks.
        block_size: world units; the table does not depend on it, except for the numbers of components.
        key: values that identify the volumes; without it, earlier results are ignored.
        num_workers: processes.
        progress: counts the blocks.
        run_options: further keyword arguments of ``run_blocks``.

    Examples:
        >>> from tempfile import mkdtemp
        >>> import numpy as np
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> roi, voxel_size = Roi((0, 0), (1, 5)), Coordinate(1, 1)
        >>> prediction, ground_truth = (
        ...     NumpyArray.from_np_array(np.array([voxels]), roi, voxel_size, ["y", "x"])
        ...     for voxels in ([1, 0, 1, 1, 1], [1, 1, 1, 0, 1]))
        >>> from attacca.evaluators.overlap_sizes import measure_sides
        >>> with match_components(BinarySides(prediction, ground_truth), mkdtemp(), block_size=(1, 2)) as table:
        ...     segments, objects = measure_sides(table)
        >>> len(segments.ids) - 1, len(objects.ids) - 1, objects.total
        (2, 2, 5)
    """
    work = Path(directory)
    work.mkdir(parents=True, exist_ok=True)
    context = sides.rules.context(sides.voxel_size)
    grid: BlockGrid = make_comparison_grid(sides.prediction, sides.ground_truth, block_size)
    parts = {
        "key": key,
        "grid": grid.to_dict(),
        "rules": vars(sides.rules),
        "side": [sides.channel, sides.class_id, sides.predicted_id],
        "context": list(context),
    }
    ledger = None if key is None else Ledger(work, parts, len(grid))
    announce_blocks(progress, grid, ledger)
    run_blocks(
        CompareComponents(sides, work),
        grid,
        ledger=ledger,
        num_workers=num_workers,
        progress=progress,
        memory_per_block=BYTES_PER_VOXEL * count_max_voxels(grid),
        **run_options,
    )
    tables = BlockTables(grid, work / "true", components=True)
    joined = join_block_components(grid, work / "predicted")
    path = work / "sum.npz"
    try:
        yield sum_tables((tables.load(index).map_segments(*joined) for index in range(len(grid))), path)
    finally:
        path.unlink(missing_ok=True)


def score_components(
    table: Overlaps,
    convention: InstanceConvention | None = None,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    note: str = "",
) -> EvaluationScores:
    """Return the scores of components: variation of information and matched objects, ``objects_f1_iou50`` and others.

    Args:
        table: voxels by predicted and true component.
        convention: treatment of background in variation of information.
        thresholds: thresholds of intersection over union.
        note: preparation of the ground truth in words.

    Examples:
        >>> import numpy as np
        >>> ids = np.array([1, 2], np.uint64)
        >>> score_components(ContingencyTable(ids, ids, np.array([4, 4]))).objects_f1_iou50
        1.0
    """
    note = f"{_COMPONENTS}{'; ' if note else ''}{note}"
    scores = scores_from_table(table, convention, thresholds, note)
    names = [name for name in scores.criteria if name.startswith(_SCORES)]
    criteria = [replace(scores.criterion(name), name=f"objects_{name}") for name in names]
    return EvaluationScores(criteria, {f"objects_{name}": scores.value(name) for name in names})


def score_class_objects(
    sides: Sequence[tuple[str, BinarySides]],
    directory: str | Path,
    convention: InstanceConvention | None = None,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    **options: Any,
) -> ChannelScores:
    """Return the scores of the objects of several classes or channels.

    Args:
        sides: name and sides of each class.
        directory: local directory for the tables of blocks.
        convention: treatment of background in variation of information.
        thresholds: thresholds of intersection over union.
        options: keyword arguments of ``match_components``.

    Examples:
        >>> from tempfile import mkdtemp
        >>> import numpy as np
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(
        ...     np.array([[1, 0, 1, 1]]), Roi((0, 0), (1, 4)), Coordinate(1, 1), ["y", "x"])
        >>> score_class_objects([("mitochondria", BinarySides(array, array))], mkdtemp()).mitochondria__objects_voi
        0.0
    """
    scores = []
    for number, (name, one) in enumerate(sides):
        note = one.rules.describe(one.ground_truth.unit)
        with match_components(one, Path(directory) / f"objects_{number}", **options) as table:
            scores.append((name, score_components(table, convention, thresholds, note)))
    return ChannelScores(scores)
