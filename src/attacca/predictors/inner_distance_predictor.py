"""Distances to the boundaries of classes, inside only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels


class InnerDistancePredictor(DistanceChannels):
    """Distances to the boundary inside objects, 0 outside, through ``tanh(d / scale_factor)``.

    Args:
        channels: names of the classes.
        scale_factor: world units.
        class_ids: see ``DistanceChannels``.
    """

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
        """Distances inside objects, 0 elsewhere."""
        distances = self.distances(labels, voxel_size, normalize, normalize_args)
        return np.maximum(distances, 0, out=distances)

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        yield from self.parts_of(self.labels_by_channel(gt), self.known_mask(gt, mask))
