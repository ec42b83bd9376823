"""Evaluators as a configuration wants them."""

from typing import Any

from pydantic import TypeAdapter

from attacca.config.evaluation import EvaluationConfig
from attacca.config.tasks import AnyTaskConfig, OneHotTaskConfig, TaskConfig
from attacca.evaluators import (
    BinarySegmentationEvaluator,
    DummyEvaluator,
    Evaluator,
    GroundTruthRules,
    InstanceEvaluator,
    OneHotEvaluator,
)

_TASK: TypeAdapter[TaskConfig] = TypeAdapter(AnyTaskConfig)


def read_task(section: Any) -> Any:
    """The task's configuration from the plain values of a stage's parameters."""
    return _TASK.validate_python(section)


def create_evaluator(task: Any, evaluation: EvaluationConfig, unlabelled: int | None) -> Evaluator:
    """The evaluator of a task with the conventions of the ``evaluation:`` section.

    Args:
        task: the task's configuration.
        evaluation: conventions.
        unlabelled: label value of voxels that nobody has labelled.
    """
    rules = GroundTruthRules(
        unlabelled, evaluation.border, evaluation.connected_components and task.type == "affinities"
    )
    if task.type == "affinities":
        return InstanceEvaluator(
            evaluation.ignore_background, evaluation.unlabelled_prediction, evaluation.iou_thresholds, rules
        )
    if isinstance(task, OneHotTaskConfig):
        return OneHotEvaluator(task.classes, rules)
    if task.type == "dummy":
        return DummyEvaluator()
    return BinarySegmentationEvaluator(
        evaluation.clip_distance if evaluation.clip_distance is not None else task.clip_distance,
        evaluation.tolerance if evaluation.tolerance is not None else task.tol_distance,
        task.channels,
        task.class_ids,
        rules,
    )


def default_criterion(task: Any) -> str:
    """The score by which parameters are chosen where the configuration names none."""
    return {"affinities": "voi", "one_hot": "mean__jaccard", "dummy": "frizz_level"}.get(task.type, "jaccard")


def score_of(scores: Any, criterion: str) -> float:
    """The value of a criterion; for channels without a name in front, the mean over those that have a value."""
    if criterion in scores.criteria:
        return float(scores.value(criterion))
    values = [float(scores.value(name)) for name in scores.criteria if name.endswith(f"__{criterion}")]
    numbers = [value for value in values if value == value]
    return sum(numbers) / len(numbers) if numbers else float("nan")


def higher_is_better(scores: Any, criterion: str) -> bool:
    """The direction of a criterion.

    Raises:
        KeyError: there is no such criterion.
    """
    for name in scores.criteria:
        if name == criterion or name.endswith(f"__{criterion}"):
            return bool(scores.higher_is_better(name))
    raise KeyError(criterion)
