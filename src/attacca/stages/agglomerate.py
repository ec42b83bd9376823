"""Joins fragments to segments over the whole graph."""

import logging
import sys

import numpy as np

from attacca.config.segmentation import CheckThresholds
from attacca.fingerprint import digest_file
from attacca.segmentation.checks import check_sizes
from attacca.segmentation.graph_blocks import load_graph
from attacca.segmentation.lookup import agglomerate
from attacca.stages.catalogue import entry
from attacca.stages.command import StageArguments, stage_main
from attacca.stages.manifest import Manifest
from attacca.stages.opening import open_result
from attacca.stages.segmentation_settings import chosen_agglomeration, plain

VERSION = entry("agglomerate").version
logger = logging.getLogger(__name__)


def work(arguments: StageArguments) -> None:
    """Write the look-up table from fragments to segments, and its manifest."""
    layout, graph_manifest = arguments.layout, arguments.inputs["graph"]
    settings = chosen_agglomeration(arguments.inputs["tuning"])
    graph = load_graph(layout.graph(arguments.run, arguments.volume), graph_manifest.result["blocks"])
    table = agglomerate(graph, settings)
    fragments = open_result(layout.image(arguments.run, arguments.volume, "fragments"), "fragments")
    voxels = int(np.prod(fragments.roi.shape / fragments.voxel_size, dtype=np.int64))
    checks = CheckThresholds.model_validate(arguments.parameters["segmentation"]["checks"])
    shares = check_sizes(graph, table, voxels, checks, f"the segmentation of {arguments.label}")
    path = layout.look_up_table(arguments.run, arguments.volume)
    table.save(path)
    segments = int(table.segments.max(initial=np.uint64(0)))
    message = f"agglomerate {arguments.label}: {len(table.ids)} fragments, {len(graph.u)} edges, {segments} segments"
    logger.info("%s", message)
    print(message, file=sys.stderr, flush=True)
    Manifest(
        "agglomerate",
        VERSION,
        plain(settings),
        {"graph": graph_manifest.fingerprint},
        {
            "fragments": len(table.ids),
            "edges": len(graph.u),
            "segments": segments,
            "segmented_share": round(shares["segmented_share"], 6),
            "largest_share": round(shares["largest_share"], 6),
            "table_digest": digest_file(path),
        },
    ).write(arguments.output)


if __name__ == "__main__":
    sys.exit(stage_main("agglomerate", work))
