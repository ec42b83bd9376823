"""Time of networks, from their configuration alone: no network is created."""

import math

from attacca.architectures.operations import count_flops
from attacca.config.run import RunConfig
from attacca.prediction.sizes import ConfiguredSizes, choose_sizes

CORE_FLOPS = 60e9
"""Typical floating-point operations per second of one core during prediction."""
CORE_TRAINING_FLOPS = 75e9
"""Typical floating-point operations per second of one core during training: the backward pass has longer inner loops."""
GPU_FLOPS = 6e12
"""Typical floating-point operations per second of a GPU."""
TRAINING_PASSES = 3
"""Operations of a training step, relative to a forward pass."""
# Threads of one network wait for each other: n of them are as fast as n to this power.
_THREADS_EXPONENT = 0.8


def prediction_seconds(run: RunConfig, read_voxels: float, workers: int, gpus: int) -> float:
    """Return the time in seconds to predict with a run's network.

    Args:
        run: settings of the run.
        read_voxels: voxels that the network reads, context included.
        workers: processes that share the work on a CPU.
        gpus: GPUs of the job.
    """
    network = ConfiguredSizes(run.architecture, run.task.head_kernel)
    tile = choose_sizes(network, run.prediction).tile
    shape = tile + network.context * 2
    copies = run.prediction.copies(len(shape))
    flops = count_flops(run.architecture, shape, center=tile)
    operations = read_voxels * flops / math.prod(shape) * copies
    return operations / (GPU_FLOPS * gpus if gpus else CORE_FLOPS * max(1, workers))


def training_seconds(run: RunConfig, gpus: int) -> float:
    """Return the time in seconds that a run's network computes during training, with one thread or on GPUs."""
    flops = TRAINING_PASSES * count_flops(run.architecture, run.architecture.input_shape)
    operations = run.training.iterations * run.training.batch_size * flops
    return operations / (GPU_FLOPS * gpus if gpus else CORE_TRAINING_FLOPS)


def training_speedup(run: RunConfig, threads: int) -> float:
    """Return how many times as fast as in one thread the network of a run is trained on a CPU.

    Args:
        run: with the members of an ensemble, which are trained at the same time.
        threads: threads for the network.
    """
    members = run.architecture.members
    rounds = -(-members // threads)
    speedup: float = members / rounds * max(1, threads // members) ** _THREADS_EXPONENT
    return speedup
