"""Instances by the affinities of neighboring voxels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.predictors import AffinitiesPredictor
from attacca.progress import Progress
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.post_processors import PostProcessor
    from attacca.tasks.validation_prediction import ValidationPrediction


class AffinitiesTask(Task):
    """Objects by affinities, with local shape descriptors as an auxiliary task if wished."""

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
        from attacca.losses import AffinitiesLoss

        return AffinitiesLoss(len(self.config.neighborhood), self.config.lsds_to_affs_weight_ratio)

    @cached_property
    def post_processor(self) -> PostProcessor:
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
        )

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
        # deferred: loads numba
        from attacca.tasks.affinities_tuning import tune_affinities

        segmentation = segmentation or SegmentationConfig()
        return tune_affinities(self.config, volumes, evaluation, segmentation, scratch, num_workers)

    def score_candidates(
        self,
        volumes: Sequence[ValidationPrediction],
        evaluation: EvaluationConfig,
        segmentation: SegmentationConfig | None,
        criterion: str,
        scratch: Path,
    ) -> list[float]:
        # deferred: loads numba
        from attacca.tasks.affinities_tuning import score_affinities

        segmentation = segmentation or SegmentationConfig()
        return score_affinities(self.config, volumes, evaluation, segmentation, criterion, scratch)


AffinitiesTaskConfig.task_type = AffinitiesTask
