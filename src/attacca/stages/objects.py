"""Stage that measures the objects of a segmentation: volume, surface, centroid, extent."""

import heapq
import math
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from attacca.arrays import ZarrArray
from attacca.atomic import write_json
from attacca.blockwise import BlockGrid, Ledger, run_blocks
from attacca.config.run import Configuration, RunConfig
from attacca.jobs.block_shape import grid_shape
from attacca.jobs.open_results import open_result
from attacca.jobs.stage import SHARD, CostModel, ProductSizes, Scope, Stage, StageInstance, locate_manifest
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.kernel_compilation import announce_compilation
from attacca.manifest import Manifest
from attacca.progress import Progress
from attacca.stages.fragments import is_agglomerated
from attacca.stages.relabel import RELABEL

_BLOCK_VOXELS = 1 << 22
_LARGEST = 20
"""Objects in the manifest, for the report."""


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    return {}


def _voxels_at_once(run: RunConfig, voxels: int) -> int:
    block = run.segmentation.block_size
    return min(voxels, math.prod(block) if block else _BLOCK_VOXELS)


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    # A table per block, and one of all objects; a tenth of the fragments is a typical number of objects.
    return sizes.fragments * 25 + 1e4, sizes.chunks + 5


OBJECTS = Stage(
    name="objects",
    title="table of objects",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {"segmentation": StageInstance(RELABEL, run, volume)},
    applies=is_agglomerated,
    manifest=locate_manifest("objects"),
    parameters=_parameters,
    files=lambda layout, run, volume: [str(layout.object_table(run, volume))],
    contents=lambda layout, run, volume: [
        str(layout.objects(run, volume)),
        str(layout.object_table(run, volume)),
    ],
    is_final=True,
    has_processes=True,
    cost=CostModel(350, 40, 1.0e7, 1, voxels_at_once=_voxels_at_once),
    disk=_disk,
)


def work(arguments: StageArguments) -> None:
    """Measure the blocks of a shard; or write ``objects.tsv``, and the manifest with the largest objects."""
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.object_blocks import ObjectBlocks

    layout, run, volume = arguments.layout, arguments.run, arguments.volume
    segmentation = open_result(StageInstance(RELABEL, run, volume), layout)
    manifest = Manifest(
        OBJECTS.name,
        OBJECTS.version,
        arguments.parameters,
        {name: given.fingerprint for name, given in arguments.inputs.items()},
    )
    grid = BlockGrid(segmentation.roi, segmentation.chunk_size, segmentation.voxel_size)
    directory = layout.objects(run, volume)
    directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(str(directory), manifest.key_parts(), len(grid))
    # The job after the shards computes what is left of all blocks.
    shard = arguments.shard if arguments.action == SHARD else (0, 1)
    blocks = grid.shard(*shard)
    progress = Progress(
        f"{OBJECTS.name} {arguments.label}",
        total=len(blocks),
        done=len(blocks) - len(ledger.missing(blocks)),
        interval=arguments.execution.progress_interval,
    )
    announce_compilation(progress.name)
    run_blocks(
        ObjectBlocks(segmentation, str(directory)),
        grid,
        ledger=ledger,
        shard=shard,
        num_workers=arguments.threads,
        retries=arguments.execution.retries,
        timeout=arguments.execution.block_timeout,
        scheduler_address=arguments.execution.scheduler_address,
        progress=progress,
        memory_per_block=int(OBJECTS.cost.bytes_per_voxel * grid_shape(grid).read_voxels),
    )
    if arguments.action == SHARD:
        progress.finish()
        write_json(arguments.output, {"stage": OBJECTS.name, "shard": list(shard)})
        return
    result = write_table(layout.object_table(run, volume), directory, len(grid), segmentation)
    Manifest(**{**manifest.key_parts(), "result": result}).write(arguments.output)
    progress.finish()


def write_table(path: Path, directory: Path, blocks: int, segmentation: ZarrArray) -> dict[str, Any]:
    """Write the sum of the tables of all blocks as tab-separated text, with bounded memory.

    Args:
        path: the file.
        directory: tables of the blocks.
        blocks: number of blocks.
        segmentation: the array of ids.

    Returns:
        Number of objects, names of the columns, and the rows of the largest objects.
    """
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.object_blocks import load_object_table
    from attacca.segmentation.object_rows import ObjectRows, format_rows
    from attacca.segmentation.object_table import merge_object_tables

    writer = ObjectRows.of_array(segmentation)
    partial_path = path.with_suffix(".partial")
    count = 0
    largest: list[list[Any]] = []
    with partial_path.open("w") as file:
        file.write("\t".join(writer.columns) + "\n")
        for table in merge_object_tables(partial(load_object_table, directory), blocks):
            rows = writer.make(table)
            file.write(format_rows(rows))
            count += len(rows)
            largest = heapq.nsmallest(_LARGEST, [*largest, *rows], key=lambda row: (-row[1], row[0]))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial_path, path)
    return {"objects": count, "columns": writer.columns, "largest": largest}


if __name__ == "__main__":
    sys.exit(stage_main(OBJECTS, work))
