"""Tasks that find classes: by distances, by distances and classes, or by classes alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from attacca.config.tasks import (
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
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.post_processors import PostProcessor

# Distances inside start at tanh(half a voxel / scale factor) and are 0 outside: the middle of the range is
# too high.
_INNER_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)


def _binary_evaluator(
    config: DistanceTaskConfig | InnerDistanceTaskConfig | HotDistanceTaskConfig,
) -> Evaluator:
    from attacca.evaluators import BinarySegmentationEvaluator

    return BinarySegmentationEvaluator(
        config.clip_distance, config.tol_distance, config.channels, class_ids=config.class_ids
    )


class DistanceTask(Task):
    """Classes by their signed distances."""

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
    def loss(self) -> Loss:
        from attacca.losses import MSELoss

        return MSELoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        from attacca.post_processors import ThresholdPostProcessor

        return ThresholdPostProcessor(self.config.thresholds, value_range=self.predictor.value_range)

    @cached_property
    def evaluator(self) -> Evaluator:
        return _binary_evaluator(self.config)


class InnerDistanceTask(Task):
    """Classes by the distances inside of them."""

    config: InnerDistanceTaskConfig

    @cached_property
    def predictor(self) -> InnerDistancePredictor:
        return InnerDistancePredictor(self.config.channels, self.config.scale_factor, self.config.class_ids)

    @cached_property
    def loss(self) -> Loss:
        from attacca.losses import MSELoss

        return MSELoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        from attacca.post_processors import ThresholdPostProcessor

        thresholds = self.config.thresholds or _INNER_THRESHOLDS
        return ThresholdPostProcessor(thresholds, value_range=self.predictor.value_range)

    @cached_property
    def evaluator(self) -> Evaluator:
        return _binary_evaluator(self.config)


class HotDistanceTask(Task):
    """Classes by their signed distances, learnt together with the classes themselves.

    The half of the channels that ``evaluated_half`` names becomes the segmentation; both are above 0 inside.
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
        from attacca.losses import HotDistanceLoss

        return HotDistanceLoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        from attacca.post_processors import ThresholdPostProcessor

        n = len(self.config.channels)
        half = range(n, 2 * n) if self.config.evaluated_half == "distance" else range(n)
        return ThresholdPostProcessor(
            self.config.thresholds, channels=list(half), value_range=self.predictor.value_range
        )

    @cached_property
    def evaluator(self) -> Evaluator:
        return _binary_evaluator(self.config)


class OneHotTask(Task):
    """One class for each voxel."""

    config: OneHotTaskConfig

    @cached_property
    def predictor(self) -> OneHotPredictor:
        return OneHotPredictor(self.config.classes, self.config.kernel_size, self.config.balance_classes)

    @cached_property
    def loss(self) -> Loss:
        from attacca.losses import CrossEntropyLoss, DummyLoss

        return CrossEntropyLoss() if self.config.loss == "cross_entropy" else DummyLoss()

    @cached_property
    def post_processor(self) -> PostProcessor:
        from attacca.post_processors import ArgmaxPostProcessor

        return ArgmaxPostProcessor()

    @cached_property
    def evaluator(self) -> Evaluator:
        from attacca.evaluators import OneHotEvaluator

        return OneHotEvaluator(self.config.classes)


DistanceTaskConfig.task_type = DistanceTask
InnerDistanceTaskConfig.task_type = InnerDistanceTask
HotDistanceTaskConfig.task_type = HotDistanceTask
OneHotTaskConfig.task_type = OneHotTask
