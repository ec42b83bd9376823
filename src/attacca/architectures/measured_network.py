"""Sizes and costs of a network of an extension, from a network whose weights take no memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from funlib.geometry import Coordinate

from attacca.config.extension import ArchitectureOptions
from attacca.errors import ConfigurationError
from attacca.extensions import explain_failure

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture


@dataclass(frozen=True)
class MeasuredNetwork:
    """Sizes and costs of a network in voxels, without a prediction head.

    Args:
        network: the network, on torch's meta device if its modules support that.
        outputs: channels of the output.
        output_shape: spatial shape of the output in training.
        factor: see ``Architecture.downsampling_factor``.
        fixed_input_shape: see ``Architecture.fixed_input_shape``.
        weights: number of weights.
        flops: floating-point operations of the convolutions in a forward pass in training.
    """

    network: Architecture
    outputs: int
    output_shape: Coordinate
    factor: Coordinate
    fixed_input_shape: Coordinate | None
    weights: int
    flops: int

    def find_context(self, further: int = 0) -> Coordinate:
        """Return the context of a block on each side, with a head that reduces each side by ``further`` voxels."""
        return Coordinate(self.network.context_for(Coordinate((further,) * self.factor.dims)))


def create_extension(options: ArchitectureOptions, num_in_channels: int) -> Architecture:
    """Return the network of an extension, with random weights from torch's generator.

    Raises:
        ConfigurationError: the extension raised an error, or its class is not an ``Architecture``.
    """
    # deferred: torch takes seconds to import
    from attacca.architectures.architecture import Architecture

    network = options.create(num_in_channels)
    if not isinstance(network, Architecture):
        extension = options.extension
        raise ConfigurationError(
            f"{extension.source.name}: the architecture '{extension.name}' is not a subclass of Architecture",
            fix="derive its class from attacca.Architecture",
        )
    return network


def _count_convolutions(network: Architecture) -> list[int]:
    """Return a list to which a forward pass adds the operations of each convolution."""
    # deferred: torch takes seconds to import
    import torch

    flops: list[int] = []

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        voxels = inputs[0] if getattr(layer, "transposed", False) else output
        flops.append(2 * layer.weight.numel() * math.prod(voxels.shape[2:]))  # type: ignore[operator, union-attr]

    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.conv._ConvNd):
            layer.register_forward_hook(count)
    return flops


@lru_cache(maxsize=32)
def measure_network(options: ArchitectureOptions, num_in_channels: int = 1) -> MeasuredNetwork:
    """Return sizes and costs of the network of an extension.

    Args:
        options: the ``architecture`` section.
        num_in_channels: channels of the raw data.

    Raises:
        ConfigurationError: the network cannot be created, or cannot process its input shape.
    """
    # deferred: torch takes seconds to import
    import torch

    def measure(device: str) -> MeasuredNetwork:
        with torch.random.fork_rng(devices=[]), torch.device(device), torch.no_grad():
            network = create_extension(options, num_in_channels).eval()
            flops = _count_convolutions(network)
            output = network(torch.zeros((1, num_in_channels, *options.input_shape)))
            return MeasuredNetwork(
                network,
                int(output.shape[1]),
                Coordinate(output.shape[2:]),
                Coordinate(network.downsampling_factor),
                network.fixed_input_shape,
                sum(parameter.numel() for parameter in network.parameters()),
                sum(flops),
            )

    extension = options.extension
    with explain_failure(f"the architecture '{extension.name}' cannot process {list(options.input_shape)}"):
        try:
            return measure("meta")
        except Exception:
            # Modules that depend on values need real data.
            return measure("cpu")
