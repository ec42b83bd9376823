"""Instances by the affinities of neighboring voxels."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from attacca.config.tasks import AffinitiesTaskConfig
from attacca.predictors import AffinitiesPredictor
from attacca.tasks.task import Task

if TYPE_CHECKING:
    from attacca.evaluators import Evaluator
    from attacca.losses import Loss
    from attacca.post_processors import PostProcessor


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

    @cached_property
    def evaluator(self) -> Evaluator:
        from attacca.evaluators import InstanceEvaluator

        return InstanceEvaluator()


AffinitiesTaskConfig.task_type = AffinitiesTask
