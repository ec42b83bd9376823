"""Advice on shards, blocks, files and threads, and messages about costs that exceed the limits.

Each message names the key of the configuration that changes the exceeded cost.
"""

import math
from collections.abc import Iterator, Sequence

from attacca.config.run import Configuration
from attacca.costs.estimates import StageEstimate
from attacca.costs.fragment_count import MOST_FRAGMENTS, fragment_voxels
from attacca.costs.limits import Limits
from attacca.costs.resources import add_reserve
from attacca.jobs.stage import Blocks
from attacca.progress import format_duration
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.evaluate import EVALUATE
from attacca.stages.graph import GRAPH
from attacca.stages.predict import PREDICT
from attacca.stages.provenance import PROVENANCE
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE

# In a shard of about this length, the start takes little of the time, and a failed node loses little work.
_SHARD_SECONDS = 3600.0
# More files than this make listing, copying and deleting results slow on any file system.
_MANY_FILES = 5_000_000
# Each job holds a few bytes per block of its stage.
_MAX_BLOCKS = 10**9
# The number of blocks matters from this time on.
_MIN_BETWEEN_SECONDS = 3600.0
_MAX_WINDOW = 16


def list_advice(
    configuration: Configuration, estimates: Sequence[StageEstimate], limits: Limits
) -> Iterator[str]:
    """Yield recommended settings if they differ from those of the configuration."""
    shards: dict[str, int] = {}
    for item in estimates:
        name = item.instance.stage.name
        shards[name] = max(shards.get(name, 1), recommend_shards(item))
    many = ", ".join(f"{name}: {count}" for name, count in shards.items() if count > 1)
    if many:
        yield f"on a cluster, shards of about an hour: execution: {{shards: {{default: 1, {many}}}}}"
    for item in estimates:
        if item.memory_mb > limits.memory_mb >= item.least_memory_mb:
            per_worker = (item.memory_mb - item.least_memory_mb) / max(1, item.workers - 1)
            workers = 1 + int((limits.memory_mb - item.least_memory_mb) / per_worker)
            yield (
                f"{item.title} needs {item.memory_mb / 1000:.1f} GB with {item.workers} workers; with "
                f"execution: {{threads: {{{item.instance.stage.name}: {workers}}}}} it fits into "
                f"{limits.memory_mb / 1000:.0f} GB"
            )
        if item.files > _MANY_FILES and item.stored:
            fix = suggest_fewer_files(item)
            yield f"{item.title} writes {item.files:,} files; {fix}"
        if item.between_seconds > max(_MIN_BETWEEN_SECONDS, item.busy_seconds / 2):
            yield (
                f"{item.title} has {item.blocks:,} blocks of {_join(item.block)} voxels: "
                f"{item.between_seconds / 3600:,.1f} of its {item.busy_seconds / 3600:,.1f} hours are spent "
                f"between blocks; make {find_block_key(item)} larger"
            )
        if item.shards > 1 and item.job_seconds < 120:
            yield (
                f"{item.title}: {item.shards} shards of {format_duration(item.job_seconds)} each spend most of their "
                "time on the start; fewer are as fast"
            )
        if item.instance.stage == TRAIN and not item.gpu_seconds:
            training = configuration.runs[item.instance.run].training
            used = training.torch_threads + training.loader_workers
            if item.cores > used:
                yield (
                    f"{item.title} occupies {item.cores} cores and computes with {used} "
                    "(training.torch_threads and training.loader_workers): with execution: "
                    f"{{threads: {{{TRAIN.name}: {used}}}}} other jobs get the rest"
                )


def list_excesses(
    configuration: Configuration, estimates: Sequence[StageEstimate], limits: Limits
) -> Iterator[str]:
    """Yield costs that exceed the limits, with their fixes."""
    for item in estimates:
        if item.least_memory_mb > limits.memory_mb:
            fix = suggest_less_memory(configuration, item, estimates, limits.memory_mb)
            yield (
                f"{item.title} needs {item.least_memory_mb / 1000:,.1f} GB{' with one worker' if item.blocks else ''}, "
                f"a job has {limits.memory_mb / 1000:,.1f} GB: {fix}, or take a larger node (--memory)"
            )
        elif item.instance.stage == AGGLOMERATE and item.fragments > MOST_FRAGMENTS:
            fix = _suggest_fewer_fragments(configuration, item, item.fragments / MOST_FRAGMENTS)
            yield f"{item.title} cannot join more than {MOST_FRAGMENTS:,} fragments: {fix}"
        if item.blocks > _MAX_BLOCKS:
            yield (
                f"{item.title} has {item.blocks:,} blocks of {_join(item.block)} voxels, which each job records; "
                f"{_MAX_BLOCKS:,} are possible: make {find_block_key(item)} larger"
            )
    results = configuration.results
    disk = sum(item.disk_bytes for item in estimates)
    if disk > limits.disk_bytes:
        yield (
            f"the results need {format_size(disk)}, {format_size(limits.disk_bytes)} are free at {results}: set "
            "'results' or 'storage' to a larger disk, or leave volumes out"
        )
    files = sum(item.files for item in estimates)
    if limits.files is not None and files > limits.files:
        most = max(estimates, key=lambda item: item.files)
        yield (
            f"the results need {files:,} files, the file system at {results} can hold {limits.files:,} more: set "
            f"'results' or 'storage' to another file system. Most files belong to {most.title}; "
            + suggest_fewer_files(most)
        )


def recommend_shards(item: StageEstimate) -> int:
    """Return the number of shards of about an hour each, at most one per block."""
    return max(1, min(item.blocks, math.ceil(item.busy_seconds / item.workers / _SHARD_SECONDS)))


def find_block_key(item: StageEstimate) -> str:
    """Return the key of the configuration that decides the size of a stage's blocks."""
    stage = item.instance.stage
    if stage.blocks is Blocks.VOLUME_CHUNKS:
        return f"volumes.{item.instance.volume}.chunk"
    return f"runs.{item.instance.run}.{stage.block_setting}"


def suggest_less_memory(
    configuration: Configuration, item: StageEstimate, estimates: Sequence[StageEstimate], limit_mb: float
) -> str:
    """Return the change that reduces the memory of a stage's jobs, whatever the number of workers.

    Args:
        configuration: contains the stage.
        item: costs of the stage.
        estimates: costs of all stages.
        limit_mb: available memory, in MB.
    """
    stage, run = item.instance.stage, item.instance.run
    if configuration.execution.get_memory_mb(stage.name) is not None:
        return f"execution.memory_mb sets this for {stage.name}; make it smaller"
    if stage == TRAIN:
        return f"make runs.{run}.architecture.input_shape or runs.{run}.training.batch_size smaller"
    if stage == TUNE:
        names = ", ".join(configuration.runs[run].volumes.validation)
        return f"all of {names} is in memory at the same time: make these volumes smaller with 'roi'"
    if stage == PROVENANCE:
        most = max((other for other in estimates if other.instance.run == run), key=lambda other: other.files)
        fix = suggest_fewer_files(most)
        return f"it holds the names of the {most.files:,} files of {most.title}; {fix}"
    if item.fragments * stage.cost.bytes_per_fragment / 1e6 > item.least_memory_mb / 2:
        process_mb = add_reserve(stage.cost.process_mb, configuration)
        ratio = (item.least_memory_mb - process_mb) / max(1.0, limit_mb - process_mb)
        return _suggest_fewer_fragments(configuration, item, max(ratio, item.fragments / MOST_FRAGMENTS))
    if stage == EVALUATE and configuration.runs[run].evaluation.run_length:
        cost = stage.cost
        assert cost.voxels_at_once is not None
        in_blocks = cost.bytes_per_voxel * cost.voxels_at_once(configuration.runs[run], 1 << 62)
        if item.least_memory_mb > add_reserve(cost.process_mb + in_blocks / 1e6, configuration):
            return f"leave out runs.{run}.evaluation.run_length, which needs the bounding box of an object in memory"
    key = find_block_key(item)
    prediction = configuration.runs[run].prediction if run else None
    if stage == PREDICT and prediction and prediction.block_size is None and prediction.tile_size is not None:
        # Blocks have the size of tiles then.
        key = f"runs.{run}.prediction.tile_size"
    return f"make {key} smaller"


def suggest_fewer_files(item: StageEstimate) -> str:
    """Return the change that makes a stage write fewer files."""
    stage, dims = item.instance.stage, len(item.stored)
    if stage == TRAIN:
        return f"make runs.{item.instance.run}.training.snapshot_interval larger"
    if item.stored != item.block and stage != GRAPH:
        fewer = math.ceil(item.files * math.prod(item.stored) / math.prod(item.block))
        return (
            f"zarr_format: 3 stores a block of {_join(item.block)} voxels in one file, which makes {fewer:,} files; "
            "an object store ('storage') can hold more"
        )
    factor = max(2, math.ceil((item.files / _MANY_FILES) ** (1 / dims)))
    larger = [size * factor for size in item.block]
    return f"{find_block_key(item)}: {larger} instead of {list(item.block)} makes it {item.files // factor**dims:,}"


def _suggest_fewer_fragments(configuration: Configuration, item: StageEstimate, ratio: float) -> str:
    """Return the change that divides the number of fragments in memory by a ratio."""
    run, volume = item.instance.run, item.instance.volume
    segmentation = configuration.runs[run].segmentation
    text = (
        f"about {item.fragments:,.0f} fragments are in memory at the same time, whatever the size of blocks; "
    )
    cut = f"cut volumes.{volume} into {math.ceil(ratio):,} volumes with 'roi' and segment each by itself"
    for window in range(segmentation.window + 1, _MAX_WINDOW + 1):
        wider = segmentation.model_copy(update={"window": window})
        if fragment_voxels(wider) >= ratio * fragment_voxels(segmentation):
            return (
                f"{text}runs.{run}.segmentation.window: {window} instead of {segmentation.window} makes fewer and the "
                f"segmentation coarser; or {cut}"
            )
    return f"{text}{cut}"


def _join(voxels: Sequence[int]) -> str:
    return "×".join(map(str, voxels))


def format_size(size: float) -> str:
    """Return a number of bytes with its unit.

    Example:
        >>> format_size(1234567), format_size(2.5e13)
        ('1.2 MB', '25.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
