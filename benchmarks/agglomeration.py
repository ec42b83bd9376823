"""Scores of edges in the agglomeration: the mean affinity compared with quantiles, long-range affinities and others.

    python benchmarks/networks.py train --network "full 12-24-48, batch" --output results/networks --predictions
    python benchmarks/agglomeration.py results/fib25 results/networks/full-12-24-48-batch-1-800

Each argument is a directory of results of ``examples/fib25`` (its volumes for validation and test), or one that
``networks.py`` wrote (``first.npz`` and ``second.npz``). The fragments are those of the tuner's default candidates. For each
score, the setting with the lowest VOI on one volume is scored on the other one, and vice versa; ``best`` is the setting with
the lowest VOI on the scored volume itself. The table has means over all directions, and the number of directions with a
lower VOI than that of the mean affinity. ``ideal`` joins each fragment to the label of most of its voxels: no agglomeration
of these fragments is much better.

All scores are computed from one histogram of 256 values for each edge and group of offsets. The agglomeration here is a
simple one for small volumes. It gives the same regions as ``attacca.segmentation`` for the mean affinity, which is checked.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from numba import njit  # noqa: E402
from segmentation_data import OFFSETS, predicted  # noqa: E402

from attacca.arrays import NumpyArray  # noqa: E402
from attacca.blockwise import BlockGrid  # noqa: E402
from attacca.config.evaluation import EvaluationConfig  # noqa: E402
from attacca.config.segmentation import (  # noqa: E402
    AgglomerationSettings,
    FragmentSettings,
    SegmentationConfig,
)
from attacca.evaluators.contingency import ContingencyTable  # noqa: E402
from attacca.evaluators.ground_truth import GroundTruthRules  # noqa: E402
from attacca.evaluators.instance_scores import (  # noqa: E402
    InstanceConvention,
    rand_from_table,
    voi_from_table,
)
from attacca.evaluators.table_evaluator import compare_blocks  # noqa: E402
from attacca.segmentation.agglomerate import agglomerate  # noqa: E402
from attacca.segmentation.fragments import fix_cell_size  # noqa: E402
from attacca.segmentation.graph import Graph  # noqa: E402
from attacca.segmentation.mean_affinity import Merges, cut_merges, merge_by_mean_affinity  # noqa: E402
from attacca.segmentation.pipeline import compute_graph, create_fragment_array  # noqa: E402

THRESHOLDS = [round(0.02 * step, 2) for step in range(1, 50)]
SIZES = [0, 200, 1000]
VALUES = np.arange(256) / 255
Score = tuple[str, float, float, float, float, float]
"""Fragments, threshold, VOI split, VOI merge, VOI, adapted Rand error."""

RATIO, QUANTILE, SHRUNK, LOWER, SPREAD = range(5)


@dataclass(frozen=True)
class Edges:
    """Edges between fragments, also those without a contact.

    Args:
        u: int64 (edges,), first fragment, an index of the graph's nodes.
        v: int64 (edges,), second fragment.
        counts: int64 (3, edges, 256), number of affinities of each value: nearest-neighbor, offsets of 3, offsets of 9.
    """

    u: np.ndarray
    v: np.ndarray
    counts: np.ndarray


def count_edges(fragments: np.ndarray, affinities: np.ndarray, graph: Graph) -> Edges:
    """Return the histograms of the affinities between the fragments, (z, y, x), of all voxels."""
    indices = np.searchsorted(graph.ids, fragments)
    pairs = []
    for channel, offset in enumerate(OFFSETS):
        first = tuple(slice(0, n - step) for n, step in zip(fragments.shape, offset))
        second = tuple(slice(step, None) for step in offset)
        a, b = indices[first], indices[second]
        between = (a != b) & (fragments[first] > 0) & (fragments[second] > 0)
        key = np.minimum(a, b)[between] * len(graph.ids) + np.maximum(a, b)[between]
        pairs.append((channel // 3, key, affinities[channel][first][between]))
    keys = np.unique(np.concatenate([key for _, key, _ in pairs]))
    counts = np.zeros((3, len(keys), 256), np.int64)
    for group, key, values in pairs:
        np.add.at(counts[group], (np.searchsorted(keys, key), values), 1)
    return Edges(keys // len(graph.ids), keys % len(graph.ids), counts)


def ratio(counts: np.ndarray, values: np.ndarray = VALUES) -> np.ndarray:
    """Return sum and number of values of each edge, float64 (edges, 2)."""
    return np.stack([counts @ values, counts.sum(1)], axis=1).astype(np.float64)


SCORES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, int, float]]] = {
    "mean": lambda n: (ratio(n[0]), RATIO, 0.0),
    "mean of squares": lambda n: (ratio(n[0], VALUES**2), RATIO, 0.0),
    "mean of fourth powers": lambda n: (ratio(n[0], VALUES**4), RATIO, 0.0),
    "share above 0.5": lambda n: (ratio(n[0], 1.0 * (VALUES > 0.5)), RATIO, 0.0),
    "share above 0.7": lambda n: (ratio(n[0], 1.0 * (VALUES > 0.7)), RATIO, 0.0),
    "mean, with offsets of 3": lambda n: (ratio(n[0] + n[1]), RATIO, 0.0),
    "mean, with offsets of 3 and 9": lambda n: (ratio(n.sum(0)), RATIO, 0.0),
    "mean of offsets of 3": lambda n: (ratio(n[1]), RATIO, 0.0),
    "quantile 0.25": lambda n: (n[0], QUANTILE, 0.25),
    "median": lambda n: (n[0], QUANTILE, 0.5),
    "quantile 0.75": lambda n: (n[0], QUANTILE, 0.75),
    "quantile 0.85": lambda n: (n[0], QUANTILE, 0.85),
    "quantile 0.95": lambda n: (n[0], QUANTILE, 0.95),
    "mean + 10 affinities of 0.2": lambda n: (ratio(n[0]), SHRUNK, 10.0),
    "mean + 30 affinities of 0.2": lambda n: (ratio(n[0]), SHRUNK, 30.0),
    "mean + 100 affinities of 0.2": lambda n: (ratio(n[0]), SHRUNK, 100.0),
    "lower mean of near and long": lambda n: (
        np.concatenate([ratio(n[0]), ratio(n[1] + n[2])], axis=1),
        LOWER,
        0.0,
    ),
    "mean + half a deviation": lambda n: (
        np.concatenate([ratio(n[0]), ratio(n[0], VALUES**2)], axis=1),
        SPREAD,
        0.5,
    ),
}
"""Features of the edges, which add up when regions are merged; the kind of the score; its parameter."""


@njit(cache=True)
def compute_score(features: np.ndarray, kind: int, parameter: float) -> float:
    """Return the score of an edge, -1 without the affinities that it needs."""
    if kind == QUANTILE:
        total = features.sum()
        seen = 0.0
        for value in range(256):
            seen += features[value]
            if total > 0 and seen >= parameter * total:
                return (value + 1 - (seen - parameter * total) / features[value]) / 256
        return -1.0
    if features[1] <= 0:
        return -1.0
    mean = features[0] / features[1]
    if kind == SHRUNK:
        return (features[0] + 0.2 * parameter) / (features[1] + parameter)
    if kind == LOWER and features[3] > 0:
        return min(mean, features[2] / features[3])
    if kind == SPREAD:
        return mean + parameter * np.sqrt(max(0.0, features[2] / features[1] - mean * mean))
    return mean


@njit(cache=True)
def find_best(row: np.ndarray, scores: np.ndarray) -> int:
    """Return the edge of a region with the highest score, the first one of equals, or -1."""
    best = -1
    for edge in row:
        if edge >= 0 and (
            best < 0 or scores[edge] > scores[best] or (scores[edge] == scores[best] and edge < best)
        ):
            best = edge
    return best


@njit(cache=True)
def merge_regions(
    u: np.ndarray, v: np.ndarray, features: np.ndarray, num_nodes: int, kind: int, parameter: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the two regions with the highest score, repeatedly. Return both and the lowest score until then."""
    table = np.full((num_nodes, num_nodes), -1, np.int32)
    scores = np.empty(len(u))
    for edge in range(len(u)):
        table[u[edge], v[edge]] = table[v[edge], u[edge]] = edge
        scores[edge] = compute_score(features[edge], kind, parameter)
    best = np.empty(num_nodes, np.int64)
    for node in range(num_nodes):
        best[node] = find_best(table[node], scores)
    a, b, heights = np.empty(num_nodes, np.int64), np.empty(num_nodes, np.int64), np.empty(num_nodes)
    done, lowest = 0, 1.0
    while True:
        edge = find_best(best, scores)
        if edge < 0 or scores[edge] <= 0.01:
            return a[:done], b[:done], heights[:done]
        first, second = u[edge], v[edge]
        lowest = min(lowest, scores[edge])
        a[done], b[done], heights[done] = first, second, lowest
        done += 1
        table[first, second] = table[second, first] = -1
        best[second] = -1
        for other in range(num_nodes):
            moved = table[second, other]
            if moved < 0:
                continue
            table[second, other] = table[other, second] = -1
            common = table[first, other]
            if common >= 0:
                features[common] += features[moved]
                scores[common] = compute_score(features[common], kind, parameter)
            else:
                u[moved], v[moved] = first, other
                table[first, other] = table[other, first] = moved
        best[first] = find_best(table[first], scores)
        for other in range(num_nodes):
            if table[first, other] >= 0:
                best[other] = find_best(table[other], scores)


def score_volume(affinities: np.ndarray, labels: np.ndarray) -> dict[str, list[Score]]:
    """Return the scores of all settings for each score of edges: uint8 affinities, labels of the same voxels."""
    roi = Roi((0, 0, 0), labels.shape)
    prediction = NumpyArray.from_np_array(
        affinities / np.float32(255), roi, Coordinate(1, 1, 1), ["c", "z", "y", "x"]
    )
    ground_truth = NumpyArray.from_np_array(labels, roi, Coordinate(1, 1, 1), ["z", "y", "x"])
    config = SegmentationConfig(agglomeration="mutex_watershed", long_bias=[0.3, 0.5, 0.7])
    results: dict[str, list[Score]] = {}
    for settings in config.fragment_candidates():
        name = f"{settings.chain} {settings.bias}" if settings.chain == "mutex_watershed" else settings.chain
        clusterings = config.agglomeration_candidates(settings)
        with tempfile.TemporaryDirectory() as folder:
            volume = FragmentedVolume.create(prediction, ground_truth, settings, clusterings[0], Path(folder))
            for score, merges in volume.compute_merges(affinities):
                rows = results.setdefault(score, [])
                rows += [(name, *volume.score(item, merges)) for item in list_thresholds()]
            rows = results.setdefault("mutex watershed of the graph", [])
            rows += [(name, *volume.score(item, None)) for item in clusterings]
            results.setdefault("ideal", []).append((name, *volume.score_ideal()))
    return results


def list_thresholds() -> list[AgglomerationSettings]:
    """Return the settings that are tried for each score."""
    return [AgglomerationSettings(threshold=value, min_size=size) for value in THRESHOLDS for size in SIZES]


@dataclass(frozen=True)
class FragmentedVolume:
    """Fragments of a volume, their graph, and their overlaps with the labels."""

    fragments: np.ndarray
    graph: Graph
    table: ContingencyTable

    @classmethod
    def create(
        cls,
        prediction: NumpyArray,
        labels: NumpyArray,
        settings: FragmentSettings,
        agglomeration: AgglomerationSettings,
        folder: Path,
    ) -> "FragmentedVolume":
        """Compute the fragments in one block; files of the graph stay in use."""
        shape = prediction.roi.shape
        fragments = create_fragment_array(folder, prediction, shape)
        grid = BlockGrid(fragments.roi, shape, fragments.voxel_size)
        graph = compute_graph(
            prediction,
            fragments,
            OFFSETS,
            fix_cell_size(settings, shape),
            agglomeration,
            folder / "graph",
            grid,
        )
        rules = GroundTruthRules.from_config(EVALUATION, 0)
        compared = compare_blocks(fragments, labels, folder / "overlaps", rules)
        return cls(fragments[fragments.roi], graph, compared.collect())

    def compute_merges(self, affinities: np.ndarray) -> Iterator[tuple[str, Merges]]:
        """Yield the name and the merges of each score."""
        edges = count_edges(self.fragments, affinities, self.graph)
        for name, choose in SCORES.items():
            features, kind, parameter = choose(edges.counts)
            found = merge_regions(
                edges.u.copy(),
                edges.v.copy(),
                features.astype(np.float64),
                len(self.graph.ids),
                kind,
                parameter,
            )
            merges = Merges(*found)
            if name == "mean":
                expected = merge_by_mean_affinity(self.graph, 0.2)
                size = len(self.graph.ids)
                assert np.array_equal(cut_merges(merges, size, 0.2), cut_merges(expected, size, 0.2))
            yield name, merges

    def score(
        self, settings: AgglomerationSettings, merges: Merges | None
    ) -> tuple[float, float, float, float, float]:
        """Return threshold, VOI split, VOI merge, VOI and adapted Rand error of a setting."""
        ids, rows = np.unique(self.table.segment, return_inverse=True)
        return settings.threshold, *self._compare(
            agglomerate(self.graph, settings, merges).map_ids(ids)[rows]
        )

    def score_ideal(self) -> tuple[float, float, float, float, float]:
        """Return the same with each fragment joined to the label of most of its voxels."""
        _, rows = np.unique(self.table.segment, return_inverse=True)
        order = np.lexsort((self.table.count, self.table.ground_truth > 0, rows))
        last = np.flatnonzero(np.diff(rows[order], append=-1))
        return 0.0, *self._compare(self.table.ground_truth[order[last]][rows])

    def _compare(self, segments: np.ndarray) -> tuple[float, float, float, float]:
        table = ContingencyTable.from_rows(segments, self.table.ground_truth, self.table.count)
        convention = InstanceConvention.from_config(EVALUATION)
        voi = voi_from_table(table, convention)
        return voi.split, voi.merge, voi.total, rand_from_table(table, convention).error


EVALUATION = EvaluationConfig(connected_components=True)


def load_volumes(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the affinities and labels of two volumes."""
    if (folder / "workflow.json").exists():
        return [predicted(folder, volume) for volume in ("fib25-validate", "fib25-test")]
    volumes = []
    for name in ("first", "second"):
        with np.load(folder / f"{name}.npz") as arrays:
            volumes.append((arrays["affinities"], arrays["labels"]))
    return volumes


def print_table(results: list[dict[str, list[Score]]], is_used: Callable[[str], bool]) -> None:
    """Print a row for each score; ``results`` has two volumes of each network, one after the other."""
    directions = [(i, i ^ 1) for i in range(len(results))]
    scored: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in results[0]:
        rows = [[row for row in result[name] if is_used(row[0])] for result in results]
        # All volumes have the same settings in the same order.
        best = [min(range(len(item)), key=lambda i: item[i][4]) for item in rows]
        scored[name] = (
            np.array([rows[to][best[of]][2:] for of, to in directions]),
            np.array([rows[to][best[to]][2:] for _, to in directions]),
        )
    base = scored["mean"][0][:, 2]
    print(
        f"{'score':30s} {'VOI':>6s} {'split':>6s} {'merge':>6s} {'ARAND':>6s} {'best':>6s} {'lower':>6s}   VOI of each"
    )
    for name, (given, own) in sorted(scored.items(), key=lambda item: item[1][0][:, 2].mean()):
        split, merge, voi, rand = given.mean(0)
        lower = f"{np.count_nonzero(given[:, 2] < base)}/{len(base)}"
        print(
            f"{name:30s} {voi:6.3f} {split:6.3f} {merge:6.3f} {rand:6.3f} {own[:, 2].mean():6.3f} {lower:>6s}   "
            + " ".join(f"{value:.2f}" for value in given[:, 2])
        )


def main() -> None:
    """Score all agglomerations of all predictions, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="results of a workflow, or two predictions")
    arguments = parser.parse_args()
    results: list[Any] = []
    for folder in arguments.folders:
        results += [score_volume(affinities, labels) for affinities, labels in load_volumes(folder)]
        print(f"{folder} has been scored", file=sys.stderr, flush=True)
    for title, is_used in (
        ("settings chosen among all fragments", lambda name: True),
        ("seeded fragments only", lambda name: name == "seeded"),
        ("fragments by mutex watershed only", lambda name: name != "seeded"),
    ):
        print(f"\n{title}")
        print_table(results, is_used)


if __name__ == "__main__":
    main()
