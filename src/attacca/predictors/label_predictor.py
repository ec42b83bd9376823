"""Base of predictors whose targets are a function of the labels, for extensions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.types import ArrayType, ProbabilityArray
from attacca.errors import VolumeError
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.predictor import (
    Predictor,
    create_array_like,
    create_model_with_head,
    read_labels,
    read_mask,
)

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


class LabelPredictor(Predictor):
    """Base of predictors whose targets are a function of the labels. A subclass has ``channels`` and ``compute``.

    The weight of a voxel in the loss is its mask. With ``is_binary``, weights are balanced such that 0 and 1 have the
    same sum, in each channel by itself.

    Args:
        options: keys of the section that selects the predictor.

    Examples:
        >>> from funlib.geometry import Roi
        >>> from attacca.arrays import NumpyArray
        >>> class Foreground(LabelPredictor):
        ...     channels = ("foreground",)
        ...     is_binary = True
        ...     def compute(self, labels, voxel_size):
        ...         return labels[None] > 0
        >>> labels = NumpyArray.from_np_array(np.array([[0, 9]]), Roi((0, 0), (8, 16)), Coordinate(8, 8), ["y", "x"])
        >>> Foreground(None).create_target(labels).data.tolist()
        [[[0.0, 1.0]]]
    """

    channels: Sequence[str]
    """Names of the channels of targets and predictions."""
    margin: int = 0
    """Distance in voxels at which labels decide the target of a voxel."""
    values: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest possible value of a target. Predictions beyond it are clipped when they are stored."""
    is_binary: bool = False
    """True if targets are 0 or 1."""
    activation: Literal["sigmoid", "softmax"] | None = None
    """Applied to predictions, but not in training: for losses that take logits."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def compute(self, labels: np.ndarray, voxel_size: Coordinate) -> np.ndarray:
        """Return the target, (channels, *spatial), bool or numbers.

        Args:
            labels: (*spatial), bool or integers; (channels, *spatial) for labels of several channels.
            voxel_size: world units.
        """

    @property
    def output_array_type(self) -> ArrayType:
        return ProbabilityArray(list(self.channels))

    @property
    def value_range(self) -> tuple[float, float]:
        return self.values

    @property
    def target_is_binary(self) -> bool:
        return self.is_binary

    def create_model(self, architecture: Architecture) -> Model:
        return create_model_with_head(architecture, len(self.channels), activation=self.activation)

    def create_target(self, gt: Array) -> Array:
        labels = read_labels(gt)
        if labels.ndim > gt.dims and len(labels) == 1:
            labels = labels[0]
        target = np.asarray(self.compute(labels, Coordinate(gt.voxel_size)))
        shape = (len(self.channels), *labels.shape[labels.ndim - gt.dims :])
        if target.shape != shape:
            raise VolumeError(
                f"{type(self).__name__}.compute returned the shape {target.shape} for labels of the shape {labels.shape}, "
                f"expected {shape}: one channel for each of {', '.join(self.channels)}"
            )
        low, high = self.values
        # Comparisons with NaN are False.
        if target.size and not (target.min() >= low and target.max() <= high):
            raise VolumeError(
                f"{type(self).__name__}.compute returned values from {target.min()} to {target.max()}, expected {low} to "
                f"{high}, the attribute 'values'"
            )
        return create_array_like(gt, target.astype(np.float32))

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        return voxel_size * self.margin, voxel_size * self.margin

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        known = read_mask(mask)
        if known is not None and known.ndim > gt.dims:
            known = (known != 0).all(axis=0)
        for index, channel in enumerate(target[target.roi]):
            yield BalancedPart(
                slice(index, index + 1),
                (channel > 0.5).astype(np.uint8),
                known,
                num_classes=2 if self.is_binary else 0,
            )
