"""The mutex watershed against its definition, and against the reference implementation."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacca.errors import ConfigurationError
from attacca.segmentation.mutex_clusters import cluster_graph, make_sort_keys
from attacca.segmentation.mutex_watershed import mutex_watershed
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.reference_mutex_watershed import reference_mutex_watershed
from attacca.segmentation.small_fragments import merge_small_fragments

OFFSETS = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [0, -2, 0], [0, 1, 3]]


def list_edges(
    scores: np.ndarray, offsets: Offsets, origin: tuple[int, ...]
) -> Iterator[tuple[float, bool, int, int, int]]:
    """Yield evidence, sign, channel and both voxels of each edge."""
    shape = scores.shape[1:]
    index = np.arange(np.prod(shape)).reshape(shape)
    for k, vector in enumerate(offsets.vectors):
        for voxel in np.ndindex(shape):
            partner = np.add(voxel, vector)
            on_grid = all((o + p) % s == 0 for o, p, s in zip(origin, voxel, offsets.strides[k]))
            if on_grid and (partner >= 0).all() and (partner < shape).all():
                score = float(scores[(k, *voxel)])
                yield abs(score), score > 0, k, int(index[voxel]), int(index[tuple(partner)])


def segment_by_definition(
    scores: np.ndarray, offsets: Offsets, origin: tuple[int, ...] = (0, 0, 0), min_evidence: float = 0.0
) -> np.ndarray:
    """Compute the mutex watershed with clusters as sets and mutexes as pairs of voxels, in pure Python."""
    size = int(np.prod(scores.shape[1:]))
    cluster = {v: {v} for v in range(size)}
    forbidden: set[tuple[int, int]] = set()
    attracted: set[int] = set()
    order = sorted(
        list_edges(np.round(scores, 9), offsets, origin), key=lambda e: (-e[0], not e[1], -e[2], -e[3])
    )
    for evidence, attractive, _, u, v in order:
        if evidence < min_evidence:
            break
        if attractive:
            attracted |= {u, v}
            a, b = cluster[u], cluster[v]
            if a is not b and not any((x, y) in forbidden or (y, x) in forbidden for x in a for y in b):
                a |= b
                for w in b:
                    cluster[w] = a
        elif cluster[u] is not cluster[v]:
            forbidden.add((u, v))
    labels = [min(cluster[v]) + 1 if v in attracted else 0 for v in range(size)]
    return np.array(labels).reshape(scores.shape[1:])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("strides", [None, 2])
def test_partition_equals_the_definition_ties_included(
    seed: int, strides: int | None, same_partition: Callable[..., bool]
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice([0, 40, 100, 128, 155, 215, 255], (6, 3, 5, 6)).astype(np.uint8)
    offsets = Offsets.create(OFFSETS, [0.3, 0.6], strides)
    origin = (seed, 1, 2 * seed)
    scores = values / 255.0 - offsets.biases[:, None, None, None]
    expected = segment_by_definition(scores, offsets, origin)
    assert same_partition(mutex_watershed(values, offsets, origin=origin), expected)
    assert same_partition(mutex_watershed(values / 255.0, offsets, origin=origin), expected)


@pytest.mark.parametrize("seed", range(4))
def test_edges_with_little_evidence_are_ignored(seed: int, same_partition: Callable[..., bool]) -> None:
    affinities = np.random.default_rng(seed).integers(0, 256, (6, 4, 6, 7)).astype(np.uint8)
    offsets = Offsets.create(OFFSETS, [0.3, 0.6], 2)
    scores = affinities / 255.0 - offsets.biases[:, None, None, None]
    expected = segment_by_definition(scores, offsets, min_evidence=0.4)
    assert not same_partition(mutex_watershed(affinities, offsets), expected)
    for values in (affinities, affinities / 255.0):
        assert same_partition(mutex_watershed(values, offsets, min_evidence=0.4), expected)
    # mwatershed takes ties in another order, so the weights are distinct.
    affinities = np.random.default_rng(seed).random((6, 4, 6, 7))
    found = mutex_watershed(affinities, offsets, min_evidence=0.4)
    assert same_partition(found, reference_mutex_watershed(affinities, offsets, min_evidence=0.4))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strides", [None, 3])
def test_partition_equals_mwatershed_where_weights_are_distinct(
    seed: int, strides: int | None, same_partition: Callable[..., bool]
) -> None:
    affinities = np.random.default_rng(seed).random((6, 6, 9, 10))
    offsets = Offsets.create(OFFSETS, 0.5, strides)
    expected = reference_mutex_watershed(affinities, offsets, origin=(1, 2, 0))
    assert same_partition(mutex_watershed(affinities, offsets, origin=(1, 2, 0)), expected)


def test_masked_voxels_are_background_and_do_not_change_other_voxels(
    noisy: Callable[..., np.ndarray],
) -> None:
    affinities = noisy((8, 12, 12), 0)
    offsets = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3]], 0.5)
    mask = np.zeros((8, 12, 12), bool)
    mask[:, 2:9, 3:] = True
    labels = mutex_watershed(affinities, offsets, mask=mask)
    assert not labels[~mask].any()
    alone = mutex_watershed(affinities[:, :, 2:9, 3:], offsets, origin=(0, 2, 3))
    assert np.array_equal(labels[:, 2:9, 3:], alone)


def test_seeds_keep_their_ids_and_are_never_joined() -> None:
    affinities = np.full((3, 1, 1, 8), 255, np.uint8)
    seeds = np.zeros((1, 1, 8), np.uint64)
    seeds[0, 0, 1], seeds[0, 0, 6] = 700, 2**40
    offsets = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 0.5)
    labels = mutex_watershed(affinities, offsets, seeds=seeds)
    assert set(labels.ravel().tolist()) == {700, 2**40}
    assert labels[0, 0, 1] == 700 and labels[0, 0, 6] == 2**40


def test_a_mutex_keeps_the_two_ends_of_a_path_apart() -> None:
    keys = make_sort_keys(np.array([0.9, 0.3, -0.5], np.float32), np.arange(3))
    nodes, partners = np.array([0, 1, 0], np.int32), np.array([1, 2, 2], np.int32)
    clusters = cluster_graph(nodes, partners, np.sort(keys), num_nodes=4)
    assert clusters.tolist() == [0, 0, 1, 2]


def test_small_fragments_are_merged_into_the_neighbor_with_the_highest_affinity() -> None:
    labels = np.array([[[1, 1, 1, 2, 3, 3, 3]]], np.uint32)
    affinities = np.full((3, 1, 1, 7), 60, np.uint8)
    affinities[2, 0, 0, 3] = 90
    offsets = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert merge_small_fragments(labels, affinities, offsets, 2).ravel().tolist() == [1, 1, 1, 2, 2, 2, 2]
    assert merge_small_fragments(labels, affinities, offsets, 2, above=0.5).ravel().tolist() == [
        1,
        1,
        1,
        2,
        3,
        3,
        3,
    ]
    everything = merge_small_fragments(labels, affinities, offsets, 4)
    assert everything.max() == 1


def test_background_is_filled_only_along_affinities_above_the_limit() -> None:
    labels = np.array([[[1, 1, 1, 0, 0, 0]]], np.uint32)
    affinities = np.zeros((3, 1, 1, 6), np.uint8)
    affinities[2, 0, 0, :3] = 200
    offsets = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    filled = merge_small_fragments(labels, affinities, offsets, 3, fill_background=True, above=0.1)
    assert filled.ravel().tolist() == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("min_size", "expected"), [(4, [1, 1, 1, 1]), (5, [0, 0, 0, 0])])
def test_filled_voxels_are_a_fragment_of_their_own_only_if_they_are_enough(
    min_size: int, expected: list[int]
) -> None:
    affinities = np.full((1, 1, 1, 4), 200, np.uint8)
    filled = merge_small_fragments(
        np.zeros((1, 1, 4), np.uint32),
        affinities,
        Offsets.create([[0, 0, 1]]),
        min_size,
        fill_background=True,
    )
    assert filled.ravel().tolist() == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_each_fragment_has_a_label_or_enough_filled_voxels(seed: int, min_size: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (3, 4, 5), dtype=np.uint32) * (random.random((3, 4, 5)) < 0.2)
    labels = np.unique(labels, return_inverse=True)[1].reshape(3, 4, 5).astype(np.uint32)
    if labels.max() and not (labels == 0).any():
        labels += 1
    affinities = (random.random((3, 3, 4, 5)) < 0.4).astype(np.uint8) * 200
    offsets = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    filled = merge_small_fragments(labels, affinities, offsets, min_size, fill_background=True)
    ids, sizes = np.unique(filled[filled > 0], return_counts=True)
    has_label = np.isin(ids, filled[labels > 0])
    assert (sizes[~has_label] >= min_size).all()


@pytest.mark.parametrize(
    ("vectors", "bias", "strides", "words"),
    [
        ([[1, 0, 0], [0, 1]], 0.5, None, "two or all have three"),
        ([[1, 0, 0], [0, 0, 0]], 0.5, None, "connects a voxel to itself"),
        ([[1, 0, 0]] * 4, [0.1, 0.2, 0.3], None, "bias has 3 numbers"),
        ([[1, 0, 0]], 1.5, None, "between 0 and 1"),
        ([[1, 0, 0], [0, 3, 0]], 0.5, [2, 2], "must have 3 numbers"),
        ([[1, 0, 0], [0, 3, 0]], 0.5, 0, "at least 1"),
    ],
)
def test_invalid_offsets_are_refused(vectors: list, bias: float, strides: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Offsets.create(vectors, bias, strides)  # type: ignore[arg-type]
