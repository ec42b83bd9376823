"""Signed distances to the boundaries of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels


class DistancePredictor(DistanceChannels):
    """Distances to the boundary, positive inside and negative outside, through ``tanh(d / scale_factor)``.

    Args:
        channels: names of the classes.
        scale_factor: world units.
        mask_distances: give weight 0 to voxels whose distance a boundary beyond the mask could change.
        clipmin: smallest fraction that inside or outside is taken to have when both are balanced.
        clipmax: largest fraction.
        class_ids: see ``DistanceChannels``.
    """

    def __init__(
        self,
        channels: Sequence[str],
        scale_factor: float,
        mask_distances: bool,
        clipmin: float = 0.05,
        clipmax: float = 0.95,
        class_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__(channels, scale_factor, class_ids)
        self.mask_distances = mask_distances
        self.clipmin = clipmin
        self.clipmax = clipmax

    @property
    def value_range(self) -> tuple[float, float]:
        return -1.0, 1.0

    def process(
        self,
        labels: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        return self.distances(labels, voxel_size, normalize, normalize_args)

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        masked = self.known_mask(gt, mask)
        if self.mask_distances:
            masked = self.certain_mask(target[target.roi], masked, gt.voxel_size)
        yield from self.parts_of(self.labels_by_channel(gt), masked, 0, self.clipmin, self.clipmax)
