"""Numbers beyond the range of their types: each limit is emulated by a narrow type, and refused with the number."""

from collections.abc import Callable

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.blockwise import BlockGrid
from attacca.errors import ResourceError
from attacca.evaluators.contingency import ContingencyTable, contingency_table, merge_tables
from attacca.segmentation import dense_labels, graph_tables, index_range, mutex_clusters
from attacca.segmentation.block_graph import count_block_graph
from attacca.segmentation.box import Box
from attacca.segmentation.components import label_components, label_foreground
from attacca.segmentation.dense_labels import index_labels
from attacca.segmentation.fragment_lattice import FragmentLattice
from attacca.segmentation.look_up_table import LookUpTable
from attacca.segmentation.mean_affinity import Edges, merge_edges
from attacca.segmentation.mutex_clusters import cluster_graph, make_sort_keys
from attacca.segmentation.mutex_watershed import mutex_watershed
from attacca.segmentation.object_rows import ObjectRows
from attacca.segmentation.object_table import measure_objects, sum_object_tables
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.seeded_watershed import seeded_watershed
from attacca.segmentation.small_fragments import merge_small_fragments

SHAPE = (1, 12, 12)
AFFINITIES = np.full((3, *SHAPE), 200, np.uint8)
OFFSETS = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
HALVES = np.repeat(np.array([[[5], [8]]], np.uint64), 72, axis=2).reshape(1, 2, 72)


@pytest.mark.parametrize(
    "compute",
    [
        lambda: seeded_watershed(AFFINITIES, OFFSETS),
        lambda: mutex_watershed(AFFINITIES, OFFSETS),
        lambda: merge_small_fragments(np.ones(SHAPE, np.uint32), AFFINITIES, OFFSETS, 2),
        lambda: label_components(AFFINITIES, OFFSETS, 0.5, Box((0, 0, 0), SHAPE)),
        lambda: label_foreground(np.ones(SHAPE, bool)),
    ],
    ids=["seeded", "mutex_watershed", "small_fragments", "affinity_components", "foreground"],
)
def test_a_block_of_more_voxels_than_a_kernel_numbers_is_refused(
    compute: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_range, "VOXEL", np.int8)
    with pytest.raises(
        ResourceError, match=r"found 144 voxels of a block .* at most 127 .* smaller segmentation"
    ):
        compute()


def test_a_block_of_more_labels_than_indices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_labels, "INDEX", np.int8)
    assert len(index_labels(np.arange(127))[0]) == 127
    with pytest.raises(ResourceError, match="found 128 labels of a block, expected at most 127"):
        index_labels(np.arange(128))


def test_more_mutexes_than_their_lists_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutex_clusters, "ENTRY", np.int8)
    with pytest.raises(ResourceError, match=r"found 528 entries of mutexes, .* at most 127"):
        mutex_watershed(np.zeros_like(AFFINITIES), OFFSETS)
    u, v = np.triu_indices(12, 1)
    keys = np.sort(make_sort_keys(np.full(len(u), -0.5, np.float32), np.arange(len(u))))
    with pytest.raises(ResourceError, match="found 132 entries of mutexes"):
        cluster_graph(u.astype(np.int32), v.astype(np.int32), keys, 12)


def test_more_edges_of_voxels_than_sort_keys_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutex_clusters, "EDGE", np.uint8)
    with pytest.raises(
        ResourceError, match="found 264 edges between the voxels of a block, expected at most 255"
    ):
        mutex_watershed(AFFINITIES / 255.0, OFFSETS)


def test_a_contact_of_more_affinities_than_a_count_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    affinities, region = np.full((3, *HALVES.shape), 100, np.uint8), Box((0, 0, 0), (1, 2, 72))
    _, edges = count_block_graph(HALVES, affinities, OFFSETS, region)
    assert edges["direct_count"].tolist() == [72]
    monkeypatch.setattr(graph_tables, "COUNT", np.int8)
    assert graph_tables.reduce_edges(edges)["direct_count"].tolist() == [72]
    with pytest.raises(
        ResourceError, match="found 144 affinities between two fragments, expected at most 127"
    ):
        graph_tables.reduce_edges(np.concatenate([edges, edges]))
    wide = np.repeat(HALVES, 2, axis=2), np.repeat(affinities, 2, axis=3)
    with pytest.raises(ResourceError, match="found 144 affinities between two fragments"):
        count_block_graph(*wide, OFFSETS, Box((0, 0, 0), (1, 2, 144)))


def test_coordinates_beyond_those_of_a_table_are_refused() -> None:
    affinities, region = np.full((3, *HALVES.shape), 100, np.uint8), Box((0, 0, 0), (1, 2, 72))
    far = 2**31 - 73
    nodes, _ = count_block_graph(HALVES, affinities, OFFSETS, region, (0, 0, far))
    assert nodes["upper"][:, 2].tolist() == [far + 72] * 2
    with pytest.raises(ResourceError, match="found 2,147,483,648 voxels along an axis"):
        count_block_graph(HALVES, affinities, OFFSETS, region, (0, 0, far + 1))


def test_a_graph_of_more_fragments_than_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = np.zeros(200, graph_tables.NODE_TYPE)
    nodes["id"] = np.arange(1, 201)
    no_edges = np.zeros(0, graph_tables.EDGE_TYPE)
    monkeypatch.setattr(graph_tables, "NUMBER", np.int8)
    with pytest.raises(ResourceError, match="found 200 fragments of a graph, expected at most 127"):
        graph_tables.join_tables(nodes, no_edges)


@pytest.mark.parametrize(
    ("num_nodes", "num_edges", "words"),
    [(200, 1, "found 200 fragments of a graph"), (20, 190, "found 190 edges of a graph")],
)
def test_an_agglomeration_of_more_items_than_numbers_is_refused(
    num_nodes: int, num_edges: int, words: str
) -> None:
    u, v = (ends[:num_edges] for ends in np.triu_indices(20, 1))
    edges = Edges(u, v, np.full(num_edges, 200), np.ones(num_edges, np.int64))
    with pytest.raises(ResourceError, match=f"{words}, expected at most 127"):
        merge_edges(edges, np.zeros(num_nodes, bool), 0.5, np.int8)


def test_ids_beyond_63_bits_are_refused() -> None:
    side = 2**21
    assert FragmentLattice((side, side, side - 1), (1024,) * 3, None).find_leaves(
        np.array([side * side * (side - 1)], np.uint64)
    ).tolist() == [2048**3 - 1]
    with pytest.raises(ResourceError, match="found 9,223,372,036,854,775,808 voxels"):
        FragmentLattice((side, side, side), (1024,) * 3, None).find_leaves(np.array([1], np.uint64))


def test_an_object_whose_coordinates_may_have_overflowed_is_refused() -> None:
    table = measure_objects(np.ones((1, 1, 2), int), (0, 0, 2**31), (1, 1, 2))
    rows = ObjectRows(("z", "y", "x"), (1, 1, 2**32), (1, 1, 1), (0, 0, 0), "nanometer")
    assert rows.make(table)[0][rows.columns.index("x_nm")] == 2**31 + 1
    many = table
    for _ in range(31):
        many = sum_object_tables([many, many])
    assert many.voxels.tolist() == [2**32]
    with pytest.raises(ResourceError, match="voxels times coordinates in an object"):
        rows.make(many)


def test_voxels_of_scores_and_segments_are_counted_in_64_bits() -> None:
    table = contingency_table(np.array([1, 1, 2]), np.array([1, 1, 0]))
    for _ in range(40):
        table = merge_tables([table, table])
    assert table.count.tolist() == [2**40, 2**41]
    large = ContingencyTable(*(np.array([2**63 + 5], np.uint64),) * 2, np.array([1]))
    assert merge_tables([large, large]).segment.tolist() == [2**63 + 5]
    ids = np.array([3, 2**63 + 7], np.uint64)
    segments = LookUpTable(ids, np.array([1, 1], np.uint64))
    assert segments.map_ids(ids[::-1]).tolist() == [1, 1]
    assert segments.count_voxels(np.array([2**40, 2**40])).tolist() == [2**41]


def test_blocks_beyond_31_bits_have_their_own_places() -> None:
    side = 2**12
    grid = BlockGrid(Roi((0, 0, 0), (side, side, side)), Coordinate(1, 1, 1), Coordinate(1, 1, 1))
    assert len(grid) == 2**36
    for number in (2**31, 2**32 + 1, 2**36 - 1):
        block = grid[number]
        place = number >> 24, number >> 12 & 4095, number & 4095
        assert (block.index, tuple(block.write_roi.begin), grid.index(place)) == (number, place, number)
    assert grid.shard(9_999, 10_000).stop == 2**36
