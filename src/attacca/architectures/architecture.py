"""What every network is to the rest: channels in and out, sizes, and what blockwise prediction needs to
know."""

from abc import ABC, abstractmethod

import torch
from funlib.geometry import Coordinate


class Architecture(torch.nn.Module, ABC):
    """A network without its prediction head.

    Inputs are (batch, ``num_in_channels``, spatial), outputs (batch, ``num_out_channels``, spatial). Sizes
    are voxels.
    """

    @property
    @abstractmethod
    def input_shape(self) -> Coordinate:
        """Spatial shape of an input in training."""

    @property
    def eval_shape_increase(self) -> Coordinate:
        """How much larger an input may be in prediction; zeros by default."""
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
        """Voxel size of the output, for an input of ``voxel_size``; the same by default."""
        return voxel_size

    @property
    def downsampling_factor(self) -> Coordinate:
        """Period of the network: inputs shifted by multiples of it give outputs shifted alike.

        A block's shape and begin (in voxels, counted from the begin of the volume) are multiples of it in
        blockwise prediction.
        """
        return Coordinate((1,) * self.dims)

    def context_for(self, further: Coordinate | None = None) -> Coordinate:
        """Voxels to read on each side of a block whose shape is a multiple of ``downsampling_factor``.

        The output's centre, as large as the block, is then exact: it depends on nothing outside the input.

        Args:
            further: voxels for each axis that a head without padding takes away on each side after the
                network.
        """
        lost = (self.input_shape - self.output_shape(self.input_shape)) / 2
        return lost if further is None else lost + further

    @property
    def context(self) -> Coordinate:
        """``context_for`` a head that takes nothing away."""
        return self.context_for()

    @property
    def fixed_input_shape(self) -> Coordinate | None:
        """The only shape that prediction may use, or None where any shape that works will do."""
        return None

    def output_shape(self, input_shape: Coordinate) -> Coordinate:
        """Spatial shape of the output for an input of ``input_shape``."""
        device = next(self.parameters()).device
        with torch.no_grad():
            output = self(torch.zeros((1, self.num_in_channels, *input_shape), device=device))
        return Coordinate(output.shape[2:])
