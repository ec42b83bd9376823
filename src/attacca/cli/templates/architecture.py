"""Architecture: a network without its last convolution, which the task adds.

In the configuration:

    extensions: [architecture.py]
    runs:
      NAME:
        architecture: {type: my_architecture, input_shape: [64, 64, 64], channels: 12, layers: 4}
"""

from itertools import pairwise
from typing import Literal

import torch

from attacca import Architecture, ArchitectureOptions, Coordinate, register


class PlainOptions(ArchitectureOptions):
    """Keys of the section ``architecture``, beside ``input_shape``."""

    type: Literal["my_architecture"] = "my_architecture"
    """Name by which the configuration selects this network."""
    channels: int = 12
    """Channels of each layer."""
    layers: int = 4
    """Number of convolutions."""


@register("architecture", PlainOptions)
class PlainNetwork(Architecture):
    """Convolutions without padding, so that blocks of a prediction fit together exactly.

    A network that pads its input overrides ``context_for``, which returns the voxels at the border that are not exact.
    A network that reduces the resolution overrides ``downsampling_factor``.
    """

    def __init__(self, options: PlainOptions, num_in_channels: int) -> None:
        super().__init__()
        self.options, self.inputs = options, num_in_channels
        convolution = torch.nn.Conv3d if len(options.input_shape) == 3 else torch.nn.Conv2d
        widths = [num_in_channels, *[options.channels] * options.layers]
        self.layers = torch.nn.Sequential()
        for before, after in pairwise(widths):
            self.layers.extend([convolution(before, after, kernel_size=3), torch.nn.ReLU()])

    @property
    def input_shape(self) -> Coordinate:
        """Input shape in training."""
        return Coordinate(self.options.input_shape)

    @property
    def num_in_channels(self) -> int:
        """Channels of the raw data."""
        return self.inputs

    @property
    def num_out_channels(self) -> int:
        """Channels of the output, from which the task predicts."""
        return self.options.channels

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Return features (batch, channels, z, y, x)."""
        features: torch.Tensor = self.layers(raw)
        return features
