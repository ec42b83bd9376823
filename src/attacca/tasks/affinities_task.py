"""Task of instance segmentation by affinities."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.predictors import AffinitiesPredictor
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.post_processors import PostProcessor
    from attacca.tasks.tuner import Tuner


class AffinitiesTask(Task):
    """Instances by affinities, optionally with local shape descriptors as an auxiliary task."""

    config: AffinitiesTaskConfig

    @cached_property
    def predictor(self) -> AffinitiesPredictor:
        config = self.config
        return AffinitiesPredictor(
            config.neighborhood,
            lsds=config.lsds,
            num_voxels=config.num_lsd_voxels,
            downsample_lsds=config.downsample_lsds,
            grow_boundary_iterations=config.grow_boundary_iterations,
            affs_weight_clipmin=config.affs_weight_clipmin,
            affs_weight_clipmax=config.affs_weight_clipmax,
            lsd_weight_clipmin=config.lsd_weight_clipmin,
            lsd_weight_clipmax=config.lsd_weight_clipmax,
            background_as_object=config.background_as_object,
            mask_partners=config.mask_partners,
        )

    @cached_property
    def loss(self) -> Loss:
        # deferred: loads torch
        from attacca.losses import AffinitiesLoss

        return AffinitiesLoss(len(self.config.neighborhood), self.config.lsds_to_affs_weight_ratio)

    @cached_property
    def post_processor(self) -> PostProcessor:
        # deferred: loads numba
        from attacca.post_processors import WatershedPostProcessor

        return WatershedPostProcessor(offsets=self.config.neighborhood)

    def create_evaluator(
        self, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
    ) -> Evaluator:
        # deferred: loads numba
        from attacca.evaluators import GroundTruthRules, InstanceEvaluator

        evaluation = evaluation or EvaluationConfig()
        return InstanceEvaluator(
            evaluation.ignore_background,
            evaluation.unlabelled_prediction,
            evaluation.iou_thresholds,
            GroundTruthRules.from_config(evaluation, unlabelled),
            evaluation.regions,
        )

    def create_tuner(
        self, evaluation: EvaluationConfig | None = None, segmentation: SegmentationConfig | None = None
    ) -> Tuner:
        # deferred: loads numba
        from attacca.tasks.affinities_tuner import AffinitiesTuner

        return AffinitiesTuner(
            self.config, evaluation or EvaluationConfig(), segmentation or SegmentationConfig()
        )


AffinitiesTaskConfig.task_type = AffinitiesTask
