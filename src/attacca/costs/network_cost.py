"""Computing time of networks, from their configuration alone: the rules need it before a network exists."""

import math

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


def flops_per_voxel(network: UNetConfig, channels: int = 1) -> float:
    """Return the floating-point operations of a forward pass per voxel of its input, without the prediction head.

    Convolutions count as if the output of each level were as large as its input: ``padding: valid`` needs less.

    Args:
        network: the network.
        channels: channels of the raw data.
    """
    dims = len(network.input_shape)
    widths = network.level_channels
    kernels = network.kernel_sizes or ((3,) * dims,) * len(widths)
    joined = 2 if network.skip == "concatenate" else 1
    total, share = 0.0, 1.0
    for level, (width, kernel) in enumerate(zip(widths, kernels)):
        further = (network.convs_per_level - 1) * width
        source = channels if level == 0 else widths[level - 1]
        operations: float = math.prod(kernel) * width * (source + further)
        if level < len(widths) - 1:
            last = (network.num_out_fmaps or width) if level == 0 else width
            rest = (network.convs_per_level - 1) * last
            operations += math.prod(kernel) * last * (joined * width + rest)
            finer = math.prod(network.downsample_factors[level])
            # A convolution before the upsampling has fewer voxels.
            upsampled = widths[level + 1] * width
            operations += upsampled if network.upsampling == "transposed" else upsampled / finer
        total += share * operations
        if level < len(widths) - 1:
            share /= finer
    return 2 * total


def prediction_seconds(run: RunConfig, read_voxels: float, workers: int, gpus: int) -> float:
    """Return the time in seconds to predict with a run's network.

    Args:
        run: configuration of the run.
        read_voxels: voxels that the network reads, context included.
        workers: processes that share the work on a CPU.
        gpus: GPUs of the job.
    """
    copies = run.prediction.copies(len(run.architecture.input_shape))
    operations = read_voxels * flops_per_voxel(run.architecture) * copies
    return operations / (GPU_FLOPS * gpus if gpus else CORE_FLOPS * max(1, workers))


def training_seconds(run: RunConfig, gpus: int) -> float:
    """Return the time in seconds that a run's network computes during training, with one thread or on GPUs."""
    voxels = math.prod(run.architecture.input_shape) * run.training.batch_size * run.training.iterations
    operations = TRAINING_PASSES * voxels * flops_per_voxel(run.architecture)
    return operations / (GPU_FLOPS * gpus if gpus else CORE_TRAINING_FLOPS)
