"""Task whose model is initialized with pretrained weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from attacca.config.evaluation import EvaluationConfig
from attacca.config.model_description import is_model_file
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import PretrainedTaskConfig
from attacca.errors import CheckpointError
from attacca.predictors import Predictor
from attacca.tasks.extended_task import replace_parts
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.model import Model
    from attacca.post_processors import PostProcessor
    from attacca.tasks.tuner import Tuner

logger = logging.getLogger(__name__)

# Prefixes of a weight's name in the state of the chain, and that in the model.
_PREFIXES = (("0.", "architecture."), ("1.", "prediction_head."))


@dataclass(frozen=True)
class PretrainedReport:
    """Weights of a model that were loaded from a file, and those that did not fit."""

    source: str
    """The file."""
    loaded: list[str] = field(default_factory=list)
    """Weights that were loaded."""
    missing: list[str] = field(default_factory=list)
    """Weights of the model that are not in the file; they keep their random values."""
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Weights with different shapes in the file and in the model; they keep their random values."""
    unexpected: list[str] = field(default_factory=list)
    """Weights of the file that are not in the model."""

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} weights loaded from {self.source}"]
        if self.mismatched:
            shapes = (
                f"{name} {list(stored)} instead of {list(expected)}"
                for name, (stored, expected) in self.mismatched.items()
            )
            parts.append(f"{len(self.mismatched)} of another shape: {', '.join(shapes)}")
        if self.missing:
            parts.append(f"{len(self.missing)} missing: {', '.join(self.missing)}")
        if self.unexpected:
            parts.append(f"{len(self.unexpected)} unknown to the model: {', '.join(self.unexpected)}")
        return "; ".join(parts)


class PretrainedTask(Task):
    """Another task, whose models are initialized with the weights of a file.

    Attributes:
        sub_task: the other task.
        weights: the file.
        report: the weights of the last model that were loaded; None before ``create_model``.
    """

    config: PretrainedTaskConfig

    def __init__(self, task_config: PretrainedTaskConfig) -> None:
        super().__init__(task_config)
        self.sub_task: Task = task_config.sub_task_config.task_type(task_config.sub_task_config)
        replace_parts(self.sub_task)
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

    def create_tuner(
        self, evaluation: EvaluationConfig | None = None, segmentation: SegmentationConfig | None = None
    ) -> Tuner:
        return self.sub_task.create_tuner(evaluation, segmentation)

    def create_model(self, architecture: Architecture) -> Model:
        """Return the sub task's model with all fitting weights of the file, and set ``report``.

        Raises:
            MissingInputError: the file does not exist.
            CheckpointError: the file does not contain weights, or none of them fits.
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
    """Load the weights of a file whose names and shapes agree with those of a model.

    Args:
        model: the model; changed in place.
        path: a model file, a checkpoint with weights under ``ema`` or ``model``, or a dictionary of weights.

    Returns:
        The weights that were loaded, and those that did not fit.

    Raises:
        MissingInputError: the file does not exist.
        CheckpointError: the file does not contain weights, or none of them fits.
    """
    # deferred: torch takes seconds to import, and a task without a model does not need it
    import torch

    # deferred: loads torch
    from attacca.checkpoint import read_weights
    from attacca.model_file import read_model_weights

    read = read_model_weights if is_model_file(path) else read_weights
    stored = {_canonical_name(name): tensor for name, tensor in read(path).items()}
    own = {_canonical_name(name): tensor for name, tensor in model.chain.state_dict().items()}
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
        raise CheckpointError(
            f"weights: no weight in {path} fits this architecture and task: {report}; use the architecture and task "
            "of the training that wrote the file"
        )
    return report


def _canonical_name(name: str) -> str:
    name = name.removeprefix("chain.")
    for prefix, replacement in _PREFIXES:
        if name.startswith(prefix):
            return replacement + name.removeprefix(prefix)
    return name


PretrainedTaskConfig.task_type = PretrainedTask
