"""Operations and weights of networks, from their configuration alone.

A U-Net is not created for that. The network of an extension is created without memory for its weights.
"""

import math
from collections.abc import Iterator, Sequence

from attacca.architectures.measured_network import measure_network
from attacca.architectures.shapes import create_axes, find_center_corners
from attacca.config.architecture import ArchitectureConfig, UNetConfig


def count_flops(
    network: ArchitectureConfig, shape: Sequence[int], channels: int = 1, center: Sequence[int] | None = None
) -> int:
    """Return the floating-point operations of a forward pass, without the prediction head.

    Args:
        network: settings of the network.
        shape: voxels of the input along [z,] y, x.
        channels: channels of the input.
        center: voxels of the part of the output that is computed; None for the whole output.

    Example:
        Twice the input needs twice the operations.

        >>> network = UNetConfig(input_shape=(32, 32, 32))
        >>> count_flops(network, (32, 32, 64)) / count_flops(network, (32, 32, 32))
        2.0

        A U-Net saves operations if only the center of its output is needed.

        >>> count_flops(network, (32, 32, 32), center=(8, 8, 8)) < 0.7 * count_flops(network, (32, 32, 32))
        True
    """
    if not isinstance(network, UNetConfig):
        measured = measure_network(network, channels)
        return round(measured.flops * math.prod(shape) / math.prod(network.input_shape))
    each = sum(weights * voxels for weights, voxels in _list_convolutions(network, shape, channels, center))
    return 2 * network.members * each


def count_weights(network: ArchitectureConfig, channels: int = 1) -> int:
    """Return the number of weights of the convolutions, without the prediction head."""
    if not isinstance(network, UNetConfig):
        return measure_network(network, channels).weights
    each = sum(weights for weights, _ in _list_convolutions(network, network.input_shape, channels))
    return network.members * each


def estimate_training_bytes(network: ArchitectureConfig, batch_size: int) -> int:
    """Return a lower limit of the memory of a training: weights, gradients, the optimizer's means, one output.

    >>> estimate_training_bytes(UNetConfig(channels=(4, 800_000_000), downsample_factors=((2, 2, 2),)), 1) > 10**20
    True
    """
    voxels, width = math.prod(network.input_shape), _count_outputs(network)
    return 4 * (4 * count_weights(network) + batch_size * voxels * width)


def estimate_features(network: ArchitectureConfig) -> float:
    """Return the typical number of values per voxel that are in memory at once during a prediction."""
    outputs = _count_outputs(network)
    if not isinstance(network, UNetConfig) or network.stem is None:
        # Features of the finest level: kept for the way up, upsampled, and the input and output of a convolution.
        finest = network.level_channels[0] if isinstance(network, UNetConfig) else outputs
        return 4 * finest + 2.0
    # At full resolution: the raw data, and the output before and after its channels become voxels.
    features = 4 * network.level_channels[0] + 2.0
    return features / math.prod(network.stem) + 2 * outputs + 2


def _count_outputs(network: ArchitectureConfig) -> int:
    """Return the number of channels at full resolution."""
    if not isinstance(network, UNetConfig):
        return measure_network(network).outputs
    width = network.level_channels[0]
    return width if network.stem is None else network.num_out_fmaps or width


def _list_convolutions(
    network: UNetConfig, shape: Sequence[int], channels: int, center: Sequence[int] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the number of weights of each convolution, and the number of voxels to which they are applied."""
    needed = _find_needed_shapes(network, shape, center)
    widths, stem = network.level_channels, network.stem or (1,) * len(shape)
    shape = [size // factor for size, factor in zip(shape, stem)]
    kernels = network.kernel_sizes or ((3,) * len(shape),) * len(widths)
    outputs = network.num_out_fmaps or widths[0]
    finest = outputs if network.stem is None else widths[0]

    def list_block(source: int, width: int, kernel: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield the convolutions of one level of the encoder or decoder. Without padding, they reduce ``shape``."""
        for index in range(network.convs_per_level):
            if network.padding == "valid":
                shape[:] = [size - 2 * (edge // 2) for size, edge in zip(shape, kernel)]
            yield math.prod(kernel) * (width if index else source) * width, math.prod(shape)
        if network.residual and source != width:
            yield source * width, math.prod(shape)

    source = channels * math.prod(stem)
    for level, width in enumerate(widths):
        yield from list_block(source, width, kernels[level])
        source = width
        if level < len(widths) - 1:
            shape[:] = [size // factor for size, factor in zip(shape, network.downsample_factors[level])]
    for level in reversed(range(len(widths) - 1)):
        width, factors = widths[level], network.downsample_factors[level]
        # A convolution of nearest-neighbor upsampling comes before the upsampling.
        kernel_voxels = math.prod(factors) if network.upsampling == "transposed" else 1
        if needed:
            shape[:] = [size // factor for size, factor in zip(needed.pop(), factors)]
        yield kernel_voxels * source * width, math.prod(shape)
        shape[:] = [size * factor for size, factor in zip(shape, factors)]
        joined = 2 * width if network.skip == "concatenate" else width
        source = finest if level == 0 else width
        yield from list_block(joined, source, kernels[level])
    if network.stem is not None:
        if needed:
            shape[:] = [size // factor for size, factor in zip(needed.pop(), stem)]
        yield source * outputs * math.prod(stem), math.prod(shape)


def _find_needed_shapes(
    network: UNetConfig, shape: Sequence[int], center: Sequence[int] | None
) -> list[list[int]]:
    """Return the shape of each level of the path up that the center of the output needs; nothing if it needs all."""
    if center is None or not network.omits_margins:
        return []
    corners = find_center_corners(create_axes(network), shape, center)
    return [[end - begin for begin, end in zip(*level)] for level in corners]
