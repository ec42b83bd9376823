"""The region adjacency graph, its agglomeration and filters against their definitions."""

from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.blockwise import BlockGrid
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import MissingInputError
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.block_graph import count_block_graph
from attacca.segmentation.box import Box
from attacca.segmentation.fragment_lattice import FragmentLattice
from attacca.segmentation.graph import Graph
from attacca.segmentation.graph_tables import EDGE_TYPE, NODE_TYPE, join_tables, load_graph, locate_table
from attacca.segmentation.look_up_table import LeafTable, relabel
from attacca.segmentation.mean_affinity import cut_merges, merge_by_mean_affinity
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.pipeline import compute_graph, create_fragment_array

OFFSETS = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -3, 0], [2, 0, 1]])


def random_labels(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 6, [-(-n // 2) for n in shape])
    labels = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[: shape[0], : shape[1], : shape[2]]
    ids = np.array([0, 5, 2**50, 3, 2**33, 17], np.uint64)
    return ids[labels], rng.integers(0, 256, (len(OFFSETS), *shape)).astype(np.uint8)


def whole_graph(labels: np.ndarray, affinities: np.ndarray) -> Graph:
    return join_tables(*count_block_graph(labels, affinities, OFFSETS, Box((0, 0, 0), labels.shape)))


def random_graph(nodes: int, edges: int, seed: int, ties: bool = False) -> Graph:
    rng = np.random.default_rng(seed)
    pairs = np.unique(np.sort(rng.integers(0, nodes, (edges, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int32)
    counts = rng.integers(1, 4 if ties else 90, len(pairs)).astype(np.int32)
    means = rng.choice([51, 102, 153], len(pairs)) if ties else rng.random(len(pairs)) * 255
    zeros = np.zeros(len(pairs), np.int64)
    sizes = rng.integers(1, 50, nodes).astype(np.int64)
    lower = rng.integers(0, 30, (nodes, 3)).astype(np.int32)
    return Graph(
        np.arange(1, nodes + 1, dtype=np.uint64) * np.uint64(7),
        sizes,
        lower,
        lower + rng.integers(1, 9, (nodes, 3)).astype(np.int32),
        sizes * 200,
        sizes,
        pairs[:, 0],
        pairs[:, 1],
        (means * counts).astype(np.int64),
        counts,
        zeros.astype(np.uint8),
        zeros,
        zeros.astype(np.int32),
    )


@pytest.mark.parametrize(("method", "expected"), [("mutex_watershed", [3]), ("mean_affinity", [0])])
def test_a_mutex_watershed_of_the_graph_uses_the_long_range_affinities_of_each_voxel(
    method: str, expected: list[int], tmp_path: Path
) -> None:
    affinities = np.full((2, 1, 1, 12), 255, np.uint8)
    affinities[:, 0, 0, 5] = 0
    roi, axes = Roi((0, 0, 0), (1, 1, 12)), ["c", "z", "y", "x"]
    prediction = NumpyArray.from_np_array(affinities, roi, Coordinate(1, 1, 1), axes)
    fragments = create_fragment_array(tmp_path, prediction, roi.shape)
    graph = compute_graph(
        prediction,
        fragments,
        [[0, 0, 1], [0, 0, 3]],
        FragmentSettings(chain="connected_components", strides=3),
        AgglomerationSettings.model_validate({"method": method}),
        tmp_path / "graph",
        BlockGrid.for_array(fragments),
    )
    # Voxels 3, 4 and 5 have their partner in the other fragment. Only voxel 3 is on the grid of the strides.
    assert graph.long_count.tolist() == expected and graph.direct_count.tolist() == [1]


def test_sums_counts_and_boxes_equal_the_definition() -> None:
    labels, affinities = random_labels((5, 7, 6), 3)
    graph = whole_graph(labels, affinities)
    expected: dict[tuple[int, int], list[int]] = {}
    for k, vector in enumerate(OFFSETS.vectors):
        for voxel in np.ndindex(labels.shape):
            partner = tuple(np.add(voxel, vector))
            if any(p < 0 or p >= n for p, n in zip(partner, labels.shape)):
                continue
            a, b = int(labels[voxel]), int(labels[partner])
            if a == b or not a or not b:
                continue
            row = expected.setdefault((min(a, b), max(a, b)), [0, 0, 0, 0, 0])
            value = int(affinities[(k, *voxel)])
            if k < 3:
                row[:3] = [row[0] + value, row[1] + 1, max(row[2], value)]
            else:
                row[3:] = [row[3] + value, row[4] + 1]
    rows = zip(graph.direct_sum, graph.direct_count, graph.direct_max, graph.long_sum, graph.long_count)
    found = {
        (int(graph.ids[u]), int(graph.ids[v])): [int(value) for value in row]
        for u, v, row in zip(graph.u, graph.v, rows)
    }
    assert found == expected
    for i, name in enumerate(graph.ids):
        voxels = np.argwhere(labels == name)
        assert graph.sizes[i] == len(voxels)
        assert graph.lower[i].tolist() == voxels.min(0).tolist()
        assert graph.upper[i].tolist() == (voxels.max(0) + 1).tolist()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.tuples(*[st.integers(3, 9)] * 3), st.tuples(*[st.integers(1, 6)] * 3), st.integers(0, 9))
def test_tables_of_blocks_add_up_to_the_whole(shape: tuple, block: tuple, seed: int) -> None:
    labels, affinities = random_labels(shape, seed)
    nodes, edges = [], []
    lower, upper = OFFSETS.reach()
    for corner in np.ndindex(*[-(-n // b) for n, b in zip(shape, block)]):
        begin = np.multiply(corner, block)
        end = np.minimum(begin + block, shape)
        first, last = np.maximum(0, begin - lower), np.minimum(end + upper, shape)
        cut = tuple(slice(f, e) for f, e in zip(first, last))
        region = Box(tuple((begin - first).tolist()), tuple((end - first).tolist()))
        n, e = count_block_graph(
            labels[cut], affinities[(slice(None), *cut)], OFFSETS, region, tuple(first.tolist())
        )
        nodes.insert(0, n)
        edges.append(e)
    parts, whole = (
        join_tables(np.concatenate(nodes), np.concatenate(edges)),
        whole_graph(labels, affinities),
    )
    for name in Graph.__dataclass_fields__:
        assert np.array_equal(getattr(parts, name), getattr(whole, name)), name


def test_a_graph_read_in_small_parts_equals_one_read_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for block in range(5):
        nodes = np.zeros(40, NODE_TYPE)
        nodes["id"] = np.sort(rng.choice(np.arange(1, 90), 40, replace=False))
        nodes["size"] = 1
        edges = np.zeros(60, EDGE_TYPE)
        edges["u"], edges["v"] = np.sort(rng.choice(nodes["id"], (60, 2)), axis=1).T
        edges["direct_sum"] = rng.integers(0, 999, 60)
        edges = edges[np.lexsort((edges["v"], edges["u"]))]
        for kind, table in (("nodes", nodes), ("edges", edges)):
            path = locate_table(tmp_path, kind, block)
            path.parent.mkdir(exist_ok=True)
            np.save(path, table)
    once = load_graph(tmp_path, 5)
    columns = {name: np.array(getattr(once, name)) for name in Graph.__dataclass_fields__}
    parts = load_graph(tmp_path, 5, part_rows=25)
    for name, column in columns.items():
        assert np.array_equal(column, getattr(parts, name)), name
    with pytest.raises(MissingInputError, match="tables of the graph are missing"):
        load_graph(tmp_path, 6)


def merge_by_definition(graph: Graph, threshold: float) -> np.ndarray:
    """Compute average linkage by comparing all pairs of clusters after each merge."""
    clusters = np.arange(len(graph.ids))
    while True:
        totals: dict[tuple[int, int], list[int]] = {}
        for u, v, total, count in zip(graph.u, graph.v, graph.direct_sum, graph.direct_count):
            a, b = sorted((int(clusters[u]), int(clusters[v])))
            if a != b:
                pair = totals.setdefault((a, b), [0, 0])
                pair[0] += int(total)
                pair[1] += int(count)
        best = max(totals.items(), key=lambda item: item[1][0] / item[1][1], default=None)
        if best is None or best[1][0] / best[1][1] <= threshold * 255:
            return clusters
        clusters[clusters == best[0][1]] = best[0][0]


@pytest.mark.parametrize("seed", range(4))
def test_mean_affinity_equals_the_definition_at_every_threshold(seed: int) -> None:
    graph = random_graph(40, 160, seed)
    merges = merge_by_mean_affinity(graph, 0.05)
    assert (np.diff(merges.heights) <= 0).all()
    for threshold in (0.05, 0.3, 0.45, 0.6, 0.9):
        found = cut_merges(merges, 40, threshold)
        expected = np.unique(merge_by_definition(graph, threshold), return_inverse=True)[1]
        assert np.array_equal(found, expected)
        assert np.array_equal(found, cut_merges(merge_by_mean_affinity(graph, threshold), 40, threshold))


def test_hub_nodes_with_many_merges_keep_the_hash_table_working() -> None:
    graph = random_graph(3000, 20_000, 1, ties=True)
    merges = merge_by_mean_affinity(graph, 0.0)
    parents = cut_merges(merges, 3000, 0.0)
    assert len(merges.a) == 3000 - len(np.unique(parents))


@pytest.mark.parametrize("debris", ["merge", "delete"])
def test_no_debris_is_left_after_the_filters(debris: str) -> None:
    graph = random_graph(200, 500, 2)
    keep = AgglomerationSettings(threshold=0.7)
    plain = agglomerate(graph, keep)
    filtered = agglomerate(
        graph, keep.model_copy(update={"min_size": 60, "min_extent": [4, 0, 0], "debris": debris})
    )
    assert filtered.segments.max() < plain.segments.max()
    for segment in range(1, int(filtered.segments.max()) + 1):
        members = filtered.segments == segment
        assert graph.sizes[members].sum() >= 60
        assert graph.upper[members, 0].max() - graph.lower[members, 0].min() >= 4
    assert (debris == "delete") == bool((filtered.segments == 0).sum() > 20)


def test_ids_are_consecutive_by_first_fragment_and_relabeling_applies_them(tmp_path: Path) -> None:
    graph = random_graph(50, 60, 5)
    table = agglomerate(graph, AgglomerationSettings(threshold=0.5))
    values, first = np.unique(table.segments, return_index=True)
    assert values.tolist() == list(range(1, len(values) + 1)) and (np.diff(first) > 0).all()
    table.divide(FragmentLattice((1, 1, 400), (1, 1, 90), None)).save(tmp_path / "table.npy")
    fragments = np.array([[[0, 7, 7, 350, 8]]], np.uint64)
    expected = [0, table.segments[0], table.segments[0], table.segments[49], 0]
    assert relabel(fragments, LeafTable.load(tmp_path / "table.npy")).ravel().tolist() == expected
