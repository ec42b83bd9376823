"""Sizes and operations of a network, without a checkpoint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attacca.config.run import RunConfig
from attacca.costs.network_cost import TRAINING_PASSES


@dataclass(frozen=True)
class NetworkEstimate:
    """Sizes and operations of the network of a run.

    Args:
        block: voxels of a block of predictions that is written at once.
        context: voxels that are read on each side of a block.
        chunk: voxels of a stored chunk.
        flops_per_voxel: floating-point operations per voxel of the prediction, context included.
        training_flops: floating-point operations of one training step.
        parameters: number of weights.
    """

    block: tuple[int, ...]
    context: tuple[int, ...]
    chunk: tuple[int, ...]
    flops_per_voxel: float
    training_flops: float
    parameters: int


def estimate_network(run: RunConfig, dims: int) -> NetworkEstimate:
    """Return sizes and operations of a run's network. Weights are not computed.

    Args:
        run: settings of the run.
        dims: number of spatial axes of its volumes.

    Raises:
        ConfigurationError: the settings of the network do not fit the number of axes.
    """
    # deferred: torch starts slowly, and the rules do not need it
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from attacca.architectures import create_architecture
    from attacca.prediction import Network, plan_prediction
    from attacca.tasks import create_task

    # On the device "meta", tensors have shapes without values.
    with torch.device("meta"):
        model = create_task(run.task.learned_task).create_model(
            create_architecture(run.architecture, dims, 1)
        )
    network = Network.from_model(model)
    sizes = plan_prediction(network, run.prediction)

    def count_flops(shape: Sequence[int], batch_size: int) -> float:
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(torch.empty((batch_size, 1, *shape), device="meta"))
        return float(counter.get_total_flops())

    tile_flops = count_flops([int(edge + 2 * margin) for edge, margin in zip(sizes.tile, network.context)], 1)
    return NetworkEstimate(
        tuple(int(size) for size in sizes.block),
        tuple(int(size) for size in network.context),
        tuple(int(size) for size in sizes.chunk),
        tile_flops * run.prediction.copies(dims) / math.prod(sizes.tile),
        TRAINING_PASSES * count_flops(run.architecture.input_shape, run.training.batch_size),
        sum(parameter.numel() for parameter in model.parameters()),
    )
