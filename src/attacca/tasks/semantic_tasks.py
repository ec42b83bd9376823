"""Tasks of semantic segmentation: by distances, by distances and classes, or by classes."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from attacca.config.evaluation import EvaluationConfig
from attacca.config.tasks import (
    BinaryTaskConfig,
    DistanceTaskConfig,
    HotDistanceTaskConfig,
    InnerDistanceTaskConfig,
    OneHotTaskConfig,
)
from attacca.predictors import (
    DistancePredictor,
    HotDistancePredictor,
    InnerDistancePredictor,
    OneHotPredictor,
)
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.evaluators import Evaluator, GroundTruthRules
    from attacca.losses import Loss
    from attacca.post_processors import PostProcessor

# Distances are 0 outside of objects and at least tanh(half a voxel / scale factor) inside, so that the middle of the
# value range is too high.
_INNER_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)


def _class_rules(evaluation: EvaluationConfig, unlabelled: int | None) -> GroundTruthRules:
    # deferred: loads numba
    from attacca.evaluators import GroundTruthRules

    # Classes are not split into connected components.
    return replace(GroundTruthRules.from_config(evaluation, unlabelled), components=False)


class BinaryTask(Task):
    """Base of the tasks with one binary channel for each class."""

    config: BinaryTaskConfig

    @cached_property
    def loss(self) -> Loss:
        # deferred: loads torch
        from attacca.losses import MSELoss

        return MSELoss()

    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        # deferred: loads numba
        from attacca.evaluators import BinarySegmentationEvaluator

        evaluation = evaluation or EvaluationConfig()
        clip_distance, tolerance = evaluation.clip_distance, evaluation.tolerance
        return BinarySegmentationEvaluator(
            self.config.clip_distance if clip_distance is None else clip_distance,
            self.config.tol_distance if tolerance is None else tolerance,
            self.config.channels,
            self.config.class_ids,
            _class_rules(evaluation, unlabelled),
        )


class DistanceTask(BinaryTask):
    """Classes by signed distances to their boundaries."""

    config: DistanceTaskConfig

    @cached_property
    def predictor(self) -> DistancePredictor:
        config = self.config
        return DistancePredictor(
            config.channels,
            config.scale_factor,
            config.mask_distances,
            config.clipmin,
            config.clipmax,
            class_ids=config.class_ids,
        )

    @cached_property
    def post_processor(self) -> PostProcessor:
        # deferred: loads numba
        from attacca.post_processors import ThresholdPostProcessor

        return ThresholdPostProcessor(self.config.thresholds, value_range=self.predictor.value_range)


class InnerDistanceTask(BinaryTask):
    """Classes by distances to their boundaries from the inside."""

    config: InnerDistanceTaskConfig

    @cached_property
    def predictor(self) -> InnerDistancePredictor:
        return InnerDistancePredictor(self.config.channels, self.config.scale_factor, self.config.class_ids)

    @cached_property
    def post_processor(self) -> PostProcessor:
        # deferred: loads numba
        from attacca.post_processors import ThresholdPostProcessor

        thresholds = self.config.thresholds or _INNER_THRESHOLDS
        return ThresholdPostProcessor(thresholds, value_range=self.predictor.value_range)


class HotDistanceTask(BinaryTask):
    """Classes by signed distances and one-hot channels.

    Segmentations are thresholds of the half of the channels that ``evaluated_half`` names; values of both halves are
    above 0 inside.
    """

    config: HotDistanceTaskConfig

    @cached_property
    def predictor(self) -> HotDistancePredictor:
        config = self.config
        return HotDistancePredictor(
            config.channels, config.scale_factor, config.mask_distances, config.kernel_size, config.class_ids
        )

    @cached_property
    def loss(self) -> Loss:
        # deferred: loads torch
        from attacca.losses import HotDistanceLoss

        return HotDistanceLoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        # deferred: loads numba
        from attacca.post_processors import ThresholdPostProcessor

        n = len(self.config.channels)
        half = range(n, 2 * n) if self.config.evaluated_half == "distance" else range(n)
        return ThresholdPostProcessor(
            self.config.thresholds, channels=list(half), value_range=self.predictor.value_range
        )


class OneHotTask(Task):
    """One class for each voxel."""

    config: OneHotTaskConfig

    @cached_property
    def predictor(self) -> OneHotPredictor:
        return OneHotPredictor(self.config.classes, self.config.kernel_size, self.config.balance_classes)

    @cached_property
    def loss(self) -> Loss:
        # deferred: loads torch
        from attacca.losses import CrossEntropyLoss, DummyLoss

        return CrossEntropyLoss() if self.config.loss == "cross_entropy" else DummyLoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        # deferred: loads numba
        from attacca.post_processors import ArgmaxPostProcessor

        return ArgmaxPostProcessor(self.config.class_factors)

    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        # deferred: loads numba
        from attacca.evaluators import OneHotEvaluator

        rules = _class_rules(evaluation or EvaluationConfig(), unlabelled)
        return OneHotEvaluator(self.config.classes, rules)


DistanceTaskConfig.task_type = DistanceTask
InnerDistanceTaskConfig.task_type = InnerDistanceTask
HotDistanceTaskConfig.task_type = HotDistanceTask
OneHotTaskConfig.task_type = OneHotTask
