"""Mutex watershed of one block of voxels, from quantized affinities.

Edges are taken by descending evidence, ``|affinity - bias|``: an attractive edge joins two clusters unless a
mutex keeps them apart, a repulsive edge sets a mutex.

1. Rank every pair of channel and stored value by its evidence: ``256 * channels`` buckets. Quantized
   affinities need no comparison sort.
2. Count the edges of each bucket.
3. Sort the edges into their buckets (counting sort).
4. Take the edges, bucket by bucket (``mutex_clusters.take_buckets``).
5. Mark the voxels with an attractive edge; all others are background.
6. Number the clusters by first voxel.

Edges of equal evidence are taken in one order in all blocks: attractive first, then by descending channel,
then by descending coordinate, so that ties do not depend on the block's origin.

References:
    S. Wolf et al., "The Mutex Watershed: Efficient, Parameter-Free Image Partitioning", ECCV 2018.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from attacca.errors import ConfigurationError
from attacca.segmentation.index_range import check_block
from attacca.segmentation.inputs import convert_mask
from attacca.segmentation.mutex_clusters import (
    Clusters,
    check_edges,
    check_entries,
    create_clusters,
    take_buckets,
    take_edges,
)
from attacca.segmentation.offsets import LEVELS, Offsets
from attacca.segmentation.union_find import find_root


class _Edges(NamedTuple):
    """Edges of a block.

    Attributes:
        affinities: uint8 or float (channels, z, y, x).
        vectors: int64 (channels, 3), offset of each channel.
        strides: int64 (channels, 3).
        origin: int64 (3,), global coordinate of the first voxel.
        mask: uint8 (z, y, x), or one voxel for no mask.
    """

    affinities: np.ndarray
    vectors: np.ndarray
    strides: np.ndarray
    origin: np.ndarray
    mask: np.ndarray


def mutex_watershed(
    affinities: np.ndarray,
    offsets: Offsets,
    *,
    origin: Sequence[int] = (0, 0, 0),
    seeds: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    min_evidence: float = 0.0,
) -> np.ndarray:
    """Segment one block.

    Args:
        affinities: (channels, z, y, x); uint8 with 255 for an affinity of 1, or floating point in [0, 1],
            which is several times slower. Channels beyond the offsets are ignored.
        offsets: edges, biases and strides of the channels.
        origin: global coordinate, in voxels, of the first voxel: strides and ties are the same in all blocks.
        seeds: uint64 (z, y, x); voxels of one non-zero seed belong together, those of two seeds never do.
        mask: bool (z, y, x); voxels outside it stay 0 and have no edges.
        min_evidence: edges with less evidence, ``|affinity - bias|``, are ignored.

    Returns:
        uint32 (z, y, x): labels 1, 2, ... by first voxel, or the seeds' ids in uint64 if seeds are given
        (clusters without a seed get ids above the largest seed). 0 for voxels without an attractive edge.

    Raises:
        ConfigurationError: there are fewer channels than offsets.
        ResourceError: the block has 2^31 or more voxels, 2^31 or more entries of mutexes, or, with floating-point
            affinities, 2^32 or more edges.

    Six voxels in a row; the affinity is low between the third and the fourth (0.4):

    >>> nearest = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    >>> affinities = np.zeros((3, 1, 1, 6))
    >>> affinities[2, 0, 0] = [0.9, 0.8, 0.4, 0.8, 0.9, 0.0]
    >>> mutex_watershed(affinities, Offsets.create(nearest, bias=0.5)).ravel()
    array([1, 1, 1, 2, 2, 2], dtype=uint32)

    A lower bias joins more:

    >>> mutex_watershed(affinities, Offsets.create(nearest, bias=0.3)).ravel()
    array([1, 1, 1, 1, 1, 1], dtype=uint32)

    A long-range affinity of 0 across the boundary has more evidence against the merge (0.3) than the
    nearest-neighbor affinity has for it (0.1):

    >>> affinities = np.concatenate([affinities, np.ones((1, 1, 1, 6))])
    >>> affinities[3, 0, 0, :3] = 0.0
    >>> long_range = [*nearest, [0, 0, 3]]
    >>> mutex_watershed(affinities, Offsets.create(long_range, bias=0.3)).ravel()
    array([1, 1, 1, 2, 2, 2], dtype=uint32)

    Strides use some of the long-range edges only. The first of the three edges across the boundary remains,
    and is sufficient:

    >>> mutex_watershed(affinities, Offsets.create(long_range, bias=0.3, strides=3)).ravel()
    array([1, 1, 1, 2, 2, 2], dtype=uint32)

    Without weak evidence, undecided voxels stay apart, for a later agglomeration to decide:

    >>> mutex_watershed(affinities, Offsets.create(long_range, bias=0.3), min_evidence=0.55).ravel()
    array([1, 1, 0, 0, 2, 2], dtype=uint32)
    """
    shape = affinities.shape[1:]
    check_block(shape)
    if affinities.shape[0] < len(offsets):
        raise ConfigurationError(
            f"found {affinities.shape[0]} affinity channels for {len(offsets)} offsets; give one offset per channel"
        )
    edges = _Edges(
        np.ascontiguousarray(affinities[: len(offsets)]),
        offsets.vectors,
        offsets.strides,
        np.array(origin, dtype=np.int64),
        convert_mask(mask),
    )
    seed_ids, dense_seeds = (None, None) if seeds is None else _number_seeds(seeds)
    clusters = create_clusters(math.prod(shape), dense_seeds)
    if affinities.dtype == np.uint8:
        clusters, attracted = _take_quantized(edges, offsets.biases, min_evidence, clusters)
    else:
        clusters, attracted = _take_floats(edges, offsets.biases, min_evidence, clusters)
    check_entries(clusters)
    labels = _number_labels(clusters.parents, attracted, clusters.seeds)
    if seed_ids is not None and dense_seeds is not None:
        labels = _restore_seeds(labels, dense_seeds, seed_ids)
    return labels.reshape(shape)


def _take_quantized(
    edges: _Edges, biases: np.ndarray, min_evidence: float, clusters: Clusters
) -> tuple[Clusters, np.ndarray]:
    """Steps 1 to 5: return the clusters and uint8 (voxels,), 1 for voxels with an attractive edge."""
    shape = edges.affinities.shape[1:]
    ranks, channels, attractive, num_used = _rank_buckets(biases, min_evidence)
    counts = _count_edges(edges, ranks, len(channels))
    ends = np.cumsum(counts)
    order = _sort_edges(edges, ranks, ends - counts, int(ends[-1]))
    shifts = (edges.vectors @ _flat_steps(shape))[channels]
    clusters = take_buckets(order, ends[:num_used], shifts, attractive, clusters)
    attractive[num_used:] = False
    attracted = np.zeros(shape, np.uint8)
    _mark_attracted(edges, ranks, attractive, attracted)
    return clusters, attracted.ravel()


def _take_floats(
    edges: _Edges, biases: np.ndarray, min_evidence: float, clusters: Clusters
) -> tuple[Clusters, np.ndarray]:
    """Steps 1 to 5 for floating-point affinities: edges are listed and sorted by comparison."""
    u, v, scores = _list_edges(edges, biases)
    kept = np.round(np.abs(scores), 9) >= min_evidence
    check_edges(int(np.count_nonzero(kept)))
    u, v, scores = u[kept], v[kept], scores[kept]
    # Descending evidence, ties attractive first, then by descending index.
    order = np.argsort(scores > 0, kind="stable")
    order = order[np.argsort(np.abs(scores[order]), kind="stable")][::-1]
    keys = (scores[order] <= 0).astype(np.uint64) << np.uint64(32)
    keys |= np.uint64(0xFFFFFFFF) - order.astype(np.uint64)
    attracted = np.zeros(len(clusters.parents), np.uint8)
    attracted[u[scores > 0]] = 1
    attracted[v[scores > 0]] = 1
    return take_edges(u, v, keys, clusters), attracted


def _flat_steps(shape: Sequence[int]) -> np.ndarray:
    """Return int64 (3,): steps of the flat index along each axis."""
    return np.array([shape[1] * shape[2], shape[2], 1], dtype=np.int64)


def _number_seeds(seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of seeds, 0 first, in uint64, and the index of each voxel's id in uint32 (voxels,)."""
    ids, dense = np.unique(seeds, return_inverse=True)
    if ids[0] != 0:
        ids, dense = np.concatenate([np.zeros(1, ids.dtype), ids]), dense + 1
    return ids.astype(np.uint64), dense.astype(np.uint32).reshape(-1)


def _restore_seeds(labels: np.ndarray, dense_seeds: np.ndarray, seed_ids: np.ndarray) -> np.ndarray:
    """Replace the labels of clusters with a seed by its id, and move all others above the largest id."""
    table = np.arange(labels.max() + 1, dtype=np.uint64)
    table[1:] += seed_ids[-1]
    has_seed = dense_seeds > 0
    table[labels[has_seed]] = seed_ids[dense_seeds[has_seed]]
    return table[labels]


def _rank_buckets(biases: np.ndarray, min_evidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Step 1: order the buckets, strongest first.

    Returns:
        ranks: int32 (channels, 256), position of each channel and value.
        channels: int64 (buckets,), channel of each position.
        attractive: bool (buckets,).
        num_used: number of positions with sufficient evidence.
    """
    scores = np.round(np.arange(LEVELS)[None] / (LEVELS - 1) - biases[:, None], 9).ravel()
    channels = np.repeat(np.arange(len(biases)), LEVELS)
    order = np.lexsort((-channels, scores <= 0, -np.abs(scores)))
    ranks = np.empty(scores.size, np.int32)
    ranks[order] = np.arange(scores.size)
    num_used = int(np.count_nonzero(np.abs(scores) >= min_evidence))
    return ranks.reshape(len(biases), LEVELS), channels[order], scores[order] > 0, num_used


@njit(cache=True, nogil=True, inline="always")
def _axis_range(length, shift, origin, stride):
    first = max(0, -shift)
    first += (-(origin + first)) % stride
    return range(first, min(length, length - shift), stride)


@njit(cache=True, nogil=True)
def _edge_ranges(edges, k):
    """Return the ranges of z, y and x over the first voxels of a channel's edges, on the global grid."""
    _, depth, height, width = edges.affinities.shape
    return (
        _axis_range(depth, edges.vectors[k, 0], edges.origin[0], edges.strides[k, 0]),
        _axis_range(height, edges.vectors[k, 1], edges.origin[1], edges.strides[k, 1]),
        _axis_range(width, edges.vectors[k, 2], edges.origin[2], edges.strides[k, 2]),
    )


@njit(cache=True, nogil=True)
def _count_edges(edges, ranks, num_buckets):
    """Step 2: count the edges of each bucket."""
    counts = np.zeros(num_buckets, np.int64)
    mask = edges.mask
    has_mask = mask.size > 1
    for k in range(len(edges.vectors)):
        dz, dy, dx = edges.vectors[k]
        z_range, y_range, x_range = _edge_ranges(edges, k)
        histogram = np.zeros(256, np.int64)
        for z in z_range:
            for y in y_range:
                row = edges.affinities[k, z, y]
                if has_mask:
                    here, beyond = mask[z, y], mask[z + dz, y + dy]
                    for x in x_range:
                        if here[x] and beyond[x + dx]:
                            histogram[row[x]] += 1
                else:
                    for x in x_range:
                        histogram[row[x]] += 1
        for value in range(256):
            counts[ranks[k, value]] += histogram[value]
    return counts


@njit(cache=True, nogil=True)
def _sort_edges(edges, ranks, starts, num_edges):
    """Step 3: return uint32 (edges,), flat index of each edge's first voxel, by bucket."""
    _, _, height, width = edges.affinities.shape
    mask = edges.mask
    has_mask = mask.size > 1
    order = np.empty(num_edges, np.uint32)
    for k in range(len(edges.vectors)):
        dz, dy, dx = edges.vectors[k]
        z_range, y_range, x_range = _edge_ranges(edges, k)
        slots = np.empty(256, np.int64)
        for value in range(256):
            slots[value] = starts[ranks[k, value]]
        for z in z_range:
            for y in y_range:
                row = edges.affinities[k, z, y]
                base = (z * height + y) * width
                for x in x_range:
                    if has_mask and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                        continue
                    slot = slots[row[x]]
                    order[slot] = base + x
                    slots[row[x]] = slot + 1
    return order


@njit(cache=True, nogil=True)
def _mark_attracted(edges, ranks, attractive, attracted):
    """Step 5: set ``attracted`` to 1 where a voxel has an attractive edge, joined or not."""
    mask = edges.mask
    has_mask = mask.size > 1
    for k in range(len(edges.vectors)):
        dz, dy, dx = edges.vectors[k]
        z_range, y_range, x_range = _edge_ranges(edges, k)
        table = np.empty(256, np.uint8)
        for value in range(256):
            table[value] = attractive[ranks[k, value]]
        for z in z_range:
            for y in y_range:
                row = edges.affinities[k, z, y]
                here, beyond = attracted[z, y], attracted[z + dz, y + dy]
                for x in x_range:
                    if has_mask and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                        continue
                    here[x] |= table[row[x]]
                    beyond[x + dx] |= table[row[x]]


def _list_edges(edges: _Edges, biases: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all edges as flat indices of both voxels and scores, by channel, then voxel."""
    shape = edges.affinities.shape[1:]
    index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    mask = edges.mask.ravel()
    nodes, partners, scores = [], [], []
    for k, vector in enumerate(edges.vectors):
        axes = zip(shape, vector.tolist(), edges.origin.tolist(), edges.strides[k].tolist())
        ranges = [_axis_range.py_func(*axis) for axis in axes]
        first = tuple(slice(r.start, max(r.start, r.stop), r.step) for r in ranges)
        u = index[first].ravel()
        v = u + int(vector @ _flat_steps(shape))
        score = (edges.affinities[k][first].astype(np.float64) - biases[k]).ravel()
        kept = slice(None) if mask.size == 1 else (mask[u] & mask[v]).astype(bool)
        nodes.append(u[kept])
        partners.append(v[kept])
        scores.append(score[kept])
    return np.concatenate(nodes), np.concatenate(partners), np.concatenate(scores)


@njit(cache=True, nogil=True)
def _number_labels(parents, attracted, seeds):
    """Step 6: return uint32 (voxels,), labels 1, 2, ... by first voxel."""
    labels = np.zeros(len(parents), np.uint32)
    has_seeds = len(seeds) == len(parents)
    names = np.zeros(len(parents), np.uint32)
    count = 0
    for v in range(len(parents)):
        root = find_root(parents, v)
        if attracted[v] or (has_seeds and seeds[root]):
            if names[root] == 0:
                count += 1
                names[root] = count
            labels[v] = names[root]
    return labels
