"""Tuner of the parameters of a voxel-wise post-processor."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attacca.arrays import LocalArrayIdentifier
from attacca.config.evaluation import EvaluationConfig
from attacca.errors import ConfigurationError
from attacca.post_processors import ThresholdPostProcessorParameters
from attacca.progress import Progress
from attacca.segmentation.choice_of_setting import find_middle
from attacca.tasks.tuner import Tuner, ValidationPrediction

if TYPE_CHECKING:
    from attacca.tasks.task import Task


class VoxelwiseTuner(Tuner):
    """Tuner of thresholds and other parameters; each candidate is applied to each volume and evaluated.

    Args:
        task: the post-processor and the evaluator.
        evaluation: conventions of the scores, and the criterion.
    """

    def __init__(self, task: Task, evaluation: EvaluationConfig) -> None:
        self.task = task
        self.evaluation = evaluation

    def tune(
        self,
        volumes: Sequence[ValidationPrediction],
        scratch: Path,
        *,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Score each candidate on all validation volumes and choose the best one, the first of equals.

        Of adjacent thresholds with equal scores, it is the middle one.

        See ``Tuner.tune``. With a choice, the result also has ``higher_is_better``. The mean of a candidate that has no
        score on a volume, for example because it segments nothing, is null, and it is not chosen.
        """
        criterion = self.evaluation.criterion or self.task.default_criterion
        candidates = self.task.post_processor.tuning_parameters()
        if not volumes or len(candidates) == 1:
            chosen = candidates[len(candidates) // 2]
            return {"criterion": criterion, "chosen": asdict(chosen), "table": []}
        is_upward = self._is_upward(criterion)
        values = self._score(volumes, criterion, scratch, progress)
        # A volume on which no candidate has a score, for example because nothing is annotated, decides nothing.
        values = values[:, ~np.isnan(values).all(axis=0)]
        means = [sum(row) / len(row) if row else math.nan for row in values.tolist()]
        scored = [index for index, mean in enumerate(means) if not math.isnan(mean)]
        if not scored:
            raise ConfigurationError(
                f"evaluation.criterion: no candidate has a {criterion} on all validation volumes "
                f"({', '.join(volume.name for volume in volumes)})",
                fix="validate on volumes that have annotated objects inside the mask, or choose another criterion",
            )
        best = min(scored, key=lambda index: (-means[index] if is_upward else means[index], index))
        if all(isinstance(parameters, ThresholdPostProcessorParameters) for parameters in candidates):
            ascending = sorted(range(len(candidates)), key=lambda index: candidates[index].threshold)
            best = find_middle(ascending, best, lambda index: means[index] == means[best])
        return {
            "criterion": criterion,
            "higher_is_better": is_upward,
            "table": [
                {**asdict(parameters), criterion: None if math.isnan(mean) else mean}
                for parameters, mean in zip(candidates, means)
            ],
            "chosen": asdict(candidates[best]),
        }

    def score_candidates(
        self, volumes: Sequence[ValidationPrediction], criterion: str, scratch: Path
    ) -> list[float]:
        values = self._score(volumes, criterion, scratch)
        return [sum(row) / len(row) for row in values.tolist()]

    def _is_upward(self, criterion: str) -> bool:
        scores = self.task.create_evaluator(self.evaluation).score
        try:
            return scores.higher_is_better(criterion)
        except ValueError:
            raise ConfigurationError(
                f"evaluation.criterion: found '{criterion}', expected one of {', '.join(scores.criteria)}"
            ) from None

    def _score(
        self,
        volumes: Sequence[ValidationPrediction],
        criterion: str,
        scratch: Path,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Return the criterion of each candidate on each volume, float64, shape (candidates, volumes)."""
        # A prediction that is set on the task's own post-processor would change its later candidates.
        post_processor = copy.copy(self.task.post_processor)
        candidates = post_processor.tuning_parameters()
        values = np.full((len(candidates), len(volumes)), math.nan)
        if progress is not None:
            progress.expect(values.size)
        for column, volume in enumerate(volumes):
            evaluator = self.task.create_evaluator(self.evaluation, volume.unlabelled)
            array = volume.prediction
            post_processor.set_prediction(LocalArrayIdentifier(array.file_name, array.dataset))
            for row, parameters in enumerate(candidates):
                name = f"{volume.name}-{row}"
                output = LocalArrayIdentifier(scratch / "output.zarr", name)
                segmentation = post_processor.process(parameters, output, num_workers=1)
                scores = evaluator.evaluate_blockwise(
                    segmentation, volume.labels, scratch / name, mask=volume.mask
                )
                values[row, column] = scores.mean_value(criterion)
                if progress is not None:
                    progress.advance(note=f"{criterion} {values[row, column]:.3f}")
        return values
