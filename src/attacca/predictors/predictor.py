"""Interface of predictors."""

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
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


class Predictor(ABC):
    """Prediction target of a network: its head, and the conversion of ground truth to targets and weights.

    All arrays are over a region in world units. Ground truth is ([channels,] *spatial) with bool or any integer
    dtype, in 2D or 3D; targets and weights are (channels, *spatial).
    """

    fill_outside: ClassVar[Literal[0, "edge"]] = 0
    """Values of ground truth outside the volume, such that the target of a region equals that of the whole volume.
    Masks are 0 there."""

    @property
    @abstractmethod
    def output_array_type(self) -> ArrayType:
        """Meaning of the values of a prediction."""

    @property
    def channel_names(self) -> list[str]:
        """Name of each channel of target, weight and prediction; by default from the array type."""
        return self.output_array_type.channel_names

    @property
    def value_range(self) -> tuple[float, float]:
        """Minimum and maximum of a prediction in evaluation mode; values outside are clipped when they are stored.

        By default from the array type.
        """
        return self.output_array_type.value_range

    @property
    def target_is_binary(self) -> bool:
        """True if targets are 0 or 1 everywhere, and therefore are stored exactly as uint8."""
        return False

    @property
    def num_channels(self) -> int:
        """Number of channels of target, weight and prediction."""
        return len(self.channel_names)

    @abstractmethod
    def create_model(self, architecture: Architecture) -> Model:
        """Return the architecture with this predictor's head.

        Args:
            architecture: the network without a head; features (batch, channels, *spatial).
        """

    @abstractmethod
    def create_target(self, gt: Array) -> Array:
        """Return the target of the network.

        Args:
            gt: labels of the region ``gt_roi``.

        Returns:
            (channels, *spatial) over the ROI of ``gt``. Only in the ROI for which ``gt_roi`` was computed is it
            independent of the borders of ``gt``.

        Raises:
            attacca.errors.VolumeError: the labels do not have the form that this predictor needs.
        """

    def check_ground_truth(self, gt: Array, mask: Array | None) -> None:  # noqa: B027 - most accept all labels
        """Raise an error for labels that have a target, but probably an unintended one.

        Args:
            gt: as in ``create_target``.
            mask: as in ``create_weight``.

        Raises:
            attacca.errors.VolumeError: the labels hold values other than those that are expected.
        """

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        """Yield the inputs of the weights, for each group of channels that is balanced independently, in order.

        The counts of a part add up over regions, so the weights of a large volume are computed block by block. A
        predictor that overrides ``create_weight`` instead works in gunpowder pipelines only, not in the workflow.

        Args:
            gt, target, mask: as in ``create_weight``.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must have balanced_parts, or a create_weight of its own"
        )

    def create_weight(
        self, gt: Array, target: Array, mask: Array | None, moving_class_counts: Any = None
    ) -> tuple[Array, Any]:
        """Return the weight of each value of the target in the loss.

        Args:
            gt: as in ``create_target``.
            target: result of ``create_target(gt)``.
            mask: over the same ROI, ([channels,] *spatial): 0 for voxels that are unlabeled, masked out or outside the
                volume. None for 1 everywhere.
            moving_class_counts: the second result of the previous call, None in the first; changed in place.

        Returns:
            weights (float32, shape of the target) and running class counts for the next call.
        """
        weights = np.empty(target.data.shape, dtype=np.float32)
        running = None if moving_class_counts is None else self.unpack_counts(moving_class_counts)
        counts: list[ClassCounts] = []
        for index, part in enumerate(self.balanced_parts(gt, target, mask)):
            weights[part.channels], of_part = part.balance(None if running is None else running[index])
            counts.append(of_part)
        return create_array_like(gt, weights), self.pack_counts(counts)

    def pack_counts(self, counts: list[ClassCounts]) -> Any:
        """Return running counts of all parts in the form that ``create_weight`` returns."""
        return counts

    def unpack_counts(self, packed: Any) -> list[ClassCounts]:
        """Return the counts of each part; the inverse of ``pack_counts``."""
        return list(packed)

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Return the context of ground truth that a target needs below and above its ROI, in world units."""
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
        """Return the grid to which the region of ground truth is snapped, in world units."""
        return voxel_size

    def gt_roi(self, roi: Roi, voxel_size: Coordinate) -> Roi:
        """Return the ROI of ground truth from which the target in ``roi`` is independent of the ROI's borders.

        It is snapped outward to ``grid``, counted in voxels of the volume: the volume's offset need not be a multiple
        of the voxel size.

        Args:
            roi: of the target, world units.
            voxel_size: world units.
        """
        below, above = self.context(voxel_size)
        on_grid = not any(roi.shape % voxel_size)
        phase = roi.begin % voxel_size if on_grid else Coordinate((0,) * roi.dims)
        grown = (roi - phase).grow(below, above).snap_to_grid(self.grid(voxel_size), mode="grow")
        return grown + phase if on_grid or any(below) or any(above) else roi

    def gt_region_for_roi(self, target_spec: Any) -> Any:
        """Return a copy of ``target_spec`` with the ROI of the ground truth that the target needs.

        Args:
            target_spec: a ``gunpowder.ArraySpec``, or another object with ``roi``, ``voxel_size`` and ``copy()``.
        """
        spec = target_spec.copy()
        spec.roi = self.gt_roi(target_spec.roi, Coordinate(target_spec.voxel_size))
        return spec

    def padding(self, gt_voxel_size: Coordinate) -> Coordinate:
        """Return the context of ground truth on each side of a target, rounded up to voxels, in world units."""
        gt_voxel_size = Coordinate(gt_voxel_size)
        below, above = self.context(gt_voxel_size)
        return Coordinate(-(-max(b, a) // size) * size for b, a, size in zip(below, above, gt_voxel_size))


def read_labels(gt: Array) -> np.ndarray:
    """Return the voxels of ground truth, as stored."""
    return np.asarray(gt[gt.roi])


def create_array_like(gt: Array, data: np.ndarray) -> NumpyArray:
    """Return an array (channels, *spatial) over the ROI of ``gt``."""
    axes = ["c", *gt.spatial_axes]
    return NumpyArray.from_np_array(data, gt.roi, gt.voxel_size, axes)  # type: ignore[attr-defined]


def read_mask(mask: Array | None) -> np.ndarray | None:
    """Return the voxels of a mask; None for None."""
    return None if mask is None else np.asarray(mask[mask.roi])


def create_model_with_head(
    architecture: Architecture,
    channels: int,
    kernel_size: int = 1,
    activation: Literal["sigmoid", "softmax"] | None = None,
) -> Model:
    """Return the architecture with a head of one convolution without padding.

    Args:
        architecture: the network without a head.
        channels: channels of the prediction.
        kernel_size: edge length of the convolution, in voxels.
        activation: applied in evaluation mode only; softmax is over channels.
    """
    # deferred: torch takes seconds to import, and targets do not need it
    import torch

    # deferred: imports torch
    from attacca.model import Model

    convolution = {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[architecture.dims]
    head = convolution(architecture.num_out_channels, channels, kernel_size=kernel_size)
    activations = {"sigmoid": torch.nn.Sigmoid(), "softmax": torch.nn.Softmax(dim=1)}
    return Model(architecture, head, eval_activation=activations[activation] if activation else None)
