"""Memory, time, threads and GPUs of jobs, from the size of blocks, the number of workers and the number of blocks.

Snakemake evaluates resources twice: when it plans, and again just before it starts a job. By then the stage's plan
contains the number and size of its blocks; before, a typical shape is assumed. A value of the configuration under
``execution.memory_mb`` or ``execution.runtime_minutes`` replaces the estimate.
"""

import math

from attacca.architectures.operations import estimate_features
from attacca.config.run import Configuration
from attacca.costs.fragment_count import fragments_at_once
from attacca.costs.network_cost import prediction_seconds, training_seconds
from attacca.costs.planned_shapes import PlannedShapes
from attacca.costs.provenance_cost import planned_megabytes, planned_seconds
from attacca.jobs.block_shape import ASSUMED, BlockShape
from attacca.jobs.stage import FINISH, PLAN, RUN, SHARD, Stage, StageInstance
from attacca.stages.predict import PREDICT
from attacca.stages.provenance import PROVENANCE
from attacca.stages.targets import TARGETS
from attacca.stages.train import TRAIN
from attacca.workflow.job_groups import JobGroups
from attacca.workflow.partition_limits import PartitionLimits
from attacca.workflow.workflow import ALL_STAGES, Wildcards, Workflow, read_wildcards

SNAKEMAKE_MB = 250
"""Memory of the Snakemake processes of a cluster job besides the stage (two of about 100 MB each)."""

EXTENSIONS_MB = 1200
"""Memory by which these two processes are larger if they load an extension that needs PyTorch (610 MB each)."""

SCALES_VOXELS_PER_SECOND = 1.0e7
"""Typical speed with which a worker reads voxels and downsamples them for coarser scales, in voxels per second."""

FINISH_BLOCKS_PER_SECOND = 1.0e5
"""Typical speed with which a finish job reads the records of blocks."""

LEAST_MINUTES = 30
"""Shortest time limit of a job of the cluster, in minutes."""

# Memory of the process of a blockwise job that starts its workers.
_PARENT_MB = 200
# Gradients keep the activations of every level.
_PASSES_IN_MEMORY = 3
# Augmentation holds a few samples at the same time.
_SAMPLE_BYTES_PER_VOXEL = 400


class JobResources:
    """Functions for the ``threads`` and ``resources`` of rules, which Snakemake calls with the name of a rule.

    Args:
        workflow: the configuration.
        groups: jobs that a cluster runs as one; by default those of the configuration.
        limits: time limits of the cluster's partitions; None without a cluster.
    """

    def __init__(
        self,
        workflow: Workflow,
        groups: JobGroups | None = None,
        limits: PartitionLimits | None = None,
    ) -> None:
        self._workflow = workflow
        self._groups = groups or JobGroups(workflow)
        self._limits = limits
        self._configuration = workflow.configuration
        self._stages = {stage.name: stage for stage in ALL_STAGES}
        self._shapes = PlannedShapes(workflow)

    def threads(self, wildcards: Wildcards, rulename: str) -> int:
        """Return the threads of a job; Snakemake limits them to ``--cores``."""
        stage = self._stage_of(rulename)
        if stage.plans_locally and _is_part(rulename, PLAN):
            return 1
        threads = self._workflow.threads(stage)
        most = stage.max_finish_threads if _is_part(rulename, FINISH) else None
        return threads if most is None else min(threads, most)

    def mem_mb(self, wildcards: Wildcards, attempt: int, threads: int, rulename: str) -> int:
        """Return the memory of a job in MB; each further attempt adds 50 % of the first attempt's memory."""
        instance = StageInstance(self._stage_of(rulename), *read_wildcards(wildcards))
        stage, run = instance.stage, instance.run
        needed = self._configuration.execution.get_memory_mb(_job_name(stage, rulename))
        if needed is None:
            if stage == PROVENANCE:
                needed = add_reserve(planned_megabytes(self._configuration, run), self._configuration)
            else:
                shape = self._shapes.find(instance)
                needed = job_megabytes(self._configuration, stage, run, shape, int(threads))
        return int(needed * (1 + 0.5 * (attempt - 1)))

    def runtime(self, wildcards: Wildcards, attempt: int, threads: int, rulename: str) -> int:
        """Return the time limit of a job in minutes, multiplied by the number of the attempt.

        The limit is four times the typical time, and at least half an hour for a job of the cluster, because it ends
        only jobs that hang. It is at most the limit of the partition.
        """
        instance = StageInstance(self._stage_of(rulename), *read_wildcards(wildcards))
        this = (instance, _action_of(instance.stage, rulename))
        group = self._groups.members(instance) or [this]
        each = [self._minutes(*member, int(threads), len(group)) for member in group]
        own = self._minutes(*this, int(threads), len(group))
        limit = self._limits.minutes(rulename) if self._limits is not None else None
        if limit is not None and attempt * sum(each) > limit:
            # The jobs of a group run one after another in the time of one job. Each gets at least a minute.
            return 1 + math.floor(own / sum(each) * max(0, limit - len(group)))
        return own * attempt

    def _minutes(self, instance: StageInstance, action: str, threads: int, group_size: int) -> int:
        """Return the time of a job at its first attempt in minutes."""
        stage, run = instance.stage, instance.run
        job = f"{stage.name}_{FINISH}" if action == FINISH else stage.name
        given = self._configuration.execution.get_runtime_minutes(job)
        if given is not None and (action != PLAN or group_size == 1):
            return given
        if stage == PROVENANCE:
            seconds = planned_seconds(self._configuration, run, threads)
        elif stage == TRAIN:
            seconds = _training_seconds(self._configuration, run)
        elif action == PLAN:
            seconds = stage.cost.start_seconds
        else:
            seconds = self._stage_seconds(instance, threads, action == FINISH)
        return math.ceil(max(LEAST_MINUTES / group_size, 4 * seconds / 60))

    def gpu(self, wildcards: Wildcards, rulename: str) -> int | None:
        """Return the GPUs of a job, or None for stages without a network."""
        stage = self._stage_of(rulename)
        computes = stage.runs_network and not _is_part(rulename, PLAN, FINISH)
        return self._workflow.gpus(stage) if computes else None

    def _stage_of(self, rulename: str) -> Stage:
        # A workflow that uses this one as a module can put its own words around the name.
        return next(self._stages[word] for word in reversed(rulename.split("_")) if word in self._stages)

    def _stage_seconds(self, instance: StageInstance, threads: int, is_finish: bool) -> float:
        stage = instance.stage
        shape = self._shapes.find(instance)
        shards = 1 if is_finish else self._workflow.shards(stage, instance.run, instance.volume)
        blocks = math.ceil(shape.blocks / shards)
        workers = min(threads, max(1, blocks))
        if is_finish:
            return finish_seconds(stage, blocks)
        seconds = job_seconds(stage, blocks * shape.write_voxels, blocks, workers)
        if stage == PREDICT:
            run = self._configuration.runs[instance.run]
            network = prediction_seconds(run, blocks * shape.read_voxels, workers, self._workflow.gpus(stage))
            seconds = max(seconds, stage.cost.start_seconds + network)
        return seconds


def network_bytes(configuration: Configuration, run: str, read_voxels: int) -> float:
    """Return the memory of one forward pass of a run's network over ``read_voxels`` voxels."""
    features = estimate_features(configuration.runs[run].architecture)
    return read_voxels * 4.0 * features


def block_megabytes(configuration: Configuration, stage: Stage, run: str, shape: BlockShape) -> float:
    """Return the memory of one worker of a stage in MB: its process and one block."""
    cost = stage.cost
    channels = 1
    if run:
        # The network computes descriptors, and targets contain them, whether or not they are stored.
        settings = configuration.runs[run]
        has_all = stage.runs_network or stage == TARGETS
        channels = settings.task.num_channels if has_all else settings.predicted_channels
    data = (cost.bytes_per_voxel + cost.bytes_per_channel * channels) * shape.read_voxels
    if stage.runs_network:
        data += network_bytes(configuration, run, min(shape.read_voxels, ASSUMED.read_voxels))
    return cost.process_mb + data / 1e6


def job_megabytes(
    configuration: Configuration, stage: Stage, run: str, shape: BlockShape, workers: int
) -> int:
    """Return the memory of one job of a stage in MB, rounded up to hundreds."""
    cost = stage.cost
    voxels = shape.blocks * shape.write_voxels
    if stage == TRAIN:
        settings = configuration.runs[run]
        sample = math.prod(settings.architecture.input_shape)
        passes = settings.training.batch_size * settings.architecture.members * _PASSES_IN_MEMORY
        batch = passes * network_bytes(configuration, run, sample)
        needed = cost.process_mb + (batch + sample * _SAMPLE_BYTES_PER_VOXEL) / 1e6
    elif stage.is_blockwise:
        workers = max(1, min(workers, shape.blocks))
        needed = _PARENT_MB + block_megabytes(configuration, stage, run, shape) * workers
    else:
        in_memory = voxels
        if cost.voxels_at_once is not None:
            in_memory = cost.voxels_at_once(configuration.runs[run], voxels)
        needed = cost.process_mb + cost.bytes_per_voxel * in_memory / 1e6
        if stage.has_processes and workers > 1:
            needed = _PARENT_MB + needed * min(workers, math.ceil(voxels / in_memory))
        if cost.bytes_at_once is not None:
            at_once = cost.bytes_at_once(configuration.runs[run], voxels)
            needed = max(needed, cost.process_mb + at_once / 1e6)
    needed += fragments_at_once(configuration, stage, run, voxels) * cost.bytes_per_fragment / 1e6
    return add_reserve(needed, configuration)


def add_reserve(needed: float, configuration: Configuration) -> int:
    """Return the memory that a job requests: a reserve and Snakemake's own processes added, in full hundreds."""
    snakemake = SNAKEMAKE_MB + (EXTENSIONS_MB if configuration.extensions else 0)
    return math.ceil((needed * 1.25 + snakemake) / 100) * 100


def job_seconds(stage: Stage, voxels: float, blocks: int, workers: int) -> float:
    """Return the typical time of one job that writes ``voxels`` voxels in ``blocks`` blocks with ``workers`` workers."""
    cost = stage.cost
    work = voxels / cost.voxels_per_second + blocks * cost.block_seconds
    if stage.has_scales:
        work += voxels / SCALES_VOXELS_PER_SECOND
    return cost.start_seconds + work / max(1, workers)


def finish_seconds(stage: Stage, blocks: int) -> float:
    """Return the typical time of the job that finishes a stage, whose shards have computed everything."""
    return stage.cost.start_seconds + blocks / FINISH_BLOCKS_PER_SECOND


def _is_part(rulename: str, *parts: str) -> bool:
    return any(word in parts for word in rulename.split("_"))


def _action_of(stage: Stage, rulename: str) -> str:
    actions = (PLAN, SHARD, FINISH) if stage.is_blockwise else ()
    return next((action for action in actions if _is_part(rulename, action)), RUN)


def _job_name(stage: Stage, rulename: str) -> str:
    """Return the name of a job in ``execution``: that of the stage, or ``STAGE_finish``."""
    return f"{stage.name}_{FINISH}" if _is_part(rulename, FINISH) else stage.name


def _training_seconds(configuration: Configuration, run: str) -> float:
    settings = configuration.runs[run]
    voxels = math.prod(settings.architecture.input_shape) * settings.training.batch_size
    preparing = settings.training.iterations * (voxels / TRAIN.cost.voxels_per_second + 0.05)
    computing = training_seconds(settings, configuration.execution.get_gpus(TRAIN.name))
    return TRAIN.cost.start_seconds + max(preparing, computing)
