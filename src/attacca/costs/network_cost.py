"""Operations and weights of networks, from their configuration alone: no network is created."""

import math
from collections.abc import Iterator, Sequence

from attacca.config.architecture import UNetConfig
from attacca.config.run import RunConfig

CORE_FLOPS = 35e9
"""Typical floating-point operations per second of one core during prediction."""
CORE_TRAINING_FLOPS = 75e9
"""Typical floating-point operations per second of one core during training: the backward pass has longer inner loops."""
GPU_FLOPS = 6e12
"""Typical floating-point operations per second of a GPU."""
TRAINING_PASSES = 3
"""Operations of a training step, relative to a forward pass."""


def count_flops(network: UNetConfig, shape: Sequence[int], channels: int = 1) -> int:
    """Return the floating-point operations of a forward pass, without the prediction head.

    Args:
        network: settings of the network.
        shape: voxels of the input along [z,] y, x.
        channels: channels of the input.

    Example:
        Twice the input needs twice the operations.

        >>> network = UNetConfig(input_shape=(32, 32, 32))
        >>> count_flops(network, (32, 32, 64)) / count_flops(network, (32, 32, 32))
        2.0
    """
    return 2 * sum(weights * voxels for weights, voxels in _list_convolutions(network, shape, channels))


def count_weights(network: UNetConfig, channels: int = 1) -> int:
    """Return the number of weights of the convolutions, without the prediction head."""
    return sum(weights for weights, _ in _list_convolutions(network, network.input_shape, channels))


def prediction_seconds(run: RunConfig, read_voxels: float, workers: int, gpus: int) -> float:
    """Return the time in seconds to predict with a run's network.

    Args:
        run: settings of the run.
        read_voxels: voxels that the network reads, context included.
        workers: processes that share the work on a CPU.
        gpus: GPUs of the job.
    """
    shape = run.architecture.input_shape
    copies = run.prediction.copies(len(shape))
    operations = read_voxels * count_flops(run.architecture, shape) / math.prod(shape) * copies
    return operations / (GPU_FLOPS * gpus if gpus else CORE_FLOPS * max(1, workers))


def training_seconds(run: RunConfig, gpus: int) -> float:
    """Return the time in seconds that a run's network computes during training, with one thread or on GPUs."""
    flops = TRAINING_PASSES * count_flops(run.architecture, run.architecture.input_shape)
    operations = run.training.iterations * run.training.batch_size * flops
    return operations / (GPU_FLOPS * gpus if gpus else CORE_TRAINING_FLOPS)


def _list_convolutions(network: UNetConfig, shape: Sequence[int], channels: int) -> Iterator[tuple[int, int]]:
    """Yield the number of weights of each convolution, and the number of voxels to which they are applied."""
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
        yield kernel_voxels * source * width, math.prod(shape)
        shape[:] = [size * factor for size, factor in zip(shape, factors)]
        joined = 2 * width if network.skip == "concatenate" else width
        source = finest if level == 0 else width
        yield from list_block(joined, source, kernels[level])
    if network.stem is not None:
        yield source * outputs * math.prod(stem), math.prod(shape)
