"""Predictor of signed distances to the boundaries of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels


class DistancePredictor(DistanceChannels):
    """Distance to the boundary, positive inside and negative outside, through ``tanh(d / scale_factor)``.

    Args:
        channels: names of the classes.
        scale_factor: divisor of distances before tanh, in world units.
        mask_distances: set the weight of voxels to 0 if a boundary outside the mask could change their distance. The
            task configuration has true as the default; DaCapo's API has none.
        clipmin: lower bound of the fractions of inside and outside when these are balanced.
        clipmax: upper bound of the fractions.
        class_ids: see ``DistanceChannels``.

    >>> predictor = DistancePredictor(["cell"], 8.0, mask_distances=False)
    >>> labels = np.array([[0, 0, 5, 5]])
    >>> predictor.process(labels, Coordinate(4, 4))
    array([[[-6., -2.,  2.,  6.]]], dtype=float32)
    >>> predictor.process(labels, Coordinate(4, 4), normalize="tanh").round(2)
    array([[[-0.64, -0.24,  0.24,  0.64]]], dtype=float32)
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
        return self.compute_distances(labels, voxel_size, normalize, normalize_args)

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        masked = self.read_channel_mask(gt, mask)
        if self.mask_distances:
            masked = self.mask_uncertain(target[target.roi], masked, gt.voxel_size)
        yield from self.split_classes(self.split_labels(gt), masked, 0, self.clipmin, self.clipmax)
