"""Compares binary segmentations, one a channel, with the truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.arrays import Array
from attacca.errors import VolumeError
from attacca.evaluators.binary_blocks import (
    PENCIL_VOXELS,
    BinarySides,
    binary_table_blockwise,
    fits_into_memory,
)
from attacca.evaluators.binary_counts import binary_table
from attacca.evaluators.binary_scores import (
    BinarySegmentationEvaluationScores,
    BinaryTable,
    MultiChannelBinarySegmentationEvaluationScores,
    scores_from_binary_table,
)
from attacca.evaluators.compared_arrays import check_ids, common_roi, open_array
from attacca.evaluators.evaluator import Compared, Evaluator
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.progress import Progress


class BinarySegmentationEvaluator(Evaluator[MultiChannelBinarySegmentationEvaluationScores]):
    """The 21 binary scores for each channel.

    Args:
        clip_distance: distances are clipped here in scores that say so, world units.
        tol_distance: errors up to this distance are forgiven in scores that say so, world units.
        channels: names of the channels, in their order in the arrays.
        class_ids: the value of each channel's voxels, where the truth is one volume of class ids; without
            them the truth has a channel for each name, and all values above 0 are true.
        rules: what is done to the truth first.
    """

    def __init__(
        self,
        clip_distance: float,
        tol_distance: float,
        channels: Sequence[str],
        class_ids: Sequence[int] | None = None,
        rules: GroundTruthRules | None = None,
    ) -> None:
        super().__init__()
        self.clip_distance = float(clip_distance)
        self.tol_distance = float(tol_distance)
        self.channels = list(channels)
        self.class_ids = None if class_ids is None else [int(value) for value in class_ids]
        if self.class_ids is not None and len(self.class_ids) != len(self.channels):
            raise ValueError(
                f"{len(self.class_ids)} class ids for {len(self.channels)} channels; give one each"
            )
        self.rules = rules or GroundTruthRules()
        if self.rules.components:
            raise ValueError("the truth of binary channels is not split into connected components")

    @property
    def criteria(self) -> list[str]:
        """Jaccard index and variation of information of each channel: what checkpoints are chosen by."""
        return [f"{channel}__{criterion}" for channel in self.channels for criterion in ("jaccard", "voi")]

    @property
    def score(self) -> MultiChannelBinarySegmentationEvaluationScores:
        return self._named([self._empty() for _ in self.channels])

    def evaluate_blockwise(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        *,
        mask: Compared | None = None,
        key: Any = None,
        num_workers: int = 1,
        progress: Progress | None = None,
        pencil_voxels: int | None = None,
    ) -> MultiChannelBinarySegmentationEvaluationScores:
        """As ``Evaluator.evaluate_blockwise``; positive voxels are predicted, or true.

        ``pencil_voxels`` is an upper bound of what is held in memory at once, in voxels. Without it, small volumes
        are compared at once, larger ones out of core; the numbers are the same.
        """
        prediction, ground_truth = open_array(output_array_identifier), open_array(evaluation_array)
        roi = common_roi(prediction, ground_truth)
        self._check_channels(prediction)
        if self.class_ids is None:
            self._check_channels(ground_truth)
        else:
            check_ids(ground_truth)
        opened = None if mask is None else open_array(mask)
        scores = []
        for number in range(len(self.channels)):
            class_id = None if self.class_ids is None else self.class_ids[number]
            sides = BinarySides(prediction, ground_truth, number, class_id, self.rules, opened)
            if pencil_voxels is None and fits_into_memory(roi, ground_truth.voxel_size):
                table = self.table(sides, roi)
            else:
                table = binary_table_blockwise(
                    sides,
                    roi,
                    Path(directory) / f"channel_{number}",
                    self.clip_distance,
                    self.tol_distance,
                    key=key,
                    num_workers=num_workers,
                    progress=progress,
                    pencil_voxels=pencil_voxels or PENCIL_VOXELS,
                )
            scores.append(self.scores(table, ground_truth.unit))
        return self._named(scores)

    def table(self, sides: BinarySides, roi: Any) -> BinaryTable:
        """The table of a region that fits into memory."""
        predicted, true, voxels = sides.read(roi)
        table = binary_table(predicted, true, sides.voxel_size, self.clip_distance, self.tol_distance)
        # Voxels that do not count were put on neither side.
        return table + BinaryTable(true_negatives=voxels - true.size)

    def scores(self, table: BinaryTable, unit: str = "nanometer") -> BinarySegmentationEvaluationScores:
        """The 21 scores of one channel's table."""
        note = self.rules.describe(unit)
        return scores_from_binary_table(table, self.clip_distance, self.tol_distance, unit, note)

    def _check_channels(self, array: Array) -> None:
        found = 1 if array.num_channels is None else array.num_channels
        if found != len(self.channels):
            raise VolumeError(
                f"{array}: found {found} channel{'' if found == 1 else 's'}, expected {len(self.channels)}: "
                f"{', '.join(self.channels)}"
            )

    def _empty(self) -> BinarySegmentationEvaluationScores:
        return BinarySegmentationEvaluationScores(
            clip_distance=self.clip_distance, tol_distance=self.tol_distance, note=self.rules.describe()
        )

    def _named(
        self, scores: Sequence[BinarySegmentationEvaluationScores]
    ) -> MultiChannelBinarySegmentationEvaluationScores:
        return MultiChannelBinarySegmentationEvaluationScores(list(zip(self.channels, scores)))
