"""What would make a configuration fit, or cheaper: each remedy names the key that changes the figure it is about."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacca.config.run import Configuration
from attacca.costs.estimates import StageEstimate
from attacca.costs.fragment_count import MOST_FRAGMENTS, fragment_voxels
from attacca.costs.resources import add_reserve
from attacca.jobs.stage import Blocks
from attacca.prediction.sizes import CHUNK_EDGE, choose_chunk_edge
from attacca.progress import format_duration
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.graph import GRAPH
from attacca.stages.predict import PREDICT
from attacca.stages.provenance import PROVENANCE
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE

# A shard of about this long is neither mostly start nor lost for a day when its node fails.
_SHARD_SECONDS = 3600.0
# More files than this make listing, copying and deleting a project slow on any file system.
_MANY_FILES = 5_000_000
# Every job of a stage holds a few bytes of each of its blocks: which are done, which are left.
_MOST_BLOCKS = 10**9
# Blocks that cost less than this by their number, all together, are nobody's trouble.
_FEW_SECONDS = 3600.0
_LARGEST_WINDOW = 16


@dataclass(frozen=True)
class Limits:
    """What there is.

    Args:
        cores: for one job.
        memory_mb: for one job.
        disk_bytes: free.
        files: that the file system can still hold; None where it does not say.
        jobs: that run at once.
    """

    cores: int
    memory_mb: float
    disk_bytes: float
    files: int | None
    jobs: int


def advice(configuration: Configuration, estimates: Sequence[StageEstimate], limits: Limits) -> list[str]:
    """Recommended shards, blocks and chunks, where they differ from what the configuration says."""
    lines = []
    shards: dict[str, int] = {}
    for item in estimates:
        if item.instance.stage.is_blockwise:
            name = item.instance.stage.name
            shards[name] = max(shards.get(name, 1), recommended_shards(item))
    cluster = {name: count for name, count in shards.items() if count > 1}
    if cluster:
        text = ", ".join(f"{name}: {count}" for name, count in cluster.items())
        lines.append(f"on a cluster, shards of about an hour: execution: {{shards: {{default: 1, {text}}}}}")
    for item in estimates:
        name, title = item.instance.stage.name, f"{item.instance.stage.name} {item.instance.label}"
        if item.memory_mb > limits.memory_mb >= item.least_memory_mb:
            workers = _workers_that_fit(item, limits.memory_mb)
            lines.append(
                f"{title} needs {item.memory_mb / 1000:.1f} GB with {item.workers} workers; with execution: "
                f"{{threads: {{{name}: {workers}}}}} it fits into {limits.memory_mb / 1000:.0f} GB"
            )
        if item.files > _MANY_FILES and item.chunk:
            lines.append(
                f"{title} writes {item.files:,} files; {_fewer_files(configuration, item, estimates)}"
            )
        busy = item.core_seconds + item.gpu_seconds
        if item.between_seconds > max(_FEW_SECONDS, busy / 2):
            lines.append(
                f"{title} has {item.blocks:,} blocks of {_size(item.block)} voxels: {item.between_seconds / 3600:,.1f} "
                f"of its {busy / 3600:,.1f} hours are spent between blocks; make {block_key(item)} larger"
            )
        if item.blocks and item.shards > 1 and item.job_seconds < 120:
            lines.append(
                f"{title}: {item.shards} shards of {format_duration(item.job_seconds)} each are mostly start; "
                "fewer are as fast"
            )
        lines.extend(_idle_cores(configuration, item))
    return lines


def refusals(configuration: Configuration, estimates: Sequence[StageEstimate], limits: Limits) -> list[str]:
    """What cannot fit, and what would help."""
    results = configuration.results
    problems = []
    for item in estimates:
        title = f"{item.instance.stage.name} {item.instance.label}"
        if item.least_memory_mb > limits.memory_mb:
            worker = " with one worker" if item.blocks else ""
            remedy = memory_remedy(configuration, item, estimates, limits.memory_mb)
            problems.append(
                f"{title} needs {item.least_memory_mb / 1000:,.1f} GB{worker}, a job has "
                f"{limits.memory_mb / 1000:,.1f} GB: {remedy}, or take a larger node (--memory)"
            )
        elif item.fragments > MOST_FRAGMENTS and item.instance.stage == AGGLOMERATE:
            problems.append(
                f"{title} cannot join more than {MOST_FRAGMENTS:,} fragments: "
                + _fewer_fragments(configuration, item, item.fragments / MOST_FRAGMENTS)
            )
        if item.blocks > _MOST_BLOCKS:
            problems.append(
                f"{title} has {item.blocks:,} blocks of {_size(item.block)} voxels, of which every job keeps account; "
                f"{_MOST_BLOCKS:,} are possible: make {block_key(item)} larger"
            )
    disk = sum(item.disk_bytes for item in estimates)
    present = _present_bytes(results)
    if disk - present > limits.disk_bytes:
        problems.append(
            f"the results need {size_text(disk)}, {size_text(limits.disk_bytes)} are free at {results}: set "
            "'results' or 'storage' to a larger disk, or leave volumes out"
        )
    files = sum(item.files for item in estimates)
    if limits.files is not None and files > limits.files:
        most = max(estimates, key=lambda item: item.files)
        problems.append(
            f"the results need {files:,} files, the file system at {results} can hold {limits.files:,} more: set "
            f"'results' or 'storage' to another one. Most are of {most.instance.stage.name} {most.instance.label}; "
            + _fewer_files(configuration, most, estimates)
        )
    return problems


def recommended_shards(item: StageEstimate) -> int:
    """Shards of about an hour each, at most one for each block."""
    work = (item.core_seconds + item.gpu_seconds) / item.workers
    return max(1, min(item.blocks, math.ceil(work / _SHARD_SECONDS)))


def block_key(item: StageEstimate) -> str:
    """The key of the configuration that decides how large the blocks of a stage are."""
    stage, run, volume = item.instance.stage, item.instance.run, item.instance.volume
    if stage.blocks is Blocks.VOLUME_CHUNKS:
        return f"volumes.{volume}.chunk"
    return f"runs.{run}.{stage.block_setting or 'segmentation.block_size'}"


def memory_remedy(
    configuration: Configuration, item: StageEstimate, estimates: Sequence[StageEstimate], limit_mb: float
) -> str:
    """What makes a job of a stage need less memory, whatever the number of its workers."""
    stage, run = item.instance.stage, item.instance.run
    if configuration.execution.get_memory_mb(stage.name) is not None:
        return f"execution.memory_mb says so for {stage.name}; make it smaller"
    if stage == TRAIN:
        return f"make runs.{run}.architecture.input_shape or runs.{run}.training.batch_size smaller"
    if stage == TUNE:
        names = ", ".join(configuration.runs[run].volumes.validation)
        return f"all of {names} is in memory at once: make these volumes smaller with 'roi'"
    if stage == PROVENANCE:
        most = max((other for other in estimates if other.instance.run == run), key=lambda other: other.files)
        return (
            f"it holds the names of the {most.files:,} files of {most.instance.stage.name} {most.instance.label}; "
            + _fewer_files(configuration, most, estimates)
        )
    fragments_mb = item.fragments * stage.cost.bytes_per_fragment / 1e6
    if stage == AGGLOMERATE or fragments_mb > item.least_memory_mb / 2:
        own = add_reserve(stage.cost.process_mb)
        ratio = (item.least_memory_mb - own) / max(1.0, limit_mb - own)
        ratio = max(ratio, item.fragments / MOST_FRAGMENTS)
        return _fewer_fragments(configuration, item, ratio)
    key = block_key(item)
    if stage == PREDICT:
        settings = configuration.runs[run].prediction
        if settings.block_size is None and settings.tile_size is not None:
            # The block is the tile then.
            key = f"runs.{run}.prediction.tile_size"
    elif "segmentation" in key and all(size <= chunk for size, chunk in zip(item.block, item.chunk)):
        key = f"runs.{run}.prediction.block_size, whose chunks are the smallest blocks of a segmentation,"
    return f"make {key} smaller"


def _fewer_fragments(configuration: Configuration, item: StageEstimate, ratio: float) -> str:
    """How to have so many times fewer fragments."""
    run, volume = item.instance.run, item.instance.volume
    segmentation = configuration.runs[run].segmentation
    now = fragment_voxels(segmentation)
    parts = math.ceil(ratio)
    cut = (
        f"cut volumes.{volume} into {parts:,} volumes with 'roi', each of which is segmented by itself"
        if volume
        else "make the volumes smaller"
    )
    text = f"about {item.fragments:,.0f} fragments are in memory at once, whatever the size of blocks; "
    for window in range(segmentation.window + 1, _LARGEST_WINDOW + 1):
        wider = segmentation.model_copy(update={"window": window})
        if fragment_voxels(wider) >= ratio * now:
            return (
                f"{text}runs.{run}.segmentation.window: {window} instead of {segmentation.window} makes fewer and the "
                f"segmentation coarser; or {cut}"
            )
    return f"{text}{cut}"


def _fewer_files(
    configuration: Configuration, item: StageEstimate, estimates: Sequence[StageEstimate]
) -> str:
    """What makes a stage write fewer files, if anything does."""
    stage, run, volume = item.instance.stage, item.instance.run, item.instance.volume
    dims = len(item.chunk)
    if stage == GRAPH or stage.blocks is Blocks.VOLUME_CHUNKS:
        now = item.block if stage == GRAPH else item.chunk
        factor = max(2, math.ceil((item.files / _MANY_FILES) ** (1 / dims)))
        wider = tuple(size * factor for size in now)
        return (
            f"{block_key(item)}: {list(wider)} instead of {list(now)} makes it {item.files // factor**dims:,}"
        )
    block = next(
        other.block
        for other in estimates
        if other.instance.stage == PREDICT and other.instance.run == run and other.instance.volume == volume
    )
    wider = tuple(_block_with_wide_chunks(size, dims) for size in block)
    chunk = [choose_chunk_edge(size, dims) for size in wider]
    if math.prod(chunk) < 1.5 * math.prod(item.chunk):
        return (
            f"its chunks of {_size(item.chunk)} voxels are as large as they become; an object store ('storage') has no "
            "trouble with so many"
        )
    fewer = item.files * math.prod(item.chunk) // math.prod(chunk)
    return (
        f"they are the chunks of the prediction: runs.{run}.prediction.block_size: {list(wider)} makes chunks of "
        f"{_size(chunk)} voxels instead of {_size(item.chunk)}, and {fewer:,} files"
    )


def _block_with_wide_chunks(edge: int, dims: int) -> int:
    """The smallest multiple of a block's edge that is stored in about the widest chunks."""
    multiples = [edge * factor for factor in range(1, CHUNK_EDGE[dims] + 1)]
    fitting = [size for size in multiples if choose_chunk_edge(size, dims) <= CHUNK_EDGE[dims]]
    widest = max((choose_chunk_edge(size, dims) for size in fitting), default=0)
    return next((size for size in fitting if choose_chunk_edge(size, dims) >= 0.8 * widest), edge)


def _idle_cores(configuration: Configuration, item: StageEstimate) -> Iterator[str]:
    if item.instance.stage != TRAIN or item.gpu_seconds:
        return
    training: Any = configuration.runs[item.instance.run].training
    used = training.torch_threads + training.loader_workers
    if item.cores > used:
        yield (
            f"train {item.instance.label} holds {item.cores} cores and computes with {used} "
            "(training.torch_threads and training.loader_workers): with execution: "
            f"{{threads: {{train: {used}}}}} other jobs get the rest"
        )


def _workers_that_fit(item: StageEstimate, limit_mb: float) -> int:
    each = (item.memory_mb - item.least_memory_mb) / max(1, item.workers - 1)
    return 1 + int((limit_mb - item.least_memory_mb) / each)


def _present_bytes(results: Path) -> float:
    """A lower bound of what is there already: walking terabytes would take longer than the plan."""
    return float(results.stat().st_size) if results.exists() else 0.0


def _size(voxels: Sequence[int]) -> str:
    return "×".join(map(str, voxels))


def size_text(size: float) -> str:
    """``1234567`` becomes ``1.2 MB``.

    >>> size_text(1234567), size_text(2.5e13)
    ('1.2 MB', '25.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
