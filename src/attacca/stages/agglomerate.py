"""Stage that agglomerates fragments to segments over the whole graph of a volume.

It is one job. Shards may agglomerate leaves of a large volume before it; the job computes what is missing.
"""

import logging
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from attacca.arrays import ZarrArray
from attacca.atomic import write_json
from attacca.blockwise import run_blocks
from attacca.config.run import RunConfig
from attacca.config.segmentation import AgglomerationSettings, CheckThresholds
from attacca.fingerprint import digest, digest_file
from attacca.jobs.kept_manifests import keep_manifest, recall_manifest
from attacca.jobs.open_results import open_result
from attacca.jobs.stage import SHARD, CostModel, Scope, Stage, StageInstance, locate_manifest, plain_values
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.kernel_compilation import announce_compilation
from attacca.manifest import Manifest
from attacca.segmentation.block_size import choose_block_size
from attacca.segmentation.chosen_settings import (
    read_agglomeration_settings,
    read_fragment_settings,
    read_neighborhood,
)
from attacca.segmentation.leaf_size import count_agglomerated
from attacca.stages.fragments import FRAGMENTS, block_parameters, is_agglomerated
from attacca.stages.graph import GRAPH
from attacca.stages.tune import TUNE

if TYPE_CHECKING:
    # The Snakefile does not need numba.
    from attacca.segmentation.fragment_lattice import FragmentLattice
    from attacca.segmentation.octree_agglomeration import AgglomeratedVolume, OctreeAgglomeration
    from attacca.segmentation.part_blocks import GraphTables

logger = logging.getLogger(__name__)


def _fragments_at_once(run: RunConfig, voxels: float, fragments: float) -> float:
    """Return the fragments of the largest part of the octree; a mutex watershed needs the whole graph."""
    settings = run.segmentation
    methods = {
        choice.method
        for candidate in settings.fragment_candidates()
        for choice in settings.agglomeration_candidates(candidate)
    }
    return fragments if "mutex_watershed" in methods else count_agglomerated(voxels, fragments)


AGGLOMERATE = Stage(
    name="agglomerate",
    title="agglomeration",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {
        "graph": StageInstance(GRAPH, run, volume),
        "tuning": StageInstance(TUNE, run),
    },
    applies=is_agglomerated,
    manifest=locate_manifest("look_up_table"),
    parameters=block_parameters,
    files=lambda layout, run, volume: [
        str(layout.look_up_table(run, volume)),
        str(layout.look_up_table_leaves(run, volume)),
    ],
    contents=lambda layout, run, volume: [
        str(layout.look_up_table(run, volume)),
        str(layout.look_up_table_leaves(run, volume)),
        str(layout.agglomeration(run, volume)),
    ],
    cost=CostModel(350, 0, 3.0e7, 1, bytes_per_fragment=400, fragments_at_once=_fragments_at_once),
    disk=lambda sizes: (1e4 + sizes.fragments * 16, 5),
    max_threads=1,
)


def work(arguments: StageArguments) -> None:
    """Agglomerate the leaves of a shard; or write the look-up table from fragments to segments, and its manifest."""
    layout, graph_manifest = arguments.layout, arguments.inputs["graph"]
    tuning = arguments.inputs["tuning"]
    settings = read_agglomeration_settings(tuning)
    inputs = {"graph": graph_manifest.fingerprint}
    manifest = Manifest(AGGLOMERATE.name, AGGLOMERATE.version, plain_values(settings), inputs)
    checks = CheckThresholds.model_validate(arguments.parameters["segmentation"]["checks"])
    # A result that passed the checks with other thresholds may not pass these.
    key = {**manifest.key_parts(), "checks": plain_values(checks)}
    path = layout.look_up_table(arguments.run, arguments.volume)
    output = StageInstance(AGGLOMERATE, arguments.run, arguments.volume).manifest(layout)
    known = recall_manifest(output, key)
    fragments = open_result(StageInstance(FRAGMENTS, arguments.run, arguments.volume), layout)
    if arguments.action == SHARD:
        if known is None and settings.method != "mutex_watershed":
            _plan(arguments, manifest, fragments).compute_shard(*arguments.shard)
        write_json(arguments.output, {"stage": AGGLOMERATE.name, "shard": list(arguments.shard)})
        return
    leaves = layout.look_up_table_leaves(arguments.run, arguments.volume)
    if (
        known is not None
        and leaves.exists()
        and path.exists()
        and digest_file(path) == known.result["table_digest"]
    ):
        known.write(arguments.output)
        return
    announce_compilation(f"{AGGLOMERATE.name} {arguments.label}")
    if settings.method == "mutex_watershed":
        volume = _agglomerate_at_once(arguments, settings, fragments)
    else:
        volume = _plan(arguments, manifest, fragments).finish(path)
    voxels = int(np.prod(fragments.roi.shape / fragments.voxel_size, dtype=np.int64))
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.checks import check_sizes

    shares = check_sizes(volume.sizes, voxels, checks, "the segmentation")
    segments = len(volume.sizes)
    message = (
        f"{AGGLOMERATE.name} {arguments.label}: {volume.num_fragments} fragments, {volume.num_edges} edges, "
        f"{segments} segments"
    )
    logger.info("%s", message)
    print(message, file=sys.stderr, flush=True)
    result = {
        "fragments": volume.num_fragments,
        "edges": volume.num_edges,
        "segments": segments,
        "segmented_share": round(shares["segmented_share"], 6),
        "largest_share": round(shares["largest_share"], 6),
        "table_digest": digest_file(path),
    }
    manifest = replace(manifest, result=result)
    keep_manifest(manifest, arguments.output, key)
    manifest.write(arguments.output)


def _divide(arguments: StageArguments, fragments: ZarrArray) -> "tuple[FragmentLattice, GraphTables]":
    """Return the leaves of the volume, and its graph."""
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.frame import Frame
    from attacca.segmentation.graph_blocks import select_offsets
    from attacca.segmentation.leaves import divide_volume

    tuning = arguments.inputs["tuning"]
    settings = read_fragment_settings(tuning)
    offsets, _ = select_offsets(
        read_neighborhood(tuning), read_agglomeration_settings(tuning).needs_long_range
    )
    return divide_volume(
        Frame(fragments.roi, fragments.voxel_size),
        choose_block_size(fragments, arguments.parameters["segmentation"]["block_size"]),
        settings,
        offsets,
        str(arguments.layout.graph(arguments.run, arguments.volume)),
        arguments.execution.agglomeration_blocks,
    )


def _plan(arguments: StageArguments, manifest: Manifest, fragments: ZarrArray) -> "OctreeAgglomeration":
    """Return the agglomeration of the volume in an octree."""
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.octree_agglomeration import OctreeAgglomeration

    execution = arguments.execution
    lattice, tables = _divide(arguments, fragments)
    return OctreeAgglomeration(
        arguments.layout.agglomeration(arguments.run, arguments.volume),
        digest({**manifest.key_parts(), "leaves": lattice.to_json()}),
        lattice,
        tables,
        read_agglomeration_settings(arguments.inputs["tuning"]),
        partial(
            run_blocks,
            num_workers=arguments.threads,
            retries=execution.retries,
            timeout=execution.block_timeout,
            scheduler_address=execution.scheduler_address,
        ),
    )


def _agglomerate_at_once(
    arguments: StageArguments, settings: AgglomerationSettings, fragments: ZarrArray
) -> "AgglomeratedVolume":
    """Agglomerate the graph of the volume in one piece, and write the look-up table."""
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.agglomerate import agglomerate
    from attacca.segmentation.graph_tables import load_graph, remove_columns
    from attacca.segmentation.octree_agglomeration import AgglomeratedVolume

    directory = arguments.layout.graph(arguments.run, arguments.volume)
    graph = load_graph(directory, arguments.inputs["graph"].result["blocks"])
    table = agglomerate(graph, settings)
    remove_columns(directory)
    lattice, _ = _divide(arguments, fragments)
    table.divide(lattice).save(arguments.layout.look_up_table(arguments.run, arguments.volume))
    return AgglomeratedVolume(len(table.ids), len(graph.u), table.count_voxels(graph.sizes))


if __name__ == "__main__":
    sys.exit(stage_main(AGGLOMERATE, work))
