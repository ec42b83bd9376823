"""Estimates of blocks, disk, files, memory and time of each stage of a configuration, before anything runs.

1. Sizes of volumes come from the configuration and from headers.
2. Sizes of blocks come from the network (prediction) or from the configuration.
3. The time of a job is ``start + voxels / rate``. The rate is measured in earlier jobs or in a probe; otherwise it is a
   typical one, for networks from the number of their floating-point operations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from attacca.architectures.operations import count_flops, count_weights
from attacca.arrays.identifier import is_url
from attacca.config.run import RunConfig
from attacca.costs.fragment_count import fragments_at_once, fragments_in
from attacca.costs.measurements import MeasuredCost
from attacca.costs.network_cost import CORE_FLOPS, GPU_FLOPS, training_seconds, training_speedup
from attacca.costs.provenance_cost import digest_megabytes, digest_seconds
from attacca.costs.resources import (
    FINISH_BLOCKS_PER_SECOND,
    SCALES_VOXELS_PER_SECOND,
    add_reserve,
    job_megabytes,
)
from attacca.jobs.block_shape import BlockShape
from attacca.jobs.expected_blocks import StageBlocks, count_blocks, expect_blocks, expect_prediction_sizes
from attacca.jobs.extents import Extent
from attacca.jobs.stage import ProductSizes, Scope, Stage, StageInstance
from attacca.segmentation.leaf_size import count_joined_edges
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.provenance import PROVENANCE
from attacca.stages.train import TRAIN
from attacca.workflow.workflow import Workflow

# Time of a training step at least: other processes prepare the batch meanwhile.
_LOADER_SECONDS = 0.05
# Time of the jobs that plan and finish a stage, with a pyramid.
_AROUND_SECONDS = 3.0
# Time to agglomerate an edge, and bytes of a fragment in the look-up table.
_EDGE_SECONDS, _TABLE_BYTES, _TABLE_BYTES_PER_SECOND = 2.6e-6, 16, 2e8
# Rows of the tables of blocks, of objects or of overlaps with labels, that are merged.
_ROWS_PER_FRAGMENT, _ROWS_PER_SECOND = 0.1, 1e6
# Factor by which the coarser scales of a pyramid enlarge an array, by number of axes.
_PYRAMID = {2: 1.34, 3: 1.15}


@dataclass(frozen=True)
class StageEstimate:
    """Cost of a stage for one run and volume.

    Args:
        instance: the stage, the run and the volume.
        disk_bytes: bytes of its results.
        files: number of files that it writes.
        memory_mb: memory that one of its jobs requests, in MB.
        least_memory_mb: memory of a job with one worker, in MB.
        job_seconds: time of one of its jobs.
        core_seconds: time of all jobs, multiplied by the cores that each of them occupies.
        source: origin of the time: ``measured``, ``typical``, or ``files`` (from the files of other stages).
        blocks: number of blocks; 0 for a stage without blocks.
        block: voxels of a block along [z,] y, x.
        stored: voxels of a stored file along [z,] y, x: a shard in Zarr 3, a chunk in Zarr 2.
        shards: number of jobs that share the blocks.
        workers: processes or threads of a job.
        cores: cores that a job occupies.
        gpu_seconds: time of all jobs on GPUs.
        around_seconds: time of the jobs that plan and finish the stage.
        fragments: fragments that are in memory at the same time, if the memory depends on them.
        between_seconds: part of the time of all jobs that depends on the number of blocks, not on their size.
    """

    instance: StageInstance
    disk_bytes: float
    files: int
    memory_mb: int
    least_memory_mb: int
    job_seconds: float
    core_seconds: float
    source: str
    blocks: int = 0
    block: tuple[int, ...] = ()
    stored: tuple[int, ...] = ()
    shards: int = 1
    workers: int = 1
    cores: int = 1
    gpu_seconds: float = 0.0
    around_seconds: float = 0.0
    fragments: float = 0.0
    between_seconds: float = 0.0

    @property
    def title(self) -> str:
        """Name of the stage, the run and the volume."""
        return self.instance.title

    @property
    def busy_seconds(self) -> float:
        """Time of all jobs on cores or GPUs."""
        return self.core_seconds + self.gpu_seconds


def estimate_costs(
    workflow: Workflow,
    extents: Mapping[str, Extent],
    measured: Mapping[tuple[str, str], MeasuredCost],
    cores: int,
) -> list[StageEstimate]:
    """Return the costs of every stage, in the order of computation.

    Args:
        workflow: workflow of the configuration.
        extents: sizes of the volumes that runs use, by name.
        measured: measured costs by stage and run, as far as they are known.
        cores: cores of the machine or node that runs a job.
    """
    configuration = workflow.configuration
    estimates = [
        _estimate_stage(
            workflow,
            instance,
            extents,
            measured.get((instance.stage.name, instance.run)),
            cores,
        )
        for instance in workflow.instances()
    ]
    return estimates + [_estimate_provenance(workflow, run, estimates, cores) for run in configuration.runs]


def estimate_wall_seconds(estimates: Sequence[StageEstimate], jobs: int, cores: int = 1) -> float:
    """Return the time to finish all stages, one after another.

    Args:
        estimates: costs of the stages, in the order of computation.
        jobs: number of jobs that run at the same time on a cluster; with 1, the cores limit the number.
        cores: cores of the machine.
    """
    by_stage: dict[str, list[StageEstimate]] = {}
    for item in estimates:
        by_stage.setdefault(item.instance.stage.name, []).append(item)
    total = 0.0
    for items in by_stage.values():
        longest = max(item.job_seconds + item.around_seconds for item in items)
        work = sum(item.job_seconds * item.shards + item.around_seconds for item in items)
        parallel = jobs if jobs > 1 else max(1, cores // max(item.workers for item in items))
        total += max(longest, work / parallel)
    return total


def _estimate_provenance(
    workflow: Workflow, run: str, estimates: Sequence[StageEstimate], cores: int
) -> StageEstimate:
    """Estimate the job that digests the results of a run and of the volumes that it uses."""
    configuration = workflow.configuration
    used = configuration.runs[run].volumes.used
    read = [item for item in estimates if item.instance.run in ("", run) and item.instance.volume in used]
    threads = min(workflow.threads(PROVENANCE), cores)
    memory = configuration.execution.get_memory_mb(PROVENANCE.name) or add_reserve(
        digest_megabytes(max(item.files for item in read), is_url(configuration.storage or "")), configuration
    )
    files, sizes = sum(item.files for item in read), [item.disk_bytes for item in read]
    seconds = PROVENANCE.cost.start_seconds + digest_seconds(files, sizes, threads)
    instance = StageInstance(PROVENANCE, run)
    return StageEstimate(instance, 1e4, 3, memory, memory, seconds, seconds * threads, "files", cores=threads)


def _estimate_stage(
    workflow: Workflow,
    instance: StageInstance,
    extents: Mapping[str, Extent],
    measured: MeasuredCost | None,
    cores: int,
) -> StageEstimate:
    configuration, stage = workflow.configuration, instance.stage
    run, extent = configuration.runs.get(instance.run), extents.get(instance.volume)
    voxels = _count_voxels(stage, run, extents, extent)
    planned = StageBlocks(0, (), (), ())
    if extent is not None:
        planned = expect_blocks(configuration, instance, extent)
    blocks = planned.count if stage.is_blockwise else 0
    shards = workflow.shards(stage, instance.run, instance.volume)
    if stage.is_blockwise:
        shards = max(1, min(shards, blocks))
    threads = min(workflow.threads(stage), cores)
    gpus = workflow.gpus(stage)
    workers = gpus or (max(1, min(threads, math.ceil(blocks / shards))) if stage.is_blockwise else 1)
    if stage.has_processes:
        at_once = stage.cost.voxels_at_once
        assert run is not None and at_once is not None
        workers = min(threads, math.ceil(voxels / at_once(run, voxels) / shards))

    between = blocks * stage.cost.block_seconds if voxels else 0.0
    if measured is None:
        start, work = stage.cost.start_seconds, _estimate_work(stage, run, voxels, gpus, threads) + between
        if stage.has_scales:
            work += voxels / SCALES_VOXELS_PER_SECOND
    else:
        amount = run.training.iterations if run and stage == TRAIN else voxels
        start, work = measured.start_seconds, max(amount / measured.voxels_per_second, between)
    busy = shards * start + work
    # A training occupies its cores, whether or not it uses them all the time.
    occupied = threads if stage == TRAIN else workers

    fragments = fragments_in(configuration, instance.run, voxels) if run else 0.0
    in_memory = fragments_at_once(configuration, stage, instance.run, voxels)
    sizes = ProductSizes(configuration, instance.run, channels=run.task.num_channels if run else 1)
    if run is not None:
        sizes = replace(sizes, network_parameters=count_weights(run.architecture))
    if extent is not None:
        sizes = replace(
            sizes,
            voxels=extent.voxels,
            chunks=count_blocks(extent.shape, planned.stored),
            blocks=blocks,
            fragments=fragments,
            pyramid=_PYRAMID[len(extent.shape)],
            raw_bytes=extent.bytes_per_voxel,
            has_labels=extent.has_labels,
            is_copied=extent.is_copied,
        )
    disk, files = stage.disk(sizes)
    shape = planned.shape if stage.is_blockwise else BlockShape(1, voxels, voxels)
    given = configuration.execution.get_memory_mb(stage.name)
    around = 0.0
    if stage.is_blockwise:
        around = (
            _AROUND_SECONDS + blocks / FINISH_BLOCKS_PER_SECOND
            if measured is None
            else measured.around_seconds
        )
    elif shards > 1:
        around = _estimate_joining(stage, fragments, shards)
    return StageEstimate(
        instance=instance,
        blocks=blocks,
        block=planned.block if blocks else (),
        stored=planned.stored,
        shards=shards,
        workers=workers,
        cores=occupied,
        disk_bytes=disk,
        files=math.ceil(files),
        memory_mb=given or job_megabytes(configuration, stage, instance.run, shape, workers),
        least_memory_mb=given or job_megabytes(configuration, stage, instance.run, shape, 1),
        job_seconds=start + work / (shards * workers),
        core_seconds=0.0 if gpus else busy * occupied / workers,
        gpu_seconds=busy if gpus else 0.0,
        around_seconds=around,
        source="typical" if measured is None else "measured",
        fragments=in_memory,
        between_seconds=between,
    )


def _estimate_joining(stage: Stage, fragments: float, shards: int) -> float:
    """Return the seconds of the job after the shards of a stage, which joins their parts."""
    if stage == AGGLOMERATE:
        edges = count_joined_edges(fragments, shards)
        return edges * _EDGE_SECONDS + fragments * _TABLE_BYTES / _TABLE_BYTES_PER_SECOND
    return fragments * _ROWS_PER_FRAGMENT / _ROWS_PER_SECOND


def _count_voxels(
    stage: Stage, run: RunConfig | None, extents: Mapping[str, Extent], extent: Extent | None
) -> int:
    """Return the voxels that a stage processes: of its volume, or of all validation volumes."""
    if extent is None:
        assert run is not None
        return sum(extents[name].voxels for name in run.volumes.validation)
    return extent.voxels if extent.is_copied or stage.scope is not Scope.VOLUME else 0


def _estimate_work(stage: Stage, run: RunConfig | None, voxels: int, gpus: int, threads: int) -> float:
    """Return the seconds that one worker needs for all voxels, or for the whole training."""
    if run is None or not stage.runs_network:
        return voxels / stage.cost.voxels_per_second
    if stage == TRAIN:
        steps = run.training.iterations
        computing = training_seconds(run, min(gpus, 1)) / steps
        if gpus:
            return steps * max(computing, _LOADER_SECONDS)
        speedup = training_speedup(run, min(run.training.torch_threads, threads))
        # The processes that prepare batches need a part of the cores.
        return steps * max(computing / speedup, (computing + _LOADER_SECONDS) / threads)
    sizes, context = expect_prediction_sizes(run, None)
    flops = count_flops(run.architecture, sizes.tile + context * 2) * run.prediction.copies(sizes.tile.dims)
    return voxels * flops / math.prod(sizes.tile) / (GPU_FLOPS if gpus else CORE_FLOPS)
