"""What every task can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import TaskConfig
from attacca.predictors import Predictor
from attacca.progress import Progress

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.evaluators import EvaluationScores, Evaluator
    from attacca.losses import Loss
    from attacca.model import Model
    from attacca.post_processors import PostProcessor
    from attacca.tasks.validation_prediction import ValidationPrediction


class Task(ABC):
    """What is learnt (predictor, loss), how it becomes a segmentation (post-processor), how that is scored
    (evaluator).

    Each part is made when it is first asked for, so that a stage imports only what it uses.

    Args:
        task_config: its section of the configuration.
    """

    def __init__(self, task_config: TaskConfig) -> None:
        self.config = task_config
        self.name = task_config.name

    @cached_property
    @abstractmethod
    def predictor(self) -> Predictor:
        """Makes targets and weights, and puts its head on an architecture."""

    @cached_property
    @abstractmethod
    def loss(self) -> Loss:
        """Compares predictions with targets."""

    @cached_property
    @abstractmethod
    def post_processor(self) -> PostProcessor:
        """Makes segmentations of predictions."""

    @cached_property
    def evaluator(self) -> Evaluator:
        """Compares segmentations with ground truth, by the default conventions."""
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

    @property
    def default_criterion(self) -> str:
        """The score that chooses parameters and checkpoints if the configuration does not name one."""
        return self.config.default_criterion

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
        """Choose the parameters by which predictions become segmentations, on validation volumes.

        Args:
            volumes: validation volumes.
            evaluation: conventions of the scores, and the criterion.
            segmentation: candidate settings; used by tasks that segment by agglomeration.
            scratch: directory for intermediate arrays.
            num_workers: threads; the result does not depend on it.
            progress: counts the candidates, if the task reports them.

        Returns:
            Plain values: ``chosen``, ``table`` with a row per candidate, ``criterion``, and what else the task reports.

        Raises:
            ConfigurationError: the evaluator has no such criterion, or no candidate has a score.
        """
        # deferred: loads numba and the post-processors
        from attacca.tasks.voxelwise_tuning import tune_voxelwise

        return tune_voxelwise(self, volumes, evaluation, scratch, progress)

    def score_candidates(
        self,
        volumes: Sequence[ValidationPrediction],
        evaluation: EvaluationConfig,
        segmentation: SegmentationConfig | None,
        criterion: str,
        scratch: Path,
    ) -> list[float]:
        """Return the mean of a criterion over validation volumes for each candidate of ``tune``; nan if undefined.

        See ``tune`` for the other arguments.
        """
        # deferred: loads numba and the post-processors
        from attacca.tasks.voxelwise_tuning import score_candidates

        values = score_candidates(self, volumes, evaluation, criterion, scratch)
        return [sum(row) / len(volumes) for row in values.tolist()]

    @property
    def parameters(self) -> list[Any]:
        """The post-processor's parameters to try."""
        return list(self.post_processor.enumerate_parameters())

    @property
    def evaluation_scores(self) -> EvaluationScores:
        """The scores that the evaluator gives, without values."""
        return self.evaluator.score

    def create_model(self, architecture: Architecture) -> Model:
        """The architecture with the predictor's head on it."""
        return self.predictor.create_model(architecture)
