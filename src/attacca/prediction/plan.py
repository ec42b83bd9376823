"""Sizes of a blockwise prediction: tiles, blocks, chunks, memory; and the arrays and grids made from them."""

from dataclasses import dataclass
from math import ceil, lcm
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise import BlockGrid
from attacca.config.prediction import PredictionConfig
from attacca.errors import ConfigurationError
from attacca.prediction.network import Network

# The share of an input's edge that is output, where the choice is free: with less, context is computed again
# and again; with more, memory grows and small volumes have too few blocks to share among workers.
_SHARE = 0.7
_SMALLEST = {2: 256, 3: 48}
_ROUND = {2: 64, 3: 16}
_LARGEST = {2: 1024, 3: 128}
# Edge of a chunk, in voxels, that viewers and later stages read at once.
_CHUNK = {2: 512, 3: 64}


@dataclass(frozen=True)
class PredictionPlan:
    """Sizes in voxels.

    Args:
        tile: output that the network computes in one go.
        block: output that is written at once; a multiple of the tile.
        chunk: of the stored array; the block is a multiple of it.
    """

    tile: Coordinate
    block: Coordinate
    chunk: Coordinate


def plan_prediction(network: Network, config: PredictionConfig) -> PredictionPlan:
    """Choose sizes that fit the network and, where they are given, the configuration.

    Raises:
        ConfigurationError: a size that is given does not fit the network.
    """
    dims, factor = network.dims, network.factor
    if network.fixed_input_shape is not None:
        tile = network.fixed_input_shape - network.context * 2
        if any(t < f or t % f for t, f in zip(tile, factor)):
            raise ConfigurationError(
                f"the network must be used with inputs of {tuple(network.fixed_input_shape)} voxels, of "
                "which the context "
                f"of {tuple(network.context)} on each side leaves {tuple(tile)}: not a multiple of "
                f"{tuple(factor)}; "
                "choose a larger architecture.eval_shape_increase"
            )
        if config.tile_size is not None and Coordinate(config.tile_size) != tile:
            raise ConfigurationError(
                f"prediction.tile_size: found {config.tile_size}, the network's fixed input shape needs "
                f"{list(tile)}"
            )
    elif config.tile_size is not None:
        tile = _given(config.tile_size, factor, dims, "tile_size")
    elif config.block_size is not None:
        tile = Coordinate(
            _largest_divisor(b, f, t)
            for b, f, t in zip(
                _given(config.block_size, factor, dims, "block_size"), factor, _free_tile(network)
            )
        )
    else:
        tile = _free_tile(network)
    block = tile if config.block_size is None else _given(config.block_size, tile, dims, "block_size")
    chunk = Coordinate(b // ceil(b / _CHUNK[dims]) if b % ceil(b / _CHUNK[dims]) == 0 else b for b in block)
    return PredictionPlan(tile, block, chunk)


def prediction_grid(
    raw: Any, network: Network, config: PredictionConfig, roi: Roi | None = None
) -> BlockGrid:
    """The blocks of a prediction, cut at multiples of the block size from the begin of the region.

    Args:
        raw: the raw data.
        roi: the part to predict, in world units; all by default.
    """
    network.check_raw(raw)
    plan = plan_prediction(network, config)
    region = raw.roi if roi is None else roi
    return BlockGrid(region, plan.block * raw.voxel_size, raw.voxel_size, network.context * raw.voxel_size)


def create_prediction_array(
    identifier: LocalArrayIdentifier,
    raw: Any,
    network: Network,
    config: PredictionConfig,
    roi: Roi | None = None,
    overwrite: bool = False,
) -> ZarrArray:
    """Make the array that a prediction is written to, or open the equal one that is there.

    Integers spread the value range of the network over 0 to 255; the scale and offset that lead back stand
    in the array's attributes, as do the names of the channels.
    """
    network.check_raw(raw)
    plan = plan_prediction(network, config)
    scale, offset = stored_range(network, config)
    array = ZarrArray.create_from_array_identifier(
        identifier,
        ["c", *raw.spatial_axes],
        raw.roi if roi is None else roi,
        network.num_channels,
        raw.voxel_size,
        np.dtype(config.dtype),
        write_size=plan.chunk * raw.voxel_size,
        overwrite=overwrite,
        unit=raw.unit,
        value_scale=scale,
        value_offset=offset,
    )
    if array.attrs.get("channels") != list(network.channel_names):
        array.add_metadata({"channels": list(network.channel_names)})
    return array


def stored_range(network: Network, config: PredictionConfig) -> tuple[float, float]:
    """Scale and offset of stored values: ``value = stored * scale + offset``."""
    if config.dtype != "uint8":
        return 1.0, 0.0
    low, high = network.value_range
    return (high - low) / 255.0, low


def prediction_memory(network: Network, config: PredictionConfig, region: Coordinate | None = None) -> int:
    """Bytes that one worker needs at most, estimated: features of one tile, one block read, computed and
    written.

    Args:
        network: the network.
        config: how to predict.
        region: voxels of what is predicted, which blocks are cut at; without limits by default.
    """
    plan = plan_prediction(network, config)
    tile_size, block_size = plan.tile, plan.block
    if region is not None:
        block_size = Coordinate(map(min, block_size, region))
        if network.fixed_input_shape is None:
            tile_size = Coordinate(map(min, tile_size, region))
    inputs = float(np.prod(tile_size + network.context * 2))
    block = float(np.prod(block_size))
    with_context = float(np.prod(block_size + network.context * 2))
    # At the finest level, two sets of features, their concatenation and a convolution's workspace are there
    # at once.
    features = 6 * _finest_channels(network)
    size = np.dtype(config.dtype).itemsize
    copies = 1 if config.augmentation == "none" else 2
    tile = inputs * 4 * (features + copies * network.num_channels)
    whole = 3 * with_context * network.num_in_channels * 4 + 3 * block * network.num_channels * size
    return int(tile + whole) + (600 << 20)


def _finest_channels(network: Network) -> int:
    channels = [p.shape[0] for p in network.model.parameters() if p.dim() == network.dims + 2]
    return max(channels[:1] or [1])


def _free_tile(network: Network) -> Coordinate:
    dims = network.dims
    sizes = []
    for context, factor in zip(network.context, network.factor):
        wanted = 2 * context * _SHARE / (1 - _SHARE)
        size = min(max(wanted, _SMALLEST[dims]), _LARGEST[dims])
        step = lcm(factor, _ROUND[dims])
        sizes.append(max(1, round(size / step)) * step)
    return Coordinate(sizes)


def _given(sizes: list[int], multiple: Coordinate, dims: int, key: str) -> Coordinate:
    if len(sizes) != dims:
        raise ConfigurationError(
            f"prediction.{key}: found {sizes}, expected {dims} numbers, one for each axis"
        )
    if any(size % m for size, m in zip(sizes, multiple)):
        nearest = [max(1, round(size / m)) * m for size, m in zip(sizes, multiple)]
        raise ConfigurationError(
            f"prediction.{key}: found {sizes}, expected multiples of {list(multiple)} voxels, on which "
            "blocks fit together "
            f"exactly; {nearest} would do"
        )
    return Coordinate(sizes)


def _largest_divisor(size: int, factor: int, limit: int) -> int:
    candidates = [tile for tile in range(factor, size + 1, factor) if size % tile == 0]
    return max([tile for tile in candidates if tile <= limit] or candidates[:1])
