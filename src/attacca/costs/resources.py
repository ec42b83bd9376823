"""Memory and time that jobs ask for: from the size of blocks, the number of workers and the number of blocks.

Snakemake asks twice: when it plans, and again just before it starts a job. By then the stage's plan file says
how many blocks there are and how large they are; before, the configuration's own numbers must do. What the
configuration gives under ``execution.memory_mb`` or ``execution.runtime_minutes`` counts instead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attacca.config.run import Configuration
from attacca.costs.fragment_count import fragments_in
from attacca.costs.network_cost import prediction_seconds, training_seconds
from attacca.costs.planned_blocks import ASSUMED, BlockShape, read_block_shape
from attacca.costs.provenance_cost import planned_megabytes, planned_seconds
from attacca.layout import Layout
from attacca.workflow.catalogue import StageInstance, entry

SNAKEMAKE_MB = 250
"""The Snakemake processes that a cluster job holds besides the stage (two of about 100 MB each)."""


@dataclass(frozen=True)
class Cost:
    """What a stage costs, measured on two-core machines with the default configuration.

    Args:
        process_mb: memory of one process before it reads anything; the network's libraries are most of it.
        bytes_per_voxel: memory for each voxel that a block reads, everything included.
        voxels_per_second: voxels that one worker writes in a second.
        start_seconds: time of a job before its first block and after its last.
        block_seconds: time of a block besides its voxels: opened, recorded, its context.
    """

    process_mb: int
    bytes_per_voxel: float
    voxels_per_second: float
    start_seconds: float
    block_seconds: float = 0.0


COSTS = {
    "volume": Cost(250, 90, 0.6e6, 1.5, 0.012),
    "targets": Cost(400, 160, 1.2e6, 1, 0.012),
    "train": Cost(1300, 0, 1.0e5, 10),
    "predict": Cost(600, 60, 2.5e5, 3, 0.016),
    "tune": Cost(800, 60, 0.4e6, 1.5),
    "fragments": Cost(350, 220, 2.0e6, 1, 0.06),
    "graph": Cost(350, 60, 1.0e7, 1, 0.02),
    "agglomerate": Cost(350, 8, 3.0e7, 1),
    "relabel": Cost(300, 60, 2.0e7, 1, 0.003),
    "classes": Cost(400, 80, 2.0e6, 1.5, 0.002),
    "evaluate": Cost(350, 80, 1.0e7, 1),
}
"""Typical costs; ``attacca plan`` replaces them by what was measured here, where something was."""

FINISH_VOXELS_PER_SECOND = 1.0e7
"""Voxels that one worker of the job that finishes a stage reads and halves for the pyramid in a second."""

TABLE_BYTES = 24
"""Of a fragment in the look-up table, which workers share."""
# Of a fragment and its edges, while fragments are joined.
_FRAGMENT_BYTES = 400
# Of a block in which a segmentation is compared with labels, where the configuration says nothing else.
_COMPARED_VOXELS = 1 << 23


def channels_of(configuration: Configuration, run: str) -> int:
    """Return the number of channels of a run's predictions; 1 without a run."""
    if not run:
        return 1
    return configuration.runs[run].task.num_channels


def network_bytes(configuration: Configuration, run: str, read_voxels: int) -> float:
    """Memory of one forward pass of a run's network over ``read_voxels`` voxels."""
    architecture: Any = configuration.runs[run].architecture
    # At full resolution: features kept for the way up, those that come up, a convolution's input and output.
    return read_voxels * 4.0 * (4 * architecture.level_channels[0] + 2)


def block_megabytes(configuration: Configuration, stage: str, run: str, shape: BlockShape) -> float:
    """Memory of one worker of a stage: its process and one block, in MB."""
    cost = COSTS[stage]
    data = cost.bytes_per_voxel * shape.read_voxels
    if stage in ("predict", "targets", "classes", "fragments"):
        data += 6.0 * channels_of(configuration, run) * shape.read_voxels
    if stage == "predict":
        data += network_bytes(configuration, run, min(shape.read_voxels, ASSUMED.read_voxels))
    return cost.process_mb + data / 1e6


def job_megabytes(configuration: Configuration, stage: str, run: str, shape: BlockShape, workers: int) -> int:
    """Memory of one job of a stage, in MB, rounded up to hundreds."""
    base = entry(stage).name
    voxels = shape.blocks * shape.write_voxels
    if base == "train":
        architecture: Any = configuration.runs[run].architecture
        training: Any = configuration.runs[run].training
        batch = getattr(training, "batch_size", 1)
        sample = math.prod(architecture.input_shape)
        # Gradients keep every level's activations; augmentation holds a few samples more.
        needed = (
            COSTS[base].process_mb
            + batch * 3 * network_bytes(configuration, run, sample) / 1e6
            + sample * 400 / 1e6
        )
    elif base in ("agglomerate", "tune"):
        # The whole graph is in memory at once.
        needed = COSTS[base].process_mb + fragments_in(configuration, run, voxels) * _FRAGMENT_BYTES / 1e6
        needed += voxels * COSTS[base].bytes_per_voxel / 1e6 if base == "tune" else 0
    elif base == "evaluate":
        size = configuration.runs[run].evaluation.block_size
        compared = min(voxels, math.prod(size) if size else _COMPARED_VOXELS)
        needed = COSTS[base].process_mb + COSTS[base].bytes_per_voxel * compared / 1e6
    else:
        needed = 200 + block_megabytes(configuration, base, run, shape) * max(1, min(workers, shape.blocks))
        if base == "relabel":
            needed += fragments_in(configuration, run, voxels) * TABLE_BYTES / 1e6
    return asked_megabytes(needed)


def asked_megabytes(needed: float) -> int:
    """What a job asks for that needs so much: a reserve and Snakemake's own processes more, in full hundreds."""
    return math.ceil((needed * 1.25 + SNAKEMAKE_MB) / 100) * 100


def job_seconds(stage: str, voxels: float, blocks: int, workers: int) -> float:
    """Typical time of one job of a stage that writes ``voxels`` voxels in ``blocks`` blocks with ``workers`` workers."""
    cost = COSTS[entry(stage).name]
    if stage.endswith("_finish"):
        return cost.start_seconds + voxels / (FINISH_VOXELS_PER_SECOND * max(1, workers))
    return cost.start_seconds + (voxels / cost.voxels_per_second + blocks * cost.block_seconds) / max(
        1, workers
    )


def memory(configuration: Configuration, stage: str) -> Callable[..., int]:
    """Snakemake resource: megabytes for a job of ``stage``; half as much again at each further attempt."""
    given = configuration.execution.get_memory_mb(stage)

    def megabytes(wildcards: Any, attempt: int, threads: int = 1) -> int:
        needed = given
        if needed is None:
            run = getattr(wildcards, "run", "")
            if stage == "provenance":
                needed = asked_megabytes(planned_megabytes(configuration, run))
            else:
                shape = _planned(configuration, stage, wildcards)
                needed = job_megabytes(configuration, stage, run, shape, int(threads))
        return int(needed * (1 + 0.5 * (attempt - 1)))

    return megabytes


def runtime(configuration: Configuration, stage: str) -> Callable[..., int]:
    """Snakemake resource: minutes for a job of ``stage``; as much again at each further attempt.

    Four times what is typical, and half an hour at least: a time limit is there for jobs that hang.
    """
    given = configuration.execution.get_runtime_minutes(stage)

    def minutes(wildcards: Any, attempt: int, threads: int = 1) -> int:
        if given is not None:
            return given * attempt
        run = getattr(wildcards, "run", "")
        if stage == "provenance":
            seconds = planned_seconds(configuration, run, int(threads))
        elif stage == "train":
            seconds = _training_seconds(configuration, run)
        else:
            base = entry(stage).name
            shape = _planned(configuration, stage, wildcards)
            shards = configuration.execution.get_shards(base) if base == stage else 1
            blocks = math.ceil(shape.blocks / shards)
            workers = min(int(threads), max(1, blocks))
            seconds = job_seconds(stage, blocks * shape.write_voxels, blocks, workers)
            if stage == "predict":
                read = blocks * shape.read_voxels
                gpus = configuration.execution.get_gpus(stage)
                computing = prediction_seconds(configuration.runs[run], read, workers, gpus)
                seconds = max(seconds, COSTS[stage].start_seconds + computing)
        return math.ceil(max(30.0, 4 * seconds / 60)) * attempt

    return minutes


def _training_seconds(configuration: Configuration, run: str) -> float:
    training: Any = configuration.runs[run].training
    architecture: Any = configuration.runs[run].architecture
    voxels = math.prod(architecture.input_shape) * getattr(training, "batch_size", 1)
    cost = COSTS["train"]
    preparing = training.iterations * (voxels / cost.voxels_per_second + 0.05)
    computing = training_seconds(configuration.runs[run], configuration.execution.get_gpus("train"))
    return cost.start_seconds + max(preparing, computing)


def _planned(configuration: Configuration, stage: str, wildcards: Any) -> BlockShape:
    """What the plan of a stage, or of one whose voxels it reads, says; an assumption before there is one."""
    layout = Layout(configuration.results, configuration.storage)
    run, volume = getattr(wildcards, "run", ""), getattr(wildcards, "volume", "")
    base = entry(stage).name
    if base == "tune":
        plans = [
            read_block_shape(StageInstance(entry("volume"), "", name).plan(layout))
            for name in configuration.runs[run].volumes.validation
        ]
        voxels = sum(plan.blocks * plan.write_voxels for plan in plans if plan is not None)
        return BlockShape(1, voxels or ASSUMED.write_voxels, ASSUMED.read_voxels)
    for name in (base, "predict", "volume"):
        instance = StageInstance(entry(name), "" if name == "volume" else run, volume)
        if volume and entry(name).blockwise:
            found = read_block_shape(instance.plan(layout))
            if found is not None:
                return found
    return ASSUMED
