"""Base of all tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.task import TaskConfig
from attacca.predictors import Predictor

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.evaluators import EvaluationScores, Evaluator
    from attacca.losses import Loss
    from attacca.model import Model
    from attacca.post_processors import PostProcessor, PostProcessorParameters
    from attacca.tasks.pretrained_task import PretrainedReport
    from attacca.tasks.tuner import Tuner


class Task(ABC):
    """A learning problem: targets (predictor), loss, segmentation (post-processor) and scores (evaluator).

    Each part is created on first use, so that a stage imports only the libraries that it needs.

    Args:
        task_config: the ``task:`` section of a configuration.

    Examples:
        >>> from attacca.tasks import OneHotTaskConfig, create_task
        >>> task = create_task(OneHotTaskConfig(classes=["background", "nucleus"]))
        >>> task.predictor.num_channels, task.default_criterion
        (2, 'mean__jaccard')
    """

    report: PretrainedReport | None = None
    """Weights of the last model that were loaded from a file; None for random initial weights."""

    def __init__(self, task_config: TaskConfig) -> None:
        self.config = task_config
        self.name = task_config.name

    @cached_property
    @abstractmethod
    def predictor(self) -> Predictor:
        """Predictor, which creates targets, weights and the prediction head."""

    @cached_property
    @abstractmethod
    def loss(self) -> Loss:
        """Loss between predictions and targets."""

    @cached_property
    @abstractmethod
    def post_processor(self) -> PostProcessor:
        """Post-processor, which creates segmentations from predictions."""

    @cached_property
    def evaluator(self) -> Evaluator:
        """Evaluator of segmentations with the default conventions."""
        return self.create_evaluator()

    @abstractmethod
    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        """Return an evaluator of the segmentations of this task.

        Args:
            evaluation: conventions of the scores; the defaults of the configuration without it.
            unlabelled: label value of voxels without annotation in the volume; None if all are annotated.
        """

    def create_tuner(
        self, evaluation: EvaluationConfig | None = None, segmentation: SegmentationConfig | None = None
    ) -> Tuner:
        """Return the tuner of the parameters by which predictions become segmentations.

        Args:
            evaluation: conventions of the scores, and the criterion; the defaults without it.
            segmentation: candidate settings of tasks that segment by agglomeration; the defaults without it.
        """
        # deferred: loads numba and the post-processors
        from attacca.tasks.voxelwise_tuner import VoxelwiseTuner

        return VoxelwiseTuner(self, evaluation or EvaluationConfig())

    @property
    def default_criterion(self) -> str:
        """Name of the score that chooses parameters and checkpoints if the configuration does not name one."""
        if self.config.evaluator is not None and not self.config.agglomerates:
            return self.evaluation_scores.criteria[0]
        return self.config.default_criterion

    @property
    def parameters(self) -> list[PostProcessorParameters]:
        """Candidate parameters of the post-processor."""
        return list(self.post_processor.enumerate_parameters())

    @property
    def evaluation_scores(self) -> EvaluationScores:
        """Scores of the evaluator, without values."""
        return self.evaluator.score

    def create_model(self, architecture: Architecture) -> Model:
        """Return the architecture with the prediction head of the predictor."""
        return self.predictor.create_model(architecture)
