"""Choice of the parameters of a voxel-wise post-processor, on validation volumes."""

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
from attacca.post_processors import PostProcessor, PostProcessorParameters
from attacca.progress import Progress
from attacca.tasks.validation_prediction import ValidationPrediction

if TYPE_CHECKING:
    from attacca.tasks.task import Task


def tune_voxelwise(
    task: "Task",
    volumes: Sequence[ValidationPrediction],
    evaluation: EvaluationConfig,
    scratch: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score each candidate of the post-processor's parameters on all validation volumes and choose the best one.

    Args:
        task: its post-processor and evaluator.
        volumes: validation volumes; without any, the middle of the candidates is chosen.
        evaluation: conventions of the scores, and the criterion.
        scratch: directory for intermediate arrays.
        progress: expects and counts one unit per candidate and volume.

    Returns:
        Plain values: ``criterion``, ``higher_is_better``, ``table`` (a row per candidate: its fields and the mean of
        the criterion over the volumes), ``chosen`` (the fields of the best candidate, the first of equals). The table
        is empty, and ``higher_is_better`` is missing, if there is no choice or no validation volume.

    Raises:
        ConfigurationError: the evaluator has no such criterion.
    """
    criterion = evaluation.criterion or task.default_criterion
    candidates = candidates_of(task.post_processor)
    if not volumes or len(candidates) == 1:
        chosen = candidates[len(candidates) // 2]
        return {"criterion": criterion, "chosen": asdict(chosen), "table": []}
    try:
        is_upward = task.create_evaluator(evaluation).score.higher_is_better(criterion)
    except ValueError:
        choices = ", ".join(task.create_evaluator(evaluation).score.criteria)
        raise ConfigurationError(
            f"evaluation.criterion: found '{criterion}', expected one of {choices}"
        ) from None
    values = score_candidates(task, volumes, evaluation, criterion, scratch, progress)
    # A candidate without a score, because nothing was segmented, is worse than any other.
    values[np.isnan(values)] = -1e9 if is_upward else 1e9
    means = [sum(row) / len(volumes) for row in values.tolist()]
    best = max(range(len(means)), key=lambda index: (means[index] if is_upward else -means[index], -index))
    return {
        "criterion": criterion,
        "higher_is_better": is_upward,
        "table": [{**asdict(parameters), criterion: mean} for parameters, mean in zip(candidates, means)],
        "chosen": asdict(candidates[best]),
    }


def score_candidates(
    task: "Task",
    volumes: Sequence[ValidationPrediction],
    evaluation: EvaluationConfig,
    criterion: str,
    scratch: Path,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return a criterion for each candidate of the post-processor's parameters on each volume.

    See ``tune_voxelwise`` for the arguments.

    Returns:
        float64, shape (candidates, volumes); nan if undefined.
    """
    # A prediction that is set on the task's own post-processor would change its later candidates.
    post_processor = copy.copy(task.post_processor)
    candidates = candidates_of(post_processor)
    values = np.full((len(candidates), len(volumes)), math.nan)
    if progress is not None:
        progress.expect(values.size)
    for column, volume in enumerate(volumes):
        evaluator = task.create_evaluator(evaluation, volume.unlabelled)
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


def candidates_of(post_processor: PostProcessor) -> list[PostProcessorParameters]:
    """Return the parameters to score on validation volumes."""
    if hasattr(post_processor, "tuning_parameters"):
        return list(post_processor.tuning_parameters())
    return list(post_processor.enumerate_parameters())[:1]
