"""What every task can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attacca.config.tasks import TaskConfig
from attacca.predictors import Predictor

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.evaluators import EvaluationScores, Evaluator
    from attacca.losses import Loss
    from attacca.model import Model
    from attacca.post_processors import PostProcessor


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
    @abstractmethod
    def evaluator(self) -> Evaluator:
        """Compares segmentations with the truth."""

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
