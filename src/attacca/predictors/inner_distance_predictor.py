"""Distances to the boundaries of classes, inside only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.types import DistanceArray
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels
from attacca.predictors.predictor import like


class InnerDistancePredictor(DistanceChannels):
    """Distances to the boundary inside objects, 0 outside, through ``tanh(d / scale_factor)``.

    Args:
        channels: names of the classes.
        scale_factor: world units.
        class_ids: see ``DistanceChannels``.
    """

    @property
    def embedding_dims(self) -> int:
        return len(self.channels)

    @property
    def output_array_type(self) -> DistanceArray:
        return DistanceArray(dict(enumerate(self.channels)), max=1.0)

    @property
    def channel_names(self) -> list[str]:
        return list(self.channels)

    @property
    def value_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    def process(
        self,
        labels: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """Distances inside objects, 0 elsewhere; arguments and result as of ``DistancePredictor.process``."""
        distances = self.distances(labels, voxel_size, normalize, normalize_args)
        return np.maximum(distances, 0, out=distances)

    def create_target(self, gt: Array) -> Array:
        labels = self.labels_by_channel(gt)
        return like(gt, self.process(labels, gt.voxel_size, self.norm, self.scale_factor))

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        yield from self.parts_of(self.labels_by_channel(gt), self.known_mask(gt, mask))
