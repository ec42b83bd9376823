"""Joins fragments to segments over the whole graph."""

import logging
import sys
from dataclasses import replace

import numpy as np

from attacca.config.segmentation import CheckThresholds
from attacca.fingerprint import digest_file
from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.finished_work import keep, recall
from attacca.jobs.opening import open_result
from attacca.manifest import Manifest
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.checks import check_sizes
from attacca.segmentation.chosen_settings import chosen_agglomeration
from attacca.segmentation.graph_tables import load_graph
from attacca.workflow.catalogue import entry

VERSION = entry("agglomerate").version
logger = logging.getLogger(__name__)


def work(arguments: StageArguments) -> None:
    """Write the look-up table from fragments to segments, and its manifest."""
    layout, graph_manifest = arguments.layout, arguments.inputs["graph"]
    settings = chosen_agglomeration(arguments.inputs["tuning"])
    manifest = Manifest(
        "agglomerate", VERSION, settings.model_dump(mode="json"), {"graph": graph_manifest.fingerprint}
    )
    checks = CheckThresholds.model_validate(arguments.parameters["segmentation"]["checks"])
    # What was found good under other thresholds may not be good under these.
    key = {**manifest.key_parts(), "checks": checks.model_dump(mode="json")}
    path = layout.look_up_table(arguments.run, arguments.volume)
    known = recall(arguments.output, key)
    if known is not None and path.exists() and digest_file(path) == known.result["table_digest"]:
        known.write(arguments.output)
        return
    graph = load_graph(layout.graph(arguments.run, arguments.volume), graph_manifest.result["blocks"])
    table = agglomerate(graph, settings)
    fragments = open_result(layout.image(arguments.run, arguments.volume, "fragments"), "fragments")
    voxels = int(np.prod(fragments.roi.shape / fragments.voxel_size, dtype=np.int64))
    shares = check_sizes(graph, table, voxels, checks, f"the segmentation of {arguments.label}")
    table.save(path)
    segments = int(table.segments.max(initial=np.uint64(0)))
    message = f"agglomerate {arguments.label}: {len(table.ids)} fragments, {len(graph.u)} edges, {segments} segments"
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
    keep(manifest, arguments.output, key)
    manifest.write(arguments.output)


if __name__ == "__main__":
    sys.exit(stage_main("agglomerate", work))
