"""How long networks compute, from their configuration alone: rules ask before there is a network."""

import math
from typing import Any

from attacca.config.architecture import UNetConfig

CORE_FLOPS = 35e9
"""Floating-point operations of a prediction that one core does in a second, typically."""
CORE_TRAINING_FLOPS = 75e9
"""The same for a step of training: its backward pass has longer inner loops."""
GPU_FLOPS = 6e12
"""The same for a GPU."""
TRAINING_PASSES = 3
"""Work of a step of training, forwards and backwards, in passes forwards."""


def flops_per_voxel(network: UNetConfig, channels: int = 1) -> float:
    """Floating-point operations of one pass forwards for each voxel of its input, without the prediction head.

    Convolutions count as if every level were as large as its input: with ``padding: valid`` they do less.

    Args:
        network: the network.
        channels: of the raw data.
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
            # Before voxels are repeated there are fewer of them.
            coming_up = widths[level + 1] * width
            operations += coming_up if network.upsampling == "transposed" else coming_up / finer
        total += share * operations
        if level < len(widths) - 1:
            share /= finer
    return 2 * total


def prediction_seconds(run: Any, read_voxels: float, workers: int, gpus: int) -> float:
    """Time to predict with a run's network.

    Args:
        run: the run's configuration.
        read_voxels: voxels that go through the network, context included.
        workers: processes that share the work on a CPU.
        gpus: GPUs of the job.
    """
    copies = run.prediction.copies(len(run.architecture.input_shape))
    operations = read_voxels * flops_per_voxel(run.architecture) * copies
    return operations / (GPU_FLOPS * gpus if gpus else CORE_FLOPS * max(1, workers))


def training_seconds(run: Any, gpus: int) -> float:
    """Time that a run's network computes while it learns, with one thread or on GPUs."""
    voxels = math.prod(run.architecture.input_shape) * run.training.batch_size * run.training.iterations
    operations = TRAINING_PASSES * voxels * flops_per_voxel(run.architecture)
    return operations / (GPU_FLOPS * gpus if gpus else CORE_TRAINING_FLOPS)
