"""Base of the predictors of distances: channels, context, normalization, weights."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.channel_axis import add_channel_axis
from attacca.arrays.types import ArrayType, DistanceArray
from attacca.errors import ConfigurationError, VolumeError
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distances import compute_signed_distances, mask_uncertain_distances
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

_SATURATION = 4  # tanh(4) is within 1e-3 of 1: boundaries beyond do not change the target


class DistanceChannels(Predictor):
    """Base of the predictors with one distance channel per class.

    Distances are measured as in L. Heinrich et al., "Whole-cell organelle segmentation in volume electron microscopy",
    Nature 599 (2021): signed, to the nearest boundary, through ``tanh(d / scale_factor)``.

    Args:
        channels: names of the classes.
        scale_factor: world units by which distances are divided before tanh: targets resolve distances up to about
            twice this value.
        class_ids: value of each class in ground truth with one channel of class ids. Without it, ground truth has one
            channel per class, in which labels above 0 are inside.
    """

    fill_outside: ClassVar[Literal[0, "edge"]] = "edge"
    norm: ClassVar[str] = "tanh"
    epsilon: ClassVar[float] = 0.05
    threshold: ClassVar[float] = 0.8

    def __init__(
        self, channels: Sequence[str], scale_factor: float, class_ids: Sequence[int] | None = None
    ) -> None:
        self.channels = list(channels)
        self.scale_factor = scale_factor
        self.class_ids = None if class_ids is None else list(class_ids)

    @property
    def max_distance(self) -> float:
        """Divisor of distances before tanh, in world units."""
        return self.scale_factor

    @property
    def embedding_dims(self) -> int:
        """Number of channels of the prediction."""
        return len(self.channel_names)

    @property
    def output_array_type(self) -> ArrayType:
        return DistanceArray(dict(enumerate(self.channels)), max=1.0)

    @property
    def channel_names(self) -> list[str]:
        return list(self.channels)

    def create_model(self, architecture: Architecture) -> Model:
        return create_model_with_head(architecture, self.embedding_dims)

    def split_labels(self, gt: Array) -> np.ndarray:
        """Return the labels of each class, (channels, *spatial).

        Raises:
            VolumeError: ground truth has another number of channels.
        """
        labels = add_channel_axis(read_labels(gt), gt.dims)
        expected = len(self.channels) if self.class_ids is None else 1
        if labels.shape[0] != expected:
            raise VolumeError(
                f"found labels with {labels.shape[0]} channels, expected {expected} for {', '.join(self.channels)}; "
                "give one channel per class, or set class_ids for labels with one channel"
            )
        if self.class_ids is None:
            return labels
        return np.concatenate([labels == class_id for class_id in self.class_ids]).view(np.uint8)

    def compute_distances(
        self, labels: np.ndarray, voxel_size: Coordinate, normalize: str | None, normalize_args: Any
    ) -> np.ndarray:
        """Return signed distances of each channel, float32; arguments as of ``process``."""
        self._check_normalization(normalize)
        labels = add_channel_axis(labels, len(voxel_size))
        result = np.empty(labels.shape, dtype=np.float32)
        for channel, channel_labels in zip(result, labels):
            channel[...] = compute_signed_distances(channel_labels, voxel_size)
            if normalize == "tanh":
                channel /= np.float32(self.scale_factor if normalize_args is None else normalize_args)
                np.tanh(channel, out=channel)
        return result

    @abstractmethod
    def process(
        self,
        labels: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """Return the target from labels.

        Args:
            labels: ([channels,] *spatial), bool or any integer dtype; touching instances are separated.
            voxel_size: world units.
            normalize: ``"tanh"`` for ``tanh(d / normalize_args)``, None for world units.
            normalize_args: world units; None takes ``scale_factor``.

        Returns:
            float32, (channels, *spatial).

        Raises:
            ConfigurationError: ``normalize`` is another value.
        """

    def create_target(self, gt: Array) -> Array:
        labels = self.split_labels(gt)
        return create_array_like(gt, self.process(labels, gt.voxel_size, self.norm, self.scale_factor))

    def create_distance_mask(
        self,
        distances: np.ndarray,
        mask: np.ndarray,
        voxel_size: Coordinate,
        normalize: str | None = None,
        normalize_args: Any = None,
    ) -> np.ndarray:
        """Set ``mask`` to 0 where a boundary outside of it could change ``distances``.

        Args:
            distances: signed, ([channels,] *spatial), normalized by ``normalize``.
            mask: shape of ``distances``, or with one channel, or without a channel axis; 0 where masked out.
            voxel_size: world units.
            normalize: normalization of the distances to the border of the mask, with which ``distances`` are
                compared.
            normalize_args: as in ``process``.

        Returns:
            (channels, *spatial), in the dtype of ``mask``; see ``attacca.predictors.distances``.
        """
        self._check_normalization(normalize)
        scale = None
        if normalize == "tanh":
            scale = float(self.scale_factor if normalize_args is None else normalize_args)
        distances = add_channel_axis(distances, len(voxel_size))
        masks = np.broadcast_to(add_channel_axis(mask, len(voxel_size)), distances.shape)
        kept = np.empty(distances.shape, dtype=mask.dtype)
        for result, channel, channel_mask in zip(kept, distances, masks):
            result[...] = mask_uncertain_distances(
                channel, channel_mask, voxel_size, scale, self.epsilon, self.threshold
            )
        return kept

    @staticmethod
    def _check_normalization(normalize: str | None) -> None:
        if normalize not in (None, "tanh"):
            raise ConfigurationError(
                f"found normalization of distances {normalize!r}, expected 'tanh' or None"
            )

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        grown = Coordinate((math.ceil(_SATURATION * self.scale_factor),) * voxel_size.dims)
        return grown, grown

    def split_classes(
        self,
        labels: np.ndarray,
        mask: np.ndarray | None,
        first_channel: int = 0,
        clipmin: float = 0.05,
        clipmax: float = 0.95,
    ) -> Iterator[BalancedPart]:
        """Yield one part per class, in which inside (labels above 0) and outside are balanced.

        Args:
            labels: (channels, *spatial).
            mask: a shape that broadcasts to that of ``labels``; None for 1.
            first_channel: channel of the first class's weights.
            clipmin, clipmax: bounds of the fractions of inside and outside.
        """
        masks = None if mask is None else np.broadcast_to(mask, labels.shape)
        for index, class_labels in enumerate(labels):
            channel = slice(first_channel + index, first_channel + index + 1)
            is_inside = (class_labels > 0).view(np.uint8)
            yield BalancedPart(
                channel, is_inside, None if masks is None else masks[index], 2, clipmin, clipmax
            )

    def read_channel_mask(self, gt: Array, mask: Array | None) -> np.ndarray | None:
        """Return the voxels of a mask with a channel axis; None for None."""
        masked = read_mask(mask)
        return None if masked is None else add_channel_axis(masked, gt.dims)

    def mask_uncertain(
        self, distances: np.ndarray, mask: np.ndarray | None, voxel_size: Coordinate
    ) -> np.ndarray:
        """Return the part of a mask (None for 1) in which tanh distances are certain: (channels, *spatial)."""
        if mask is None:
            mask = np.ones((1, *distances.shape[1:]), dtype=np.uint8)
        return self.create_distance_mask(distances, mask, voxel_size, self.norm, self.scale_factor)
