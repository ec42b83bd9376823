"""A task that learns nothing, for tests of the machinery."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from attacca.config.evaluation import EvaluationConfig
from attacca.config.tasks import DummyTaskConfig
from attacca.predictors import DummyPredictor
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.post_processors import PostProcessor


class DummyTask(Task):
    """Predicts zeros, makes an array of one value of them, and gives it scores that depend on its name."""

    config: DummyTaskConfig

    @cached_property
    def predictor(self) -> DummyPredictor:
        return DummyPredictor(self.config.embedding_dims)

    @cached_property
    def loss(self) -> Loss:
        from attacca.losses import DummyLoss

        return DummyLoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        from attacca.post_processors import DummyPostProcessor

        return DummyPostProcessor(self.config.detection_threshold)

    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        from attacca.evaluators import DummyEvaluator

        return DummyEvaluator()


DummyTaskConfig.task_type = DummyTask
