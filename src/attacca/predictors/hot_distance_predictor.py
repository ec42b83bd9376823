"""Predictor of classes and of their distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.channel_axis import add_channel_axis
from attacca.arrays.types import ProbabilityArray
from attacca.config.tasks import DEFAULT_HEAD_KERNEL
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distance_channels import DistanceChannels
from attacca.predictors.predictor import create_model_with_head

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


class HotDistancePredictor(DistanceChannels):
    """Inside or outside of each class (a logit), then its signed distance: 2 n channels for n classes.

    Both halves of a prediction are above 0 inside, in training and in evaluation mode.

    Args:
        channels: names of the classes.
        scale_factor: divisor of distances before tanh, in world units.
        mask_distances: set the weight of distances to 0 if a boundary outside the mask could change them. The task
            configuration has false as the default; DaCapo's API has none.
        kernel_size: edge length of the head's convolution, in voxels; None means 3.
        class_ids: see ``DistanceChannels``.

    >>> predictor = HotDistancePredictor(["cell"], 8.0, mask_distances=False)
    >>> predictor.channel_names
    ['cell', 'cell distance']
    >>> predictor.process(np.array([[0, 0, 5, 5]]), Coordinate(4, 4))
    array([[[ 0.,  0.,  1.,  1.]],
    <BLANKLINE>
           [[-6., -2.,  2.,  6.]]], dtype=float32)
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
        kernel_size = self.kernel_size or DEFAULT_HEAD_KERNEL
        return create_model_with_head(architecture, self.embedding_dims, kernel_size)

    def process(
        self,
        labels: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """Return inside (1) or outside (0), then signed distances: (2 * channels, *spatial), float32.

        Arguments as of ``DistanceChannels.process``.
        """
        labels = add_channel_axis(labels, len(voxel_size))
        result = np.empty((2 * labels.shape[0], *labels.shape[1:]), dtype=np.float32)
        np.greater(labels, 0, out=result[: len(labels)], casting="unsafe")
        result[len(labels) :] = self.compute_distances(labels, voxel_size, normalize, normalize_args)
        return result

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        labels = self.split_labels(gt)
        masked = self.read_channel_mask(gt, mask)
        yield from self.split_classes(labels, masked)
        if self.mask_distances:
            masked = self.mask_uncertain(target[target.roi][self.classes :], masked, gt.voxel_size)
        yield from self.split_classes(labels, masked, first_channel=self.classes)
