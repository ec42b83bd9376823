"""Stage that agglomerates fragments to segments over the whole graph of a volume."""

import logging
import sys
from dataclasses import replace

import numpy as np

from attacca.config.segmentation import CheckThresholds
from attacca.fingerprint import digest_file
from attacca.jobs.kept_manifests import keep_manifest, recall_manifest
from attacca.jobs.open_results import open_result
from attacca.jobs.stage import CostModel, Scope, Stage, StageInstance, locate_manifest, plain_values
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.manifest import Manifest
from attacca.segmentation.chosen_settings import read_agglomeration_settings
from attacca.stages.fragments import FRAGMENTS, block_parameters, is_agglomerated
from attacca.stages.graph import GRAPH
from attacca.stages.tune import TUNE

logger = logging.getLogger(__name__)

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
    files=lambda layout, run, volume: [str(layout.look_up_table(run, volume))],
    # The whole graph is in memory at once.
    cost=CostModel(350, 0, 3.0e7, 1, bytes_per_fragment=400),
    disk=lambda sizes: (1e4 + sizes.fragments * 16, 5),
    max_threads=1,
)


def work(arguments: StageArguments) -> None:
    """Write the look-up table from fragments to segments, and its manifest."""
    # deferred: the Snakefile does not need numba.
    from attacca.segmentation.agglomerate import agglomerate
    from attacca.segmentation.checks import check_sizes
    from attacca.segmentation.graph_tables import load_graph, remove_columns

    layout, graph_manifest = arguments.layout, arguments.inputs["graph"]
    settings = read_agglomeration_settings(arguments.inputs["tuning"])
    inputs = {"graph": graph_manifest.fingerprint}
    manifest = Manifest(AGGLOMERATE.name, AGGLOMERATE.version, plain_values(settings), inputs)
    checks = CheckThresholds.model_validate(arguments.parameters["segmentation"]["checks"])
    # A result that passed the checks with other thresholds may not pass these.
    key = {**manifest.key_parts(), "checks": plain_values(checks)}
    path = layout.look_up_table(arguments.run, arguments.volume)
    known = recall_manifest(arguments.output, key)
    if known is not None and path.exists() and digest_file(path) == known.result["table_digest"]:
        known.write(arguments.output)
        return
    graph = load_graph(layout.graph(arguments.run, arguments.volume), graph_manifest.result["blocks"])
    table = agglomerate(graph, settings)
    fragments = open_result(StageInstance(FRAGMENTS, arguments.run, arguments.volume), layout)
    voxels = int(np.prod(fragments.roi.shape / fragments.voxel_size, dtype=np.int64))
    shares = check_sizes(graph, table, voxels, checks, f"the segmentation of {arguments.label}")
    table.save(path)
    remove_columns(layout.graph(arguments.run, arguments.volume))
    segments = int(table.segments.max(initial=np.uint64(0)))
    message = f"{AGGLOMERATE.name} {arguments.label}: {len(table.ids)} fragments, {len(graph.u)} edges, {segments} segments"
    logger.info("%s", message)
    print(message, file=sys.stderr, flush=True)
    result = {
        "fragments": len(table.ids),
        "edges": len(graph.u),
        "segments": segments,
        "segmented_share": round(shares["segmented_share"], 6),
        "largest_share": round(shares["largest_share"], 6),
        "table_digest": digest_file(path),
    }
    manifest = replace(manifest, result=result)
    keep_manifest(manifest, arguments.output, key)
    manifest.write(arguments.output)


if __name__ == "__main__":
    sys.exit(stage_main(AGGLOMERATE, work))
