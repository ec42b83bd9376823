"""What is made from the sizes of a blockwise prediction: its grid, its array, an estimate of its memory."""

from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise import BlockGrid
from attacca.config.prediction import PredictionConfig
from attacca.prediction.network import Network
from attacca.prediction.sizes import plan_prediction


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
