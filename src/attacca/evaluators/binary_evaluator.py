"""Comparison of binary segmentations, one per channel, with ground truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from funlib.geometry import Roi

from attacca.arrays import Array
from attacca.errors import VolumeError
from attacca.evaluators.binary_blocks import (
    PENCIL_VOXELS,
    BinarySides,
    fits_into_memory,
    sum_binary_table,
)
from attacca.evaluators.binary_counts import binary_table
from attacca.evaluators.binary_scores import (
    BinarySegmentationEvaluationScores,
    BinaryTable,
    MultiChannelBinarySegmentationEvaluationScores,
    scores_from_binary_table,
)
from attacca.evaluators.compared_arrays import check_ids, find_compared_roi, open_array
from attacca.evaluators.evaluator import Compared, Evaluator
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.progress import Progress


class BinarySegmentationEvaluator(Evaluator[MultiChannelBinarySegmentationEvaluationScores]):
    """The 21 binary scores of each channel.

    Args:
        clip_distance: upper limit of distances in scores ``..._clipped``, in world units.
        tol_distance: tolerated distance of errors in scores ``..._with_tolerance``, in world units.
        channels: names of the channels, in the order of the arrays.
        class_ids: ground truth value of each channel, if the ground truth is one volume of class ids. By
            default, it has one channel per name, and all values above 0 are foreground.
        rules: preparation of the ground truth; channels are not split into components.

    Examples:
        >>> import numpy as np
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> def as_array(values):
        ...     data = np.array(values, np.uint8)
        ...     return NumpyArray.from_np_array(data, Roi((0, 0), data.shape), Coordinate(1, 1), ["y", "x"])
        >>> evaluator = BinarySegmentationEvaluator(clip_distance=10, tol_distance=1, channels=["nucleus"])
        >>> scores = evaluator.evaluate(as_array([[0, 1, 1, 1]]), as_array([[1, 1, 1, 0]]))
        >>> scores.nucleus__jaccard, scores.nucleus__f1_score_with_tolerance
        (0.5, 1.0)
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
                f"class_ids: found {len(self.class_ids)} ids for {len(self.channels)} channels, expected one id each"
            )
        self.rules = rules or GroundTruthRules()
        if self.rules.components:
            raise ValueError(
                "binary channels cannot be split into connected components; use rules without components"
            )

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria that choose checkpoints: Jaccard and variation of information of each channel."""
        return [f"{channel}__{criterion}" for channel in self.channels for criterion in ("jaccard", "voi")]

    @property
    def score(self) -> MultiChannelBinarySegmentationEvaluationScores:
        return self._name_channels([self._empty() for _ in self.channels])

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
        pencil_voxels: int | None = None,
        **run_options: Any,
    ) -> MultiChannelBinarySegmentationEvaluationScores:
        """Compare binary volumes of any size, see ``Evaluator.evaluate_blockwise``.

        Args:
            output_array_identifier: the segmentation; positive voxels are foreground.
            evaluation_array: the ground truth.
            directory: local directory for scratch arrays and tables.
            mask: voxels of value 0 do not count.
            block_size: not used; distances need whole lines of voxels, see ``pencil_voxels``.
            key: values that identify both arrays.
            num_workers: processes.
            progress: counts the blocks.
            pencil_voxels: maximum number of voxels in memory at once. By default, small volumes are compared in
                memory and larger ones out of core; the scores are the same.
            run_options: further keyword arguments of ``run_blocks``.
        """
        prediction, ground_truth = open_array(output_array_identifier), open_array(evaluation_array)
        roi = find_compared_roi(prediction, ground_truth)
        self._check_channels(prediction)
        if self.class_ids is None:
            self._check_channels(ground_truth)
        else:
            check_ids(ground_truth)
        scores = []
        for number in range(len(self.channels)):
            sides = self.open_sides(self.channels[number], prediction, ground_truth, mask)
            if pencil_voxels is None and fits_into_memory(roi, ground_truth.voxel_size):
                table = self.table(sides, roi)
            else:
                table = sum_binary_table(
                    sides,
                    roi,
                    Path(directory) / f"channel_{number}",
                    self.clip_distance,
                    self.tol_distance,
                    key=key,
                    num_workers=num_workers,
                    progress=progress,
                    pencil_voxels=pencil_voxels or PENCIL_VOXELS,
                    **run_options,
                )
            scores.append(self.scores(table, ground_truth.unit))
        return self._name_channels(scores)

    def open_sides(
        self, name: str, output_array_identifier: Compared, evaluation_array: Compared, mask: Compared | None
    ) -> BinarySides:
        """Return both sides of a channel, see ``Evaluator.open_sides``."""
        number = self.channels.index(name)
        return BinarySides(
            open_array(output_array_identifier),
            open_array(evaluation_array),
            number,
            None if self.class_ids is None else self.class_ids[number],
            self.rules,
            None if mask is None else open_array(mask),
        )

    def table(self, sides: BinarySides, roi: Roi) -> BinaryTable:
        """Return the table of a region that fits into memory."""
        predicted, true, voxels = sides.read(roi)
        table = binary_table(predicted, true, sides.voxel_size, self.clip_distance, self.tol_distance)
        # Voxels that do not count are on neither side.
        return table + BinaryTable(true_negatives=voxels - true.size)

    def scores(self, table: BinaryTable, unit: str = "nanometer") -> BinarySegmentationEvaluationScores:
        """Return the 21 scores of the table of one channel."""
        note = self.rules.describe(unit)
        return scores_from_binary_table(table, self.clip_distance, self.tol_distance, unit, note)

    def _check_channels(self, array: Array) -> None:
        count = 1 if array.num_channels is None else array.num_channels
        if count != len(self.channels):
            raise VolumeError(
                f"{array}: found {count} channel{'' if count == 1 else 's'}, expected {len(self.channels)}: "
                f"{', '.join(self.channels)}"
            )

    def _empty(self) -> BinarySegmentationEvaluationScores:
        return BinarySegmentationEvaluationScores(
            clip_distance=self.clip_distance, tol_distance=self.tol_distance, note=self.rules.describe()
        )

    def _name_channels(
        self, scores: Sequence[BinarySegmentationEvaluationScores]
    ) -> MultiChannelBinarySegmentationEvaluationScores:
        return MultiChannelBinarySegmentationEvaluationScores(list(zip(self.channels, scores)))
