"""A task whose model starts from weights that were trained before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import PretrainedTaskConfig
from attacca.errors import CheckpointError
from attacca.predictors import Predictor
from attacca.progress import Progress
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.model import Model
    from attacca.post_processors import PostProcessor
    from attacca.tasks.validation_prediction import ValidationPrediction

logger = logging.getLogger(__name__)

# Names of one and the same weight: within the model, within its chain, and within the model's chain.
_PREFIXES = (
    ("chain.0.", "architecture."),
    ("chain.1.", "prediction_head."),
    ("0.", "architecture."),
    ("1.", "prediction_head."),
)


@dataclass(frozen=True)
class PretrainedReport:
    """Which weights of a model came from a file, and which did not fit."""

    source: str
    """Where they came from."""
    loaded: list[str] = field(default_factory=list)
    """Weights that were loaded."""
    missing: list[str] = field(default_factory=list)
    """Weights of the model that the file does not have: they keep their random values."""
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Weights of other shapes: (in the file, in the model). They keep their random values."""
    unexpected: list[str] = field(default_factory=list)
    """Weights of the file that the model does not have."""

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} weights loaded from {self.source}"]
        if self.mismatched:
            shapes = (
                f"{name} {list(found)} instead of {list(wanted)}"
                for name, (found, wanted) in self.mismatched.items()
            )
            parts.append(f"{len(self.mismatched)} of another shape: {', '.join(shapes)}")
        if self.missing:
            parts.append(f"{len(self.missing)} missing: {', '.join(self.missing)}")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} unknown to the model: {', '.join(self.unexpected)}")
        return "; ".join(parts)


class PretrainedTask(Task):
    """Another task in everything, but that its models start from the weights of a file.

    Attributes:
        report: what of the last model came from the file; None before ``create_model``.
    """

    config: PretrainedTaskConfig

    def __init__(self, task_config: PretrainedTaskConfig) -> None:
        super().__init__(task_config)
        self.sub_task: Task = task_config.sub_task_config.task_type(task_config.sub_task_config)
        self.weights = Path(task_config.weights)
        self.report: PretrainedReport | None = None

    @cached_property
    def predictor(self) -> Predictor:
        return self.sub_task.predictor

    @cached_property
    def loss(self) -> Loss:
        return self.sub_task.loss

    @cached_property
    def post_processor(self) -> PostProcessor:
        return self.sub_task.post_processor

    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        return self.sub_task.create_evaluator(evaluation, unlabelled)

    def tune(
        self,
        volumes: Sequence[ValidationPrediction],
        evaluation: EvaluationConfig,
        segmentation: SegmentationConfig | None,
        scratch: Path,
        *,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        return self.sub_task.tune(
            volumes, evaluation, segmentation, scratch, num_workers=num_workers, progress=progress
        )

    def score_candidates(
        self,
        volumes: Sequence[ValidationPrediction],
        evaluation: EvaluationConfig,
        segmentation: SegmentationConfig | None,
        criterion: str,
        scratch: Path,
    ) -> list[float]:
        return self.sub_task.score_candidates(volumes, evaluation, segmentation, criterion, scratch)

    def create_model(self, architecture: Architecture) -> Model:
        """The sub-task's model, with all weights that fit taken from the file; ``report`` says which.

        Raises:
            MissingInputError: there is no such file.
            CheckpointError: it is no file of weights, or none of them fits.
        """
        model = self.sub_task.create_model(architecture)
        self.report = load_weights(model, self.weights)
        logger.log(
            logging.WARNING if self.report.mismatched or self.report.missing else logging.INFO,
            "%s",
            self.report,
        )
        return model


def load_weights(model: Model, path: Path) -> PretrainedReport:
    """Put the weights of a file into a model where names and shapes agree.

    Args:
        model: changed in place.
        path: a checkpoint with the weights under ``ema`` or ``model``, or a dictionary of weights.

    Raises:
        MissingInputError: there is no such file.
        CheckpointError: it is no file of weights, or none of them fits.
    """
    # deferred: torch takes seconds to import, and a task without a model does not need it
    import torch

    from attacca.checkpoint import read_weights

    stored = {_canonical(name): tensor for name, tensor in read_weights(path).items()}
    own = {_canonical(name): tensor for name, tensor in model.state_dict().items()}
    report = PretrainedReport(str(path))
    with torch.no_grad():
        for name, tensor in own.items():
            if name not in stored:
                report.missing.append(name)
            elif stored[name].shape != tensor.shape:
                report.mismatched[name] = (tuple(stored[name].shape), tuple(tensor.shape))
            else:
                tensor.copy_(stored[name])
                report.loaded.append(name)
    report.unexpected.extend(name for name in stored if name not in own)
    if not report.loaded:
        raise CheckpointError(f"weights: nothing in {path} fits this architecture and task: {report}")
    return report


def _canonical(name: str) -> str:
    for prefix, replacement in _PREFIXES:
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name


PretrainedTaskConfig.task_type = PretrainedTask
