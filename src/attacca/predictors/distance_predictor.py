"""Signed distances to the boundaries of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.types import DistanceArray
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels
from attacca.predictors.predictor import like


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
        return -1.0, 1.0

    def process(
        self,
        labels: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """Signed distances.

        Args:
            labels: (channels, *spatial) or spatial axes only; touching instances are separated.
            voxel_size: world units.
            normalize: ``"tanh"`` for ``tanh(d / normalize_args)``, None for world units.
            normalize_args: world units; None is ``scale_factor``.

        Returns:
            float32, (channels, *spatial).
        """
        return self.distances(labels, voxel_size, normalize, normalize_args)

    def create_distance_mask(
        self,
        distances: np.ndarray,
        mask: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """The part of ``mask`` where no boundary outside of it could change ``distances``.

        Args:
            distances: (channels, *spatial), normalised as ``normalize`` says.
            mask: of the same shape, or with one channel, or none.
            voxel_size: world units.
            normalize: how distances to the mask's border are normalised before they are compared.
            normalize_args: as in ``process``.

        Returns:
            (channels, *spatial), in the dtype of ``mask``.
        """
        return self.distance_mask(distances, mask, voxel_size, normalize, normalize_args)

    def create_target(self, gt: Array) -> Array:
        labels = self.labels_by_channel(gt)
        return like(gt, self.process(labels, gt.voxel_size, self.norm, self.scale_factor))

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        masked = self.known_mask(gt, mask)
        if self.mask_distances:
            masked = self.certain_mask(target[target.roi], masked, gt.voxel_size)
        yield from self.parts_of(self.labels_by_channel(gt), masked, 0, self.clipmin, self.clipmax)
