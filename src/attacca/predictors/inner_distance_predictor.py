"""Predictor of distances to the boundaries of classes, inside only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels


class InnerDistancePredictor(DistanceChannels):
    """Distance to the boundary inside objects, 0 outside, through ``tanh(d / scale_factor)``.

    Args:
        channels: names of the classes.
        scale_factor: divisor of distances before tanh, in world units.
        class_ids: see ``DistanceChannels``.

    >>> InnerDistancePredictor(["cell"], 8.0).process(np.array([[0, 0, 5, 5]]), Coordinate(4, 4))
    array([[[0., 0., 2., 6.]]], dtype=float32)
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
        """Return distances inside objects, 0 elsewhere; arguments as of ``DistanceChannels.process``."""
        distances = self.compute_distances(labels, voxel_size, normalize, normalize_args)
        return np.maximum(distances, 0, out=distances)

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        yield from self.split_classes(self.split_labels(gt), self.read_channel_mask(gt, mask))
