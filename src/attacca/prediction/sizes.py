"""Sizes of a blockwise prediction: tiles, blocks, chunks.

Tiles depend on the sizes of the network only, so that a size that does not fit is reported before training. Blocks are
whole tiles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Protocol

from funlib.geometry import Coordinate

from attacca.architectures.measured_network import measure_network
from attacca.architectures.shapes import compute_block_context, create_axes
from attacca.arrays.chunk_shapes import inner_shape
from attacca.config.architecture import ArchitectureConfig, UNetConfig
from attacca.config.prediction import PredictionConfig
from attacca.errors import ConfigurationError

# Default share of the output in the edge of an input. A smaller share repeats more context; a larger one needs more
# memory and leaves too few blocks of small volumes for several workers.
_OUTPUT_SHARE = 0.7
_SMALLEST = {2: 256, 3: 48}
_ROUND = {2: 64, 3: 16}
_LARGEST = {2: 1024, 3: 128}
# Blocks of a small volume are single tiles, so that several workers share them. In a larger volume, blocks of about 4
# million voxels leave fewer files.
_LARGE_VOLUME = 512**3
_BLOCK_VOXELS = 4_000_000


class NetworkSizes(Protocol):
    """Sizes of a network in voxels, see ``attacca.prediction.Network``."""

    @property
    def context(self) -> Coordinate: ...

    @property
    def factor(self) -> Coordinate: ...

    @property
    def fixed_input_shape(self) -> Coordinate | None: ...


@dataclass(frozen=True)
class ConfiguredSizes:
    """Sizes of a network, computed from its configuration; without torch for a U-Net.

    Args:
        architecture: configuration of the architecture.
        head_kernel: edge length in voxels of the convolution of the prediction head.
    """

    architecture: ArchitectureConfig
    head_kernel: int = 1

    @property
    def context(self) -> Coordinate:
        """Voxels of input on each side of an output."""
        if not isinstance(self.architecture, UNetConfig):
            return measure_network(self.architecture).find_context((self.head_kernel - 1) // 2)
        axes = create_axes(self.architecture)
        return Coordinate(compute_block_context(axes, [(self.head_kernel - 1) // 2] * len(axes)))

    @property
    def factor(self) -> Coordinate:
        """Voxels of which tiles are multiples."""
        if not isinstance(self.architecture, UNetConfig):
            return measure_network(self.architecture).factor
        return Coordinate(axis.factor for axis in create_axes(self.architecture))

    @property
    def fixed_input_shape(self) -> Coordinate | None:
        """Only input shape that the network takes; None if it takes others."""
        architecture = self.architecture
        if not isinstance(architecture, UNetConfig):
            return measure_network(architecture).fixed_input_shape
        if not architecture.fixed_input_shape:
            return None
        shape = Coordinate(architecture.input_shape)
        return shape + Coordinate(architecture.eval_shape_increase or (0,) * shape.dims)


class SizeError(ConfigurationError):
    """A size of the configuration that does not fit the network.

    Args:
        key: key in the configuration of a run.
        found: the configured size, as text.
        expected: a size that fits, as text.
    """

    def __init__(self, key: Sequence[str], found: str, expected: str) -> None:
        super().__init__(f"{'.'.join(key)}: found {found}, expected {expected}")
        self.key, self.found, self.expected = tuple(key), found, expected


@dataclass(frozen=True)
class PredictionSizes:
    """Sizes of a blockwise prediction, in voxels.

    Args:
        tile: output of one application of the network.
        block: output that is written at once, as one shard in Zarr 3; a multiple of the tile.
        chunk: chunk of the stored array, which divides the block.
    """

    tile: Coordinate
    block: Coordinate
    chunk: Coordinate


def choose_sizes(
    network: NetworkSizes, config: PredictionConfig, extent: Sequence[int] | None = None
) -> PredictionSizes:
    """Choose sizes that fit the network, and equal the configured ones.

    Args:
        network: sizes of the network.
        config: configured tile and block size.
        extent: shape of the predicted region in voxels, on which the default block size depends. A block is a tile by
            default, and several tiles in a region of more than 512 x 512 x 512 voxels.

    Raises:
        SizeError: a configured size does not fit the network.

    Examples:
        >>> network = ConfiguredSizes(UNetConfig(input_shape=(132, 132, 132)))
        >>> choose_sizes(network, PredictionConfig(tile_size=[96, 96, 96])).block
        (96, 96, 96)
        >>> choose_sizes(network, PredictionConfig(tile_size=[96, 96, 96]), (2048, 2048, 2048)).block
        (192, 192, 192)
    """
    factor = network.factor
    dims = factor.dims
    if network.fixed_input_shape is not None:
        tile = network.fixed_input_shape - network.context * 2
        if any(t < f or t % f for t, f in zip(tile, factor)):
            raise SizeError(
                ("architecture", "eval_shape_increase"),
                f"inputs of {list(network.fixed_input_shape)} voxels, of which the context of {list(network.context)} on "
                f"each side leaves {list(tile)}",
                f"inputs that leave a multiple of {list(factor)}, since architecture.fixed_input_shape allows no other; "
                "choose a larger architecture.eval_shape_increase",
            )
        if config.tile_size is not None and tuple(config.tile_size) != tuple(tile):
            raise SizeError(
                ("prediction", "tile_size"),
                f"{config.tile_size}",
                f"{list(tile)}, which the network's fixed input shape needs",
            )
    elif config.tile_size is not None:
        tile = _check_sizes(config.tile_size, factor, dims, "tile_size")
    elif config.block_size is not None:
        tile = Coordinate(
            _largest_divisor(b, f, t)
            for b, f, t in zip(
                _check_sizes(config.block_size, factor, dims, "block_size"), factor, _choose_tile(network)
            )
        )
    else:
        tile = _choose_tile(network)
    block = tile if config.block_size is None else _check_sizes(config.block_size, tile, dims, "block_size")
    # Chunks decide the default cells of the segmentation, which are equal in volumes of any size.
    chunk = Coordinate(inner_shape(block))
    if config.block_size is None and extent is not None and math.prod(extent) > _LARGE_VOLUME:
        block = tile * max(1, round((_BLOCK_VOXELS / math.prod(tile)) ** (1 / dims)))
    return PredictionSizes(tile, block, chunk)


def _choose_tile(network: NetworkSizes) -> Coordinate:
    dims = network.factor.dims
    sizes = []
    for context, factor in zip(network.context, network.factor):
        preferred = 2 * context * _OUTPUT_SHARE / (1 - _OUTPUT_SHARE)
        size = min(max(preferred, _SMALLEST[dims]), _LARGEST[dims])
        step = lcm(factor, _ROUND[dims])
        sizes.append(max(1, round(size / step)) * step)
    return Coordinate(sizes)


def _check_sizes(sizes: list[int], multiple: Coordinate, dims: int, key: str) -> Coordinate:
    if len(sizes) != dims:
        raise SizeError(("prediction", key), f"{sizes}", f"{dims} numbers, one for each axis")
    if any(size % m for size, m in zip(sizes, multiple)):
        nearest = [max(1, round(size / m)) * m for size, m in zip(sizes, multiple)]
        raise SizeError(
            ("prediction", key),
            f"{sizes}",
            f"multiples of {list(multiple)} voxels, on which blocks fit together exactly; use {nearest}",
        )
    return Coordinate(sizes)


def _largest_divisor(size: int, factor: int, limit: int) -> int:
    candidates = [tile for tile in range(factor, size + 1, factor) if size % tile == 0]
    return max([tile for tile in candidates if tile <= limit] or candidates[:1])
