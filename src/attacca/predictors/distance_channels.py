"""What the predictors of distances share: channels, context, normalisation, weights."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.arrays.types import ArrayType, DistanceArray
from attacca.errors import ConfigurationError, VolumeError
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.distances import certain_distances, signed_distances
from attacca.predictors.label_arrays import with_channels
from attacca.predictors.predictor import Predictor, convolution, labels_of, like, mask_of

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model

_SATURATION = 4  # tanh(4) is within 1e-3 of 1: farther boundaries do not matter


class DistanceChannels(Predictor):
    """Base of the predictors with one distance channel for each class.

    Args:
        channels: names of the classes.
        scale_factor: world units by which distances are divided before tanh.
        class_ids: which value of a volume of class ids each channel stands for. Without it, ground truth has
            one channel for each class, and every label above 0 is inside.
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
        """World units by which distances are divided before tanh."""
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
        from attacca.model import Model

        return Model(architecture, convolution(architecture, self.embedding_dims))

    def labels_by_channel(self, gt: Array) -> np.ndarray:
        """(channels, *spatial): the labels of each class.

        Raises:
            VolumeError: ground truth has another number of channels.
        """
        labels = with_channels(labels_of(gt), gt.dims)
        expected = len(self.channels) if self.class_ids is None else 1
        if labels.shape[0] != expected:
            raise VolumeError(
                f"labels have {labels.shape[0]} channels; {expected} are needed for "
                f"{', '.join(self.channels)}; give one for each class, or class_ids for labels of one channel"
            )
        if self.class_ids is None:
            return labels
        return np.concatenate([labels == class_id for class_id in self.class_ids]).view(np.uint8)

    def distances(
        self, labels: np.ndarray, voxel_size: Coordinate, normalize: str | None, normalize_args: Any
    ) -> np.ndarray:
        """Signed distances of each channel, float32, normalised or in world units."""
        self._check_normalisation(normalize)
        labels = with_channels(labels, len(voxel_size))
        result = np.empty(labels.shape, dtype=np.float32)
        for channel, of_channel in zip(result, labels):
            channel[...] = signed_distances(of_channel, voxel_size)
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
        """What the model shall predict.

        Args:
            labels: (channels, *spatial) or spatial axes only; touching instances are separated.
            voxel_size: world units.
            normalize: ``"tanh"`` for ``tanh(d / normalize_args)``, None for world units.
            normalize_args: world units; None is ``scale_factor``.

        Returns:
            float32, (channels, *spatial).
        """

    def create_target(self, gt: Array) -> Array:
        labels = self.labels_by_channel(gt)
        return like(gt, self.process(labels, gt.voxel_size, self.norm, self.scale_factor))

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
            distances: signed, (channels, *spatial), normalised as ``normalize`` says.
            mask: of the same shape, or with one channel, or none.
            voxel_size: world units.
            normalize: how distances to the mask's border are normalised before they are compared.
            normalize_args: as in ``process``.

        Returns:
            (channels, *spatial), in the dtype of ``mask``.
        """
        self._check_normalisation(normalize)
        scale = None
        if normalize == "tanh":
            scale = float(self.scale_factor if normalize_args is None else normalize_args)
        distances = with_channels(distances, len(voxel_size))
        masks = np.broadcast_to(with_channels(mask, len(voxel_size)), distances.shape)
        kept = np.empty(distances.shape, dtype=mask.dtype)
        for result, channel, of_channel in zip(kept, distances, masks):
            result[...] = certain_distances(
                channel, of_channel, voxel_size, scale, self.epsilon, self.threshold
            )
        return kept

    @staticmethod
    def _check_normalisation(normalize: str | None) -> None:
        if normalize not in (None, "tanh"):
            raise ConfigurationError(
                f"unknown normalisation of distances {normalize!r}; known are 'tanh' and None"
            )

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        grown = Coordinate((math.ceil(_SATURATION * self.scale_factor),) * voxel_size.dims)
        return grown, grown

    def parts_of(
        self,
        labels: np.ndarray,
        mask: np.ndarray | None,
        first_channel: int = 0,
        clipmin: float = 0.05,
        clipmax: float = 0.95,
    ) -> Iterator[BalancedPart]:
        """One part for each class: inside (labels above 0) and outside are balanced.

        Args:
            labels: (channels, *spatial).
            mask: of a shape that broadcasts to it.
            first_channel: where the first class's weights go.
        """
        masks = None if mask is None else np.broadcast_to(mask, labels.shape)
        for index, of_class in enumerate(labels):
            channel = slice(first_channel + index, first_channel + index + 1)
            inside = (of_class > 0).view(np.uint8)
            yield BalancedPart(channel, inside, None if masks is None else masks[index], 2, clipmin, clipmax)

    def known_mask(self, gt: Array, mask: Array | None) -> np.ndarray | None:
        """The voxels of a mask, with a channel axis."""
        masked = mask_of(mask)
        return None if masked is None else with_channels(masked, gt.dims)

    def certain_mask(
        self, distances: np.ndarray, mask: np.ndarray | None, voxel_size: Coordinate
    ) -> np.ndarray:
        """The part of a mask (None for all) where tanh distances are certain: (channels, *spatial)."""
        if mask is None:
            mask = np.ones((1, *distances.shape[1:]), dtype=np.uint8)
        return self.create_distance_mask(distances, mask, voxel_size, self.norm, self.scale_factor)
