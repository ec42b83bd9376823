"""Grid, array and memory of a blockwise prediction."""

import math

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.architectures.unet import SubPixelConvolution
from attacca.arrays import Array
from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise import BlockGrid
from attacca.config.prediction import PredictionConfig
from attacca.prediction.network import Network
from attacca.prediction.sizes import choose_sizes


def make_prediction_grid(
    raw: Array, network: Network, config: PredictionConfig, roi: Roi | None = None
) -> BlockGrid:
    """Return the blocks of a prediction, whose corners are multiples of the block size from the region's start.

    Args:
        raw: the raw data.
        network: the network.
        config: sizes.
        roi: the region to predict, in world units; the whole volume by default.

    Raises:
        ConfigurationError: the raw data or the sizes do not fit the network.
    """
    network.check_raw(raw)
    region = raw.roi if roi is None else roi
    plan = choose_sizes(network, config, region.shape / raw.voxel_size)
    return BlockGrid(region, plan.block * raw.voxel_size, raw.voxel_size, network.context * raw.voxel_size)


def create_prediction_array(
    identifier: LocalArrayIdentifier,
    raw: Array,
    network: Network,
    config: PredictionConfig,
    roi: Roi | None = None,
    overwrite: bool = False,
) -> ZarrArray:
    """Create the array of a prediction, or open an existing array with equal metadata.

    ``uint8`` arrays map the value range of the network to 0 to 255. Attributes of the array store the scale and
    offset that restore values, and the names of the channels.

    Args:
        identifier: location of the array.
        raw: the raw data.
        network: the network.
        config: sizes and dtype.
        roi: the region to predict, in world units; the whole volume by default.
        overwrite: replace an existing array of another shape or dtype.

    Raises:
        ConfigurationError: the raw data or the sizes do not fit the network.
        VolumeError: another array exists at the location.
    """
    network.check_raw(raw)
    region = raw.roi if roi is None else roi
    plan = choose_sizes(network, config, region.shape / raw.voxel_size)
    scale, offset = choose_stored_range(network, config)
    array = ZarrArray.create_from_array_identifier(
        identifier,
        ["c", *raw.spatial_axes],
        region,
        network.num_channels,
        raw.voxel_size,
        np.dtype(config.dtype),
        write_size=plan.block * raw.voxel_size,
        chunk_size=plan.chunk * raw.voxel_size,
        overwrite=overwrite,
        unit=raw.unit,
        value_scale=scale,
        value_offset=offset,
    )
    if array.attrs.get("channels") != list(network.channel_names):
        array.add_metadata({"channels": list(network.channel_names)})
    return array


def choose_stored_range(network: Network, config: PredictionConfig) -> tuple[float, float]:
    """Return scale and offset of stored values: ``value = stored * scale + offset``."""
    if config.dtype != "uint8":
        return 1.0, 0.0
    low, high = network.value_range
    return (high - low) / 255.0, low


def estimate_memory(network: Network, config: PredictionConfig, region: Coordinate | None = None) -> int:
    """Return an estimate of a worker's peak memory in bytes.

    It covers the features of one tile, and the blocks that are read, computed and written at the same time.

    Args:
        network: the network.
        config: sizes, augmentation and dtype.
        region: shape of the predicted region in voxels, which limits blocks and tiles; unlimited by default.
    """
    plan = choose_sizes(network, config, region)
    tile_size, block_size = plan.tile, plan.block
    if region is not None:
        block_size = Coordinate(map(min, block_size, region))
        if network.fixed_input_shape is None:
            tile_size = Coordinate(map(min, tile_size, region))
    inputs = float(np.prod(tile_size + network.context * 2))
    block = float(np.prod(block_size))
    with_context = float(np.prod(block_size + network.context * 2))
    features = _count_features(network)
    size = np.dtype(config.dtype).itemsize
    copies = 1 if config.augmentation == "none" else 2
    tile = inputs * 4 * (features + copies * network.num_channels)
    whole = 3 * with_context * network.num_in_channels * 4 + 3 * block * network.num_channels * size
    return int(tile + whole) + (600 << 20)


def _count_features(network: Network) -> float:
    """Return the features per voxel of the input that exist at once."""
    for module in network.model.modules():
        if isinstance(module, SubPixelConvolution):
            # At full resolution: the output before and after the activation, and with its channels as voxels.
            features = 6 * module.conv.in_channels + 3 * module.conv.out_channels
            return float(features / math.prod(module.factors))
    channels = [p.shape[0] for p in network.model.parameters() if p.dim() == network.dims + 2]
    # At the finest level: two sets of features, their concatenation and the workspace of a convolution.
    return 6.0 * max(channels[:1] or [1])
