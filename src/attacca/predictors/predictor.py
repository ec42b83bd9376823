"""What every predictor can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, NumpyArray
from attacca.arrays.types import ArrayType
from attacca.predictors.class_balance import BalancedPart, ClassCounts

if TYPE_CHECKING:
    import torch

    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


class Predictor(ABC):
    """What a model learns to predict: its head, and the target and weight that ground truth becomes."""

    fill_outside: ClassVar[Literal[0, "edge"]] = 0
    """What ground truth is read as beyond the volume, for a target equal to that of the volume as a whole.
    Masks are read as 0 there."""

    @property
    @abstractmethod
    def output_array_type(self) -> ArrayType:
        """What the values of a prediction mean."""

    @property
    def channel_names(self) -> list[str]:
        """A name for each channel of target, weight and prediction; by default as the array type says."""
        return self.output_array_type.channel_names

    @property
    def value_range(self) -> tuple[float, float]:
        """Lowest and highest value of a prediction in evaluation mode; what lies beyond is clipped when
        stored. By default as the array type says."""
        return self.output_array_type.value_range

    @property
    def target_is_binary(self) -> bool:
        """Whether targets are 0 or 1 everywhere, and so are stored exactly in a byte."""
        return False

    @property
    def num_channels(self) -> int:
        """Number of channels of target, weight and prediction."""
        return len(self.channel_names)

    @abstractmethod
    def create_model(self, architecture: Architecture) -> Model:
        """The architecture with this predictor's head on it."""

    @abstractmethod
    def create_target(self, gt: Array) -> Array:
        """What the model shall predict, from ground truth of the region ``gt_region_for_roi``.

        Args:
            gt: labels, with or without a channel axis; bool or any integer dtype; 2D or 3D.

        Returns:
            channels and spatial axes, over the ROI of ``gt``; only the part that the region was asked for
            does not depend on where ``gt`` ends.

        Raises:
            attacca.errors.VolumeError: the labels are not what this predictor needs.
        """

    def check_ground_truth(self, gt: Array, mask: Array | None) -> None:  # noqa: B027 - most take any labels
        """Refuse labels from which a target can be made, but none that is meant.

        Args:
            gt, mask: as in ``create_weight``.

        Raises:
            attacca.errors.VolumeError: which values were found, and which are expected.
        """

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        """What weights are made of, for each group of channels that is balanced by itself, in order.

        Arguments as in ``create_weight``. Counts of a part over several regions add up, so weights of a large
        volume can be made block by block: what the workflow does. A predictor that has ``create_weight`` alone
        is for pipelines of gunpowder.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must have balanced_parts, or a create_weight of its own"
        )

    def create_weight(
        self, gt: Array, target: Array, mask: Array | None, moving_class_counts: Any = None
    ) -> tuple[Array, Any]:
        """How much each value of the target counts in the loss.

        Args:
            gt: as in ``create_target``.
            target: from ``create_target(gt)``.
            mask: over the same ROI, with or without a channel axis: 0 where nothing is known (unlabelled,
                masked out, outside the volume); None for none.
            moving_class_counts: the second result of the call before, None at the first; it may be changed.

        Returns:
            weights (float32, the shape of the target) and running class counts for the next call.
        """
        weights = np.empty(target.data.shape, dtype=np.float32)
        running = None if moving_class_counts is None else self.flat_counts(moving_class_counts)
        counts: list[ClassCounts] = []
        for index, part in enumerate(self.balanced_parts(gt, target, mask)):
            weights[part.channels], of_part = part.balance(None if running is None else running[index])
            counts.append(of_part)
        return like(gt, weights), self.pack_counts(counts)

    def pack_counts(self, counts: list[ClassCounts]) -> Any:
        """Running counts of all parts in the form that ``create_weight`` returns."""
        return counts

    def flat_counts(self, packed: Any) -> list[ClassCounts]:
        """The inverse of ``pack_counts``."""
        return list(packed)

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        """World units of ground truth that a target needs, below and above its ROI."""
        zero = Coordinate((0,) * voxel_size.dims)
        return zero, zero

    def weight_context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate] | None:
        """Return the context of a weight if the class counts are given: distances below and above a ROI.

        Args:
            voxel_size: world units.

        Returns:
            world units; None if weights need all ground truth from which the target was made.
        """
        return None

    def create_target_within(self, gt: Array, roi: Roi) -> Array:
        """Return the target of which only ``roi`` is used; other parts may be missing if that saves time.

        Args:
            gt: as in ``create_target``.
            roi: world units, inside that of ``gt``.
        """
        return self.create_target(gt)

    def grid(self, voxel_size: Coordinate) -> Coordinate:
        """World units in whose multiples the region of ground truth begins and ends."""
        return voxel_size

    def gt_roi(self, roi: Roi, voxel_size: Coordinate) -> Roi:
        """The ROI of ground truth that makes the target in ``roi`` independent of where it ends.

        It is snapped outward to ``grid``, in the volume's own voxels, which need not begin at a multiple of
        the voxel size.
        """
        below, above = self.context(voxel_size)
        on_grid = not any(roi.shape % voxel_size)
        phase = roi.begin % voxel_size if on_grid else Coordinate((0,) * roi.dims)
        grown = (roi - phase).grow(below, above).snap_to_grid(self.grid(voxel_size), mode="grow")
        return grown + phase if on_grid or any(below) or any(above) else roi

    def gt_region_for_roi(self, target_spec: Any) -> Any:
        """The ground truth that a target needs: a copy of ``target_spec`` with a larger ROI.

        Args:
            target_spec: has ``roi``, ``voxel_size`` and ``copy()``, as a ``gunpowder.ArraySpec`` does.
        """
        spec = target_spec.copy()
        spec.roi = self.gt_roi(target_spec.roi, Coordinate(target_spec.voxel_size))
        return spec

    def padding(self, gt_voxel_size: Coordinate) -> Coordinate:
        """World units, in whole voxels, by which ground truth must exceed a target on each side."""
        gt_voxel_size = Coordinate(gt_voxel_size)
        below, above = self.context(gt_voxel_size)
        return Coordinate(-(-max(b, a) // size) * size for b, a, size in zip(below, above, gt_voxel_size))


def labels_of(gt: Array) -> np.ndarray:
    """The voxels of ground truth, as stored."""
    return np.asarray(gt[gt.roi])


def like(gt: Array, data: np.ndarray) -> NumpyArray:
    """Channels over the ROI of ``gt``."""
    axes = ["c", *gt.spatial_axes]
    return NumpyArray.from_np_array(data, gt.roi, gt.voxel_size, axes)  # type: ignore[attr-defined]


def mask_of(mask: Array | None) -> np.ndarray | None:
    """The voxels of a mask."""
    return None if mask is None else np.asarray(mask[mask.roi])


DEFAULT_HEAD_KERNEL = 3
"""Edge length of the last convolution of hot distances and classes, in voxels."""


def convolution(architecture: Architecture, channels: int, kernel_size: int = 1) -> torch.nn.Module:
    """A head: one convolution in the architecture's number of dimensions, without padding."""
    import torch

    layer = {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[architecture.dims]
    return layer(architecture.num_out_channels, channels, kernel_size=kernel_size)
