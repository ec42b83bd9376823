"""Effect of the size of cells on a segmentation: comparison with a single cell, and with the labels.

    python benchmarks/segmentation_invariance.py --results results/fib25 > benchmarks/segmentation_invariance.txt

Fragments are computed by each method that the default configuration tries, and by mutex watershed of every edge
(``min_evidence: 0``), in cells of several sizes and in one cell as large as the volume. Agglomeration is by mean
affinity; segments below 200 voxels are merged. The table has the variation of information between the segmentation in
cells and that in one cell, over all voxels, and of each to the labels, over labeled voxels.
"""

import argparse
import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from segmentation_data import OFFSETS, predicted, synthetic  # noqa: E402

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings, SegmentationConfig  # noqa: E402
from attacca.evaluators.contingency import contingency_table  # noqa: E402
from attacca.evaluators.instance_scores import InstanceConvention, voi_from_table  # noqa: E402
from attacca.segmentation.agglomerate import agglomerate  # noqa: E402
from attacca.segmentation.block_graph import count_block_graph  # noqa: E402
from attacca.segmentation.box import Box  # noqa: E402
from attacca.segmentation.fragments import make_fragments  # noqa: E402
from attacca.segmentation.frame import Frame  # noqa: E402
from attacca.segmentation.graph_blocks import select_offsets  # noqa: E402
from attacca.segmentation.graph_tables import join_tables  # noqa: E402
from attacca.segmentation.look_up_table import relabel  # noqa: E402
from attacca.segmentation.mean_affinity import merge_by_mean_affinity  # noqa: E402

THRESHOLDS = [0.3, 0.4, 0.5, 0.6]


def segmentations(affinities: np.ndarray, settings: FragmentSettings, cell: list[int]) -> list[np.ndarray]:
    """Return the segments at each threshold."""
    shape = Coordinate(affinities.shape[1:])
    frame = Frame(Roi((0, 0, 0), shape), Coordinate((1, 1, 1)))

    def read(box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        return affinities[(slice(None), *box.slices((0, 0, 0)))], None

    settings = settings.model_copy(update={"cell_size": cell})
    fragments = make_fragments(read, frame, frame.box, tuple(OFFSETS), settings)
    offsets, channels = select_offsets(OFFSETS, False)
    graph = join_tables(
        *count_block_graph(fragments, affinities[channels], offsets, Box((0, 0, 0), frame.box.shape))
    )
    merges = merge_by_mean_affinity(graph, min(THRESHOLDS))
    ways = [AgglomerationSettings(threshold=threshold, min_size=200) for threshold in THRESHOLDS]
    return [relabel(fragments, agglomerate(graph, way, merges)) for way in ways]


def numbers(values: list[float], digits: int) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)


def compare(affinities: np.ndarray, labels: np.ndarray, cells: list[list[int]]) -> None:
    """Print a row for each method of fragments and each cell size."""

    def to_ground_truth(results: list[np.ndarray]) -> str:
        return numbers([voi_from_table(contingency_table(one, labels)).total for one in results], 2)

    print(f"{affinities.shape[1:]} voxels; at thresholds {numbers(THRESHOLDS, 1)}\n")
    print("| fragments | cells | VOI to one cell | VOI to the labels |\n|---|---|---|---|")
    everything = InstanceConvention(ignore_background=False)
    tried = SegmentationConfig().fragment_candidates()
    mutex = [settings for settings in tried if settings.chain == "mutex_watershed"]
    every_edge = [settings.model_copy(update={"min_evidence": 0.0}) for settings in mutex]
    for settings in tried + every_edge:
        name = settings.chain
        if settings.chain == "mutex_watershed":
            name += f", bias {settings.bias}" + (", every edge" if settings.min_evidence == 0 else "")
        whole = segmentations(affinities, settings, list(affinities.shape[1:]))
        print(f"| {name} | one | | {to_ground_truth(whole)} |", flush=True)
        for cell in cells:
            parts = segmentations(affinities, settings, cell)
            between = [
                voi_from_table(contingency_table(a, b), everything).total for a, b in zip(parts, whole)
            ]
            size = " x ".join(map(str, cell))
            print(f"| {name} | {size} | {numbers(between, 3)} | {to_ground_truth(parts)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, help="results of examples/fib25; synthetic affinities by default"
    )
    parser.add_argument("--volume", default="fib25-test")
    arguments = parser.parse_args()
    if arguments.results:
        given = predicted(arguments.results, arguments.volume)
    else:
        given = synthetic((64, 192, 192))
    compare(*given, [[64, 96, 96], [64, 64, 64], [24, 64, 64]])
