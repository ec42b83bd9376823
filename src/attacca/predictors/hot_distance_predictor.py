"""Classes and their distances side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.types import ProbabilityArray
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels
from attacca.predictors.label_arrays import with_channels
from attacca.predictors.predictor import DEFAULT_HEAD_KERNEL, convolution

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


class HotDistancePredictor(DistanceChannels):
    """For each class first inside or outside (as a logit), then its signed distance: 2 n channels for n
    classes.

    Both halves of a prediction are above 0 inside, in training and in evaluation mode.

    Args:
        channels: names of the classes.
        scale_factor: world units.
        mask_distances: give weight 0 to distances that a boundary beyond the mask could change.
        kernel_size: edge length of the head's convolution in voxels; None is 3.
        class_ids: see ``DistanceChannels``.
    """

    def __init__(
        self,
        channels: Sequence[str],
        scale_factor: float,
        mask_distances: bool,
        kernel_size: int | None = None,
        class_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__(channels, scale_factor, class_ids)
        self.mask_distances = mask_distances
        self.kernel_size = kernel_size

    @property
    def classes(self) -> int:
        """Number of classes, half the number of channels."""
        return len(self.channels)

    @property
    def output_array_type(self) -> ProbabilityArray:
        return ProbabilityArray(self.channel_names)

    @property
    def channel_names(self) -> list[str]:
        return [*self.channels, *(f"{channel} distance" for channel in self.channels)]

    @property
    def value_range(self) -> tuple[float, float]:
        return -1.0, 1.0

    def create_model(self, architecture: Architecture) -> Model:
        from attacca.model import Model

        return Model(
            architecture,
            convolution(architecture, self.embedding_dims, self.kernel_size or DEFAULT_HEAD_KERNEL),
        )

    def process(
        self,
        labels: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """Inside (1) or outside (0), then signed distances: (2 channels, *spatial)."""
        labels = with_channels(labels, len(voxel_size))
        result = np.empty((2 * labels.shape[0], *labels.shape[1:]), dtype=np.float32)
        np.greater(labels, 0, out=result[: len(labels)], casting="unsafe")
        result[len(labels) :] = self.distances(labels, voxel_size, normalize, normalize_args)
        return result

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        labels = self.labels_by_channel(gt)
        masked = self.known_mask(gt, mask)
        yield from self.parts_of(labels, masked)
        if self.mask_distances:
            masked = self.certain_mask(target[target.roi][self.classes :], masked, gt.voxel_size)
        yield from self.parts_of(labels, masked, first_channel=self.classes)
