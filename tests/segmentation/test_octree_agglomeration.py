"""The agglomeration in an octree against that of the whole graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.blockwise import row_tables
from attacca.config.segmentation import AgglomerationSettings
from attacca.errors import ResourceError
from attacca.segmentation import part_agglomeration
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.graph_tables import EDGE_TYPE, NODE_TYPE, join_tables, reduce_edges
from attacca.segmentation.leaf_part import make_leaf_part
from attacca.segmentation.octree import Octree
from attacca.segmentation.part_agglomeration import agglomerate_part, follow_moves
from attacca.segmentation.parts import (
    BOUNDARY_TYPE,
    CONTACT_TYPE,
    CROSSING_TYPE,
    REGION_TYPE,
    Part,
    join_parts,
    number_segments,
)


def random_tables(
    nodes: int, edges: int, seed: int, values: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tables of a random graph, and the positions of its nodes in a unit cube; near nodes have more edges.

    Args:
        values: number of different mean affinities; few give many ties.
    """
    rng = np.random.default_rng(seed)
    positions = rng.random((nodes, 3))
    a = rng.integers(0, nodes, 4 * edges)
    b = rng.integers(0, nodes, 4 * edges)
    near = np.argsort(((positions[a] - positions[b]) ** 2).sum(1) * rng.random(4 * edges), kind="stable")[
        :edges
    ]
    pairs = np.sort(np.stack([a[near], b[near]], axis=1), axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    ids = np.sort(rng.choice(10 * nodes, nodes, replace=False) + 1).astype(np.uint64)
    table = np.zeros(nodes, NODE_TYPE)
    table["id"], table["size"] = ids, rng.integers(1, 40, nodes)
    table["lower"] = rng.integers(0, 30, (nodes, 3))
    table["upper"] = table["lower"] + rng.integers(1, 9, (nodes, 3))
    table["inner_count"] = table["size"]
    table["inner_sum"] = table["size"] * rng.integers(0, 256, nodes)
    # The same pair may occur several times, as in the tables of several blocks.
    rows = np.zeros(len(pairs), EDGE_TYPE)
    rows["u"], rows["v"] = ids[pairs[:, 0]], ids[pairs[:, 1]]
    rows["direct_count"] = rng.integers(0, 4, len(pairs))
    highest = rng.integers(0, values, len(pairs)) * (255 // max(1, values - 1))
    rows["direct_max"] = np.where(rows["direct_count"] > 0, highest, 0)
    rows["direct_sum"] = rows["direct_count"] * rows["direct_max"].astype(np.int64)
    return table, rows, positions


def agglomerate_in_octree(
    nodes: np.ndarray,
    edges: np.ndarray,
    positions: np.ndarray,
    shape: tuple[int, int, int],
    config: AgglomerationSettings,
    seed: int = 0,
) -> np.ndarray:
    """Return the segment of each node, by ascending id, with the parts of a level in random order."""
    octree, rng = Octree(shape), np.random.default_rng(seed)
    homes = np.ravel_multi_index(tuple((positions * shape).astype(int).T), shape)

    def find_leaves(ids: np.ndarray) -> np.ndarray:
        return homes[np.searchsorted(nodes["id"], ids)]

    left, outcomes = {}, []
    for leaf in rng.permutation(octree.count(0)):
        own = (find_leaves(edges["u"]) == leaf) | (find_leaves(edges["v"]) == leaf)
        part = make_leaf_part(
            nodes[homes == leaf], reduce_edges(edges[own]), leaf, octree, find_leaves, config
        )
        left[leaf], outcome = agglomerate_part(part, config, 0)
        outcomes.append(outcome)
    moves = [[outcome.moves for outcome in outcomes]]
    for level in range(1, octree.num_levels):
        above = {}
        moves.append([])
        for box in rng.permutation(octree.count(level)):
            parts = [left[child] for child in octree.list_children(level, box)]
            crossing = np.concatenate([part.crossing for part in parts])
            ends = [octree.find_boxes(find_leaves(crossing[name]), level) for name in ("u", "v")]
            part = join_parts(parts, ends[0] == ends[1])
            above[box], outcome = agglomerate_part(part, config, level)
            outcomes.append(outcome)
            moves[-1].append(outcome.moves)
        left = above
    (rest,) = left.values()
    assert (
        not len(rest.regions) and not len(rest.contacts) and not len(rest.boundary) and not len(rest.crossing)
    )
    regions = nodes["id"]
    for tables in moves:
        table = np.concatenate(tables, axis=1)
        regions = follow_moves(regions, table[:, np.argsort(table[0])])
    segments = number_segments(
        np.concatenate([outcome.finished for outcome in outcomes]),
        np.concatenate([outcome.debris for outcome in outcomes]),
    )
    kept = regions > 0
    result = np.zeros(len(regions), np.uint64)
    rows = np.searchsorted(segments["id"], regions[kept])
    assert (segments["id"][rows] == regions[kept]).all()
    result[kept] = segments["segment"][rows]
    totals = np.bincount(result.astype(int), nodes["size"], len(segments) + 1)[1:]
    assert totals[segments["segment"].astype(int) - 1].tolist() == segments["size"].tolist()
    return result


METHODS = st.one_of(
    st.just({"method": "mean_affinity"}),
    st.just({"method": "contact"}),
    st.just({"method": "none", "cell_voxels": 100}),
)
FILTERS = st.one_of(
    st.just({}),
    st.just({"min_size": 25}),
    st.just({"min_size": 100}),
    st.just({"min_extent": [9, 0, 0], "min_size": 30}),
    st.just({"min_affinity": 0.5}),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(2, 90), st.integers(1, 500), st.integers(0, 10**6)),
    st.sampled_from([2, 3, 6, 256]),
    st.tuples(*[st.integers(1, 5)] * 3),
    st.sampled_from([0.0, 0.1, 0.225, 0.333, 0.5, 0.6, 0.8, 0.95]),
    METHODS,
    FILTERS,
    st.sampled_from(["merge", "delete"]),
    st.sampled_from([1, 17, row_tables.PIECE]),
)
def test_segments_depend_neither_on_leaves_nor_on_pieces_of_tables(
    size: tuple,
    values: int,
    shape: tuple,
    threshold: float,
    method: dict,
    filters: dict,
    debris: str,
    piece: int,
) -> None:
    nodes, edges, positions = random_tables(*size, values)
    config = AgglomerationSettings(threshold=threshold, debris=debris, **method, **filters)
    expected = agglomerate(join_tables(nodes, edges), config).segments
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_tables, "PIECE", piece)
        found = agglomerate_in_octree(nodes, edges, positions, shape, config, size[2])
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("values", [3, 256])
def test_segments_of_a_large_graph_do_not_depend_on_leaves_at_any_threshold(values: int) -> None:
    nodes, edges, positions = random_tables(3000, 20_000, 7, values)
    for threshold in np.linspace(0, 0.95, 9):
        config = AgglomerationSettings(threshold=threshold, min_size=30)
        expected = agglomerate(join_tables(nodes, edges), config).segments
        for shape in ((1, 1, 1), (2, 2, 2), (3, 4, 2)):
            assert np.array_equal(agglomerate_in_octree(nodes, edges, positions, shape, config), expected)


def test_a_part_of_more_regions_than_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_agglomeration, "REGION_NUMBER", np.int8)
    kinds = (CONTACT_TYPE, BOUNDARY_TYPE, CROSSING_TYPE)
    part = Part(np.zeros(128, REGION_TYPE), *(np.zeros(0, kind) for kind in kinds))
    with pytest.raises(
        ResourceError, match="found 128 regions of a part of the volume, expected at most 127"
    ):
        agglomerate_part(part, AgglomerationSettings(), 0)
