"""What a configuration will cost: blocks, disk, files, memory and hours of each stage, before anything runs.

1. Sizes of volumes come from the configuration and from headers.
2. Blocks come from the network (prediction) or from the configuration.
3. Time is ``start + voxels / rate`` for each job. The rate is that of earlier jobs or of a probe, where there
   are some; else a typical one (for networks, from the number of their floating-point operations).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attacca.config.run import Configuration
from attacca.costs.extents import Extent
from attacca.costs.fragment_count import fragments_in
from attacca.costs.measurements import MeasuredCost
from attacca.costs.network_cost import CORE_FLOPS, CORE_TRAINING_FLOPS, GPU_FLOPS, TRAINING_PASSES
from attacca.costs.provenance_cost import digest_megabytes, digest_seconds
from attacca.costs.resources import add_reserve, job_megabytes
from attacca.costs.storage import stage_storage
from attacca.jobs.block_shape import BlockShape
from attacca.jobs.stage import Blocks, StageInstance
from attacca.segmentation.block_size import choose_block_shape
from attacca.stages.predict import PREDICT
from attacca.stages.provenance import PROVENANCE
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE
from attacca.workflow.workflow import Workflow

# A batch is prepared by other processes meanwhile, but not faster than this.
_LOADER_SECONDS = 0.05
# Plan and finish of a stage: two short jobs, and a pyramid.
_AROUND_SECONDS = 3.0


@dataclass(frozen=True)
class NetworkEstimate:
    """What is known of a run's network without a checkpoint.

    Args:
        channels: of its predictions.
        block: voxels of a block that is written at once.
        context: voxels read on each side.
        chunk: voxels of a stored chunk.
        memory_mb: of one worker.
        flops_per_voxel: operations for each voxel of the prediction, context included.
        training_flops: operations of one training step.
        parameters: numbers that it learns.
    """

    channels: int
    block: tuple[int, ...]
    context: tuple[int, ...]
    chunk: tuple[int, ...]
    memory_mb: float
    flops_per_voxel: float
    training_flops: float
    parameters: int


@dataclass(frozen=True)
class StageEstimate:
    """What one stage will cost for one run and volume.

    Args:
        instance: which.
        blocks: number of blocks; 0 where the stage has none.
        block: voxels of a block.
        chunk: voxels of a stored chunk.
        shards: jobs over which its blocks are spread.
        workers: processes or threads of a job.
        cores: that one of its jobs holds.
        disk_bytes: of what it writes.
        files: that it writes.
        memory_mb: that one of its jobs asks for.
        least_memory_mb: that a job with one worker needs.
        job_seconds: of one of its jobs.
        core_seconds: of all its jobs: their time, by the cores that each of them holds.
        gpu_seconds: of all its jobs.
        around_seconds: of the jobs that plan and finish a stage with blocks.
        source: where the time comes from: ``measured``, ``typical``, or the ``files`` that others write.
        fragments: that are in memory together; 0 where the stage has to do with blocks alone.
        between_seconds: of the time of all its jobs, that which blocks cost by their number.
    """

    instance: StageInstance
    blocks: int
    block: tuple[int, ...]
    chunk: tuple[int, ...]
    shards: int
    workers: int
    cores: int
    disk_bytes: float
    files: int
    memory_mb: int
    least_memory_mb: int
    job_seconds: float
    core_seconds: float
    gpu_seconds: float
    around_seconds: float
    source: str
    fragments: float = 0.0
    between_seconds: float = 0.0


def estimate(
    workflow: Workflow,
    extents: Mapping[str, Extent],
    measured: Mapping[tuple[str, str], MeasuredCost],
    cores: int,
) -> list[StageEstimate]:
    """Estimates for every stage, in the order of computation.

    Args:
        workflow: the configuration.
        extents: sizes of its volumes.
        measured: costs by stage and run, where they are known.
        cores: of the machine (or node) that a job runs on.
    """
    configuration = workflow.configuration
    networks = {run: estimate_network(configuration, run, extents) for run in configuration.runs}
    found = [
        _estimate_stage(workflow, instance, extents, networks, measured, cores)
        for instance in workflow.instances()
    ]
    return found + [_estimate_provenance(workflow, run, found, cores) for run in configuration.runs]


def _estimate_provenance(
    workflow: Workflow, run: str, stages: Sequence[StageEstimate], cores: int
) -> StageEstimate:
    """The job that digests what the stages of a run, and those of the volumes that it uses, wrote."""
    configuration = workflow.configuration
    volumes = configuration.runs[run].volumes
    used = {*volumes.train, *volumes.segmented}
    read = [item for item in stages if (item.instance.run or run) == run and item.instance.volume in used]
    threads = min(workflow.threads(PROVENANCE), cores)
    files, sizes = sum(item.files for item in read), [item.disk_bytes for item in read]
    largest, remote = max(item.files for item in read), "://" in (configuration.storage or "")
    memory = configuration.execution.get_memory_mb(PROVENANCE.name) or add_reserve(
        digest_megabytes(largest, remote)
    )
    seconds = 1.0 + digest_seconds(files, sizes, threads)
    return StageEstimate(
        instance=StageInstance(PROVENANCE, run),
        blocks=0,
        block=(),
        chunk=(),
        shards=1,
        workers=1,
        cores=threads,
        disk_bytes=1e4,
        files=3,
        memory_mb=memory,
        least_memory_mb=memory,
        job_seconds=seconds,
        core_seconds=seconds * threads,
        gpu_seconds=0.0,
        around_seconds=0.0,
        source="files",
    )


def estimate_network(
    configuration: Configuration, run: str, extents: Mapping[str, Extent]
) -> NetworkEstimate:
    """Sizes and operations of a run's network; no weight is computed.

    Raises:
        ConfigurationError: the network and the volumes have different numbers of axes or channels.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from attacca.architectures import create_architecture
    from attacca.prediction import Network, choose_sizes, estimate_memory
    from attacca.tasks import create_task

    settings = configuration.runs[run]
    name = settings.volumes.train[0]
    extent = extents[name]
    # On the device "meta" a network has shapes and no numbers.
    with torch.device("meta"):
        architecture = create_architecture(settings.architecture, len(extent.shape), extent.channels)
        model = create_task(settings.task.learned_task).create_model(architecture)
    network = Network.from_model(model)
    plan = choose_sizes(network, settings.prediction)

    def flops(shape: Any, batch: int) -> float:
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(torch.empty((batch, extent.channels, *shape), device="meta"))
        return float(counter.get_total_flops())

    tile_input = [int(t + 2 * c) for t, c in zip(plan.tile, network.context)]
    per_voxel = flops(tile_input, 1) * settings.prediction.copies(len(extent.shape)) / math.prod(plan.tile)
    return NetworkEstimate(
        network.num_channels,
        tuple(int(size) for size in plan.block),
        tuple(int(size) for size in network.context),
        tuple(int(size) for size in plan.chunk),
        estimate_memory(network, settings.prediction) / 1e6,
        per_voxel,
        TRAINING_PASSES * flops(settings.architecture.input_shape, settings.training.batch_size),
        sum(parameter.numel() for parameter in model.parameters()),
    )


def _estimate_stage(
    workflow: Workflow,
    instance: StageInstance,
    extents: Mapping[str, Extent],
    networks: Mapping[str, NetworkEstimate],
    measured: Mapping[tuple[str, str], MeasuredCost],
    cores: int,
) -> StageEstimate:
    configuration, stage, run = workflow.configuration, instance.stage, instance.run
    network = networks.get(run)
    extent = extents.get(instance.volume)
    voxels = float(extent.voxels) if extent is not None else 0.0
    if stage == TUNE:
        voxels = float(sum(extents[item].voxels for item in configuration.runs[run].volumes.validation))
    block, context, chunk = _block_sizes(configuration, instance, extent, network)
    blocks = 0
    if stage.manifest_lists_arrays and extent is not None and not extent.copied:
        # It is used where it stands.
        blocks, voxels = 1, 0.0
    elif stage.is_blockwise and extent is not None:
        blocks = math.prod(math.ceil(size / edge) for size, edge in zip(extent.shape, block))
    shape = BlockShape(
        max(1, blocks), math.prod(block), math.prod(edge + 2 * margin for edge, margin in zip(block, context))
    )
    if not stage.is_blockwise and voxels:
        # Stages over the whole are told how much that is.
        shape = BlockShape(1, int(voxels), min(int(voxels), shape.read_voxels))
    shards = max(1, min(workflow.shards(stage), blocks)) if stage.is_blockwise else 1
    gpus = workflow.gpus(stage)
    threads = min(workflow.threads(stage), cores)
    workers = max(1, min(threads, math.ceil(blocks / shards))) if stage.is_blockwise else 1
    if gpus:
        workers = gpus
    cost = measured.get((stage.name, run))
    between = blocks * stage.cost.block_seconds if voxels else 0.0
    start, work = _time(configuration, instance, voxels, network, cost, gpus, threads)
    work = work + between if cost is None else max(work, between)
    job_seconds = start + work / (shards * workers)
    disk, files = stage_storage(configuration, instance, extent, network, chunk, blocks)
    given = configuration.execution.get_memory_mb(stage.name)
    memory = given or job_megabytes(configuration, stage, run, shape, workers)
    least = given or job_megabytes(configuration, stage, run, shape, 1)
    busy = shards * start + work
    # Training has its cores to itself, whether or not it uses them all the time.
    held = threads if stage == TRAIN else workers
    return StageEstimate(
        instance=instance,
        blocks=blocks,
        block=block if blocks else (),
        chunk=chunk if files else (),
        shards=shards,
        workers=workers,
        cores=held,
        disk_bytes=disk,
        files=files,
        memory_mb=memory,
        least_memory_mb=least,
        job_seconds=job_seconds,
        core_seconds=0.0 if gpus else busy * held if stage == TRAIN else busy,
        gpu_seconds=busy if gpus else 0.0,
        around_seconds=(_AROUND_SECONDS if cost is None else cost.around_seconds)
        if stage.is_blockwise
        else 0.0,
        source="measured" if cost is not None else "typical",
        fragments=fragments_in(configuration, run, voxels) if stage.cost.bytes_per_fragment else 0.0,
        between_seconds=between,
    )


def _time(
    configuration: Configuration,
    instance: StageInstance,
    voxels: float,
    network: NetworkEstimate | None,
    cost: MeasuredCost | None,
    gpus: int,
    threads: int,
) -> tuple[float, float]:
    """Seconds of a job's start, and worker-seconds of all blocks (or of the whole training)."""
    stage, run = instance.stage, instance.run
    typical = stage.cost
    if stage == TRAIN:
        training = configuration.runs[run].training
        if cost is not None:
            return cost.start_seconds, training.iterations / cost.voxels_per_second
        assert network is not None
        # The processes that prepare batches need a core, and threads wait for one another.
        parallel = min(training.torch_threads, max(1, threads - 1)) ** 0.8
        flops = GPU_FLOPS if gpus else CORE_TRAINING_FLOPS * parallel
        step = max(network.training_flops / flops, _LOADER_SECONDS)
        return typical.start_seconds, training.iterations * step
    if cost is not None:
        return cost.start_seconds, voxels / cost.voxels_per_second
    if stage == PREDICT:
        assert network is not None
        return typical.start_seconds, voxels * network.flops_per_voxel / (GPU_FLOPS if gpus else CORE_FLOPS)
    return typical.start_seconds, voxels / typical.voxels_per_second


def _block_sizes(
    configuration: Configuration,
    instance: StageInstance,
    extent: Extent | None,
    network: NetworkEstimate | None,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Voxels of a block, of its context on each side, and of a stored chunk."""
    if extent is None:
        return (1,), (0,), (1,)
    none = (0,) * len(extent.shape)
    if network is None or instance.stage.blocks is Blocks.VOLUME_CHUNKS:
        return extent.chunk, none, extent.chunk
    chunk = tuple(min(c, size) for c, size in zip(network.chunk, extent.shape))
    if instance.stage.blocks is Blocks.NETWORK:
        return tuple(min(b, size) for b, size in zip(network.block, extent.shape)), network.context, chunk
    if instance.stage.blocks is Blocks.PREDICTION_CHUNKS:
        return chunk, none, chunk
    segmentation = configuration.runs[instance.run].segmentation
    block = choose_block_shape(chunk, extent.shape, segmentation.block_size)
    return (
        tuple(min(b, size) for b, size in zip(block, extent.shape)),
        tuple(segmentation.context or none),
        chunk,
    )
