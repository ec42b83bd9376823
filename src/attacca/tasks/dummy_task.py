"""Task without learning, for tests."""

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
    """Zero predictions, segmentations of one value, and scores that depend on the name of the segmentation."""

    config: DummyTaskConfig

    @cached_property
    def predictor(self) -> DummyPredictor:
        return DummyPredictor(self.config.embedding_dims)

    @cached_property
    def loss(self) -> Loss:
        # deferred: loads torch
        from attacca.losses import DummyLoss

        return DummyLoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        # deferred: loads numba
        from attacca.post_processors import DummyPostProcessor

        return DummyPostProcessor(self.config.detection_threshold)

    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        # deferred: loads numba
        from attacca.evaluators import DummyEvaluator

        return DummyEvaluator()


DummyTaskConfig.task_type = DummyTask
