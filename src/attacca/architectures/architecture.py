"""Interface of networks: channels, input and output sizes, and context for blockwise prediction."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from funlib.geometry import Coordinate


def crop(features: torch.Tensor, begin: Sequence[int], end: Sequence[int]) -> torch.Tensor:
    """Return the voxels ``begin`` to ``end`` of ``features`` (batch, channels, *spatial)."""
    return features[(slice(None), slice(None), *(slice(b, e) for b, e in zip(begin, end)))]


def crop_center(features: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return the center of ``features`` (batch, channels, *spatial), of spatial ``shape``."""
    if tuple(features.shape[2:]) == tuple(shape):
        return features
    begin = [(size - inner) // 2 for size, inner in zip(features.shape[2:], shape)]
    return crop(features, begin, [b + inner for b, inner in zip(begin, shape)])


class Architecture(torch.nn.Module, ABC):
    """Network without a prediction head.

    Inputs are (batch, ``num_in_channels``, *spatial), outputs (batch, ``num_out_channels``, *spatial), floating point.
    All sizes are in voxels.
    """

    def compute_center(self, raw: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Return the center of the output for ``raw``, in prediction.

        An architecture overrides this method if it can save the operations for voxels outside the center.

        Args:
            raw: (batch, ``num_in_channels``, *spatial).
            shape: spatial shape of the center. It is exact if ``raw`` has the context of a block of this shape.
        """
        return crop_center(self(raw), shape)

    @property
    @abstractmethod
    def input_shape(self) -> Coordinate:
        """Spatial shape of an input in training."""

    @property
    def eval_shape_increase(self) -> Coordinate:
        """Difference of the input shapes in prediction and in training; zeros by default."""
        return Coordinate((0,) * self.dims)

    @property
    @abstractmethod
    def num_in_channels(self) -> int:
        """Channels of the input."""

    @property
    @abstractmethod
    def num_out_channels(self) -> int:
        """Channels of the output."""

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return self.input_shape.dims

    def scale(self, voxel_size: Coordinate) -> Coordinate:
        """Return the voxel size of the output for an input of ``voxel_size`` (world units); the same by default."""
        return voxel_size

    @property
    def downsampling_factor(self) -> Coordinate:
        """Period of the network in voxels: if the input is shifted by a multiple of it, so is the output.

        In blockwise prediction, shape and offset of each block (in voxels, from the corner of the volume) are
        multiples of it.
        """
        return Coordinate((1,) * self.dims)

    def context_for(self, further: Coordinate | None = None) -> Coordinate:
        """Return the context of a block whose shape is a multiple of ``downsampling_factor``, in voxels on each side.

        The center of the output, of the block's shape, is then exact: it does not depend on voxels outside the input.

        Args:
            further: voxels per axis by which a head without padding reduces the output on each side.
        """
        lost = (self.input_shape - self.output_shape(self.input_shape)) / 2
        return lost if further is None else lost + further

    @property
    def context(self) -> Coordinate:
        """Context in voxels on each side of a block, with a head that does not reduce the output."""
        return self.context_for()

    @property
    def members(self) -> int:
        """Number of networks with different weights whose predictions are averaged; 1 by default."""
        return 1

    @property
    def fixed_input_shape(self) -> Coordinate | None:
        """Required input shape in prediction; None if all shapes that the network can process are allowed."""
        return None

    def output_shape(self, input_shape: Coordinate) -> Coordinate:
        """Return the spatial shape of the output for an input of ``input_shape``."""
        device = next(self.parameters()).device
        # In training mode, the zeros would change running statistics.
        network = copy.deepcopy(self).eval()
        with torch.no_grad():
            output = network(torch.zeros((1, self.num_in_channels, *input_shape), device=device))
        return Coordinate(output.shape[2:])
