"""Clusters under mutexes, shared by the mutex watersheds of voxels and of graphs.

Clusters are a union-find forest. Mutexes, pairs of clusters that must not join, are stored twice: in one
linked list per root, and in one hash set of pairs of roots. When two clusters join, the shorter list moves
to the other root. Edges are taken in order, strongest first: an attractive edge joins two clusters unless a
mutex keeps them apart, a repulsive edge sets a mutex.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from typing import NamedTuple

import numpy as np
from numba import njit

from attacca.segmentation.hash_table import EMPTY_KEY, add_key, has_key, pack_pair, unpack_pair
from attacca.segmentation.index_range import check_range
from attacca.segmentation.union_find import find_root, number_clusters

ENTRY = np.int32
"""Type of the numbers of entries in lists of mutexes."""

EDGE = np.uint32
"""Type of the numbers of edges in sort keys."""

_LOW = np.uint64(0xFFFFFFFF)
_FEWER_EDGES = "set a smaller segmentation.block_size, or take fewer edges (segmentation.strides, segmentation.min_evidence)"


class Clusters(NamedTuple):
    """State of a mutex watershed.

    Attributes:
        parents: int32 (nodes,), union-find forest.
        seeds: uint32 (nodes,), seed of each root, 0 for none; one element without seeds.
        heads: int32 (nodes,), first entry of each root's list of mutexes, -1 for an empty list.
        lengths: int32 (nodes,), length of each root's list.
        partner: int32 (entries,), a node of the excluded cluster.
        after: int32 (entries,), next entry of the list, -1 at its end.
        mutexes: uint64 (slots,), hash set of excluded pairs of roots.
        fill: int64 (2,), number of entries and of pairs in use.
    """

    parents: np.ndarray
    seeds: np.ndarray
    heads: np.ndarray
    lengths: np.ndarray
    partner: np.ndarray
    after: np.ndarray
    mutexes: np.ndarray
    fill: np.ndarray


def create_clusters(num_nodes: int, seeds: np.ndarray | None = None) -> Clusters:
    """Create clusters of one node each, with the nodes of each seed joined.

    Args:
        num_nodes: number of nodes.
        seeds: uint32 (nodes,), 0 for nodes without a seed.

    >>> create_clusters(3, seeds=np.array([5, 0, 5], np.uint32)).parents
    array([0, 1, 0], dtype=int32)
    """
    return Clusters(
        np.arange(num_nodes, dtype=np.int32) if seeds is None else _join_seeds(seeds),
        np.zeros(1, np.uint32) if seeds is None else seeds,
        np.full(num_nodes, -1, np.int32),
        np.zeros(num_nodes, np.int32),
        np.empty(1024, np.int32),
        np.empty(1024, np.int32),
        np.full(4096, EMPTY_KEY, np.uint64),
        np.zeros(2, np.int64),
    )


def check_entries(clusters: Clusters) -> None:
    """Raise an error if the lists of a finished mutex watershed had more entries than their numbers reach.

    Raises:
        ResourceError: there were too many; the clusters are wrong.

    >>> check_entries(create_clusters(3))
    """
    check_range(int(clusters.fill[0]), ENTRY, "entries of mutexes, two for each pair", _FEWER_EDGES)


def check_edges(count: int) -> None:
    """Raise an error if sort keys cannot number ``count`` edges.

    Raises:
        ResourceError: there are too many.

    >>> check_edges(2**32 - 1)
    """
    check_range(count, EDGE, "edges between the voxels of a block", _FEWER_EDGES)


def make_sort_keys(scores: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return keys that sort edges by descending ``|score|``, ties attractive first, then by descending index.

    Args:
        scores: float32 (edges,); positive attracts, others repel.
        indices: int (edges,), below 2^32.

    Returns:
        uint64 (edges,). The lower 32 bits hold the complement of the index, the next bit is 1 for edges that
        repel.

    >>> keys = np.sort(make_sort_keys(np.array([0.1, -0.5, 0.5], np.float32), np.arange(3)))
    >>> [0xFFFFFFFF - int(key & np.uint64(0xFFFFFFFF)) for key in keys]
    [2, 1, 0]
    """
    keys = (~np.abs(scores).view(np.uint32) & np.uint32(0x7FFFFFFF)).astype(np.uint64)
    keys <<= np.uint64(33)
    keys |= (scores <= 0).astype(np.uint64) << np.uint64(32)
    keys |= _LOW - indices.astype(np.uint64)
    return keys


def cluster_graph(u: np.ndarray, v: np.ndarray, sorted_keys: np.ndarray, num_nodes: int) -> np.ndarray:
    """Cluster the nodes of a graph by mutex watershed.

    Args:
        u: int32 (edges,), first node of each edge; several edges may connect the same two nodes.
        v: int32 (edges,), second node.
        sorted_keys: uint64, from ``make_sort_keys``; an edge's index counts modulo the number of edges.
        num_nodes: number of nodes.

    Returns:
        int64 (nodes,): index of each node's cluster, 0, 1, ... by first node.

    Raises:
        ResourceError: there are 2^31 or more entries of mutexes, two for each pair of clusters.

    Node 0 attracts 1, 1 attracts 2, but the mutex between 0 and 2 is stronger than the second attraction:

    >>> u, v = np.array([0, 1, 0], np.int32), np.array([1, 2, 2], np.int32)
    >>> keys = make_sort_keys(np.array([0.9, 0.3, -0.5], np.float32), np.arange(3))
    >>> cluster_graph(u, v, np.sort(keys), num_nodes=4)
    array([0, 0, 1, 2])
    """
    clusters = take_edges(u, v, sorted_keys, create_clusters(num_nodes))
    check_entries(clusters)
    return number_clusters(clusters.parents)


@njit(cache=True, nogil=True)
def _join_seeds(seeds):
    """Return a forest in which the nodes of a seed are children of its first node."""
    parents = np.arange(len(seeds)).astype(np.int32)
    first = np.full(seeds.max() + 1, -1, np.int32)
    for v in range(len(seeds)):
        if seeds[v]:
            if first[seeds[v]] < 0:
                first[seeds[v]] = v
            parents[v] = first[seeds[v]]
    return parents


# numba counts references to arrays that a loop may replace, in each step of the loop; that costs more than the
# step itself. So the loops below return when an array is full, and continue after it was enlarged outside.


@njit(cache=True, nogil=True)
def take_buckets(order, ends, shifts, attractive, clusters):
    """Take edges of a voxel grid that are sorted into buckets, and return the clusters.

    Args:
        order: uint32 (edges,), flat index of each edge's first voxel, by bucket.
        ends: int64 (buckets,), end of each bucket in ``order``.
        shifts: int64 (buckets,), flat index of the second voxel less that of the first.
        attractive: bool (buckets,).
        clusters: of all voxels.

    A row of three voxels, with an attractive edge from voxel 0 to voxel 1:

    >>> order, ends, shifts = np.array([0], np.uint32), np.array([1]), np.array([1])
    >>> clusters = take_buckets(order, ends, shifts, np.array([True]), create_clusters(3))
    >>> number_clusters(clusters.parents)
    array([0, 0, 1])
    """
    start = 0
    for bucket in range(len(ends)):
        stop = ends[bucket]
        while stop > start:
            stop = _take_bucket(order, start, stop, shifts[bucket], attractive[bucket], clusters)
            if stop > start:
                clusters = _make_room(clusters)
        start = ends[bucket]
    return clusters


@njit(cache=True, nogil=True)
def _take_bucket(order, start, stop, shift, attractive, clusters):
    """Take edges ``stop - 1`` down to ``start``. Return the end of the edges that are left."""
    parents = clusters.parents
    for e in range(stop - 1, start - 1, -1):
        u = np.int64(order[e])
        if parents[u] == parents[u + shift]:
            continue
        a = find_root(parents, u)
        b = find_root(parents, u + shift)
        if a != b and not _take_edge(a, b, attractive, clusters):
            return e + 1
    return start


@njit(cache=True, nogil=True)
def take_edges(u, v, sorted_keys, clusters):
    """Take the edges of a graph in the order of their keys, and return the clusters; see ``cluster_graph``.

    >>> u, v = np.array([0], np.int32), np.array([2], np.int32)
    >>> keys = make_sort_keys(np.array([0.9], np.float32), np.arange(1))
    >>> number_clusters(take_edges(u, v, keys, create_clusters(3)).parents)
    array([0, 1, 0])
    """
    start = 0
    while start < len(sorted_keys):
        start = _take_keys(u, v, sorted_keys, start, clusters)
        if start < len(sorted_keys):
            clusters = _make_room(clusters)
    return clusters


@njit(cache=True, nogil=True)
def _take_keys(u, v, sorted_keys, start, clusters):
    """Take edges from ``start`` on. Return the first edge that is left."""
    parents = clusters.parents
    for i in range(start, len(sorted_keys)):
        key = sorted_keys[i]
        e = np.int64(_LOW - (key & _LOW)) % len(u)
        a = find_root(parents, u[e])
        b = find_root(parents, v[e])
        if a != b:
            attractive = (key >> np.uint64(32)) & np.uint64(1) == 0
            if not _take_edge(a, b, attractive, clusters):
                return i
    return len(sorted_keys)


@njit(cache=True, nogil=True, inline="always")
def _take_edge(a, b, attractive, clusters):
    """Join the roots ``a`` and ``b`` or exclude them. Return False, with nothing done, without room."""
    if attractive:
        return _attract(a, b, clusters)
    return _repel(a, b, clusters)


@njit(cache=True, nogil=True, inline="always")
def _attract(a, b, clusters):
    """Join two roots unless a mutex or their seeds keep them apart."""
    parents, seeds, heads, lengths, partner, after, mutexes, fill = clusters
    has_seeds = len(seeds) == len(parents)
    if has_seeds and seeds[a] and seeds[b] and seeds[a] != seeds[b]:
        return True
    if lengths[a] and lengths[b] and has_key(mutexes, pack_pair(a, b)):
        return True
    if lengths[a] < lengths[b]:
        a, b = b, a
    if 4 * (fill[1] + lengths[b]) > 3 * len(mutexes):
        return False
    parents[b] = a
    if has_seeds and seeds[b]:
        seeds[a] = seeds[b]
    item = heads[b]
    kept = 0
    while item >= 0:
        following = after[item]
        other = find_root(parents, partner[item])
        if add_key(mutexes, pack_pair(a, other)):
            partner[item] = other
            after[item] = heads[a]
            heads[a] = item
            kept += 1
        item = following
    fill[1] += kept
    lengths[a] += kept
    heads[b] = -1
    return True


@njit(cache=True, nogil=True, inline="always")
def _repel(a, b, clusters):
    """Set a mutex between two roots."""
    _, _, heads, lengths, partner, after, mutexes, fill = clusters
    n = fill[0]
    if n + 2 > len(partner) or 4 * fill[1] + 4 > 3 * len(mutexes):
        return False
    if add_key(mutexes, pack_pair(a, b)):
        partner[n], after[n], heads[a] = b, heads[a], n
        partner[n + 1], after[n + 1], heads[b] = a, heads[b], n + 1
        lengths[a] += 1
        lengths[b] += 1
        fill[0] = n + 2
        fill[1] += 1
    return True


@njit(cache=True, nogil=True)
def _make_room(clusters):
    """Return clusters with longer lists if they are nearly full, and room for the longest list in the set."""
    parents, seeds, heads, lengths, partner, after, mutexes, fill = clusters
    if fill[0] + 2 > len(partner):
        partner, after = _double(partner), _double(after)
    longest = np.int64(0)
    for v in range(len(parents)):
        if parents[v] == v:
            longest = max(longest, np.int64(lengths[v]))
    if 4 * (fill[1] + longest) + 4 > 3 * len(mutexes):
        mutexes = _rehash(mutexes, parents, fill, longest)
    return Clusters(parents, seeds, heads, lengths, partner, after, mutexes, fill)


@njit(cache=True, nogil=True)
def _double(values):
    larger = np.empty(2 * len(values), values.dtype)
    larger[: len(values)] = values
    return larger


@njit(cache=True, nogil=True)
def _rehash(mutexes, parents, fill, extra):
    """Return a set of the pairs whose members are still roots, at most half full."""
    live = np.empty(fill[1], np.uint64)
    count = 0
    for key in mutexes:
        if key != EMPTY_KEY:
            a, b = unpack_pair(key)
            if parents[a] == a and parents[b] == b:
                live[count] = key
                count += 1
    size = 4096
    while size < 2 * (count + extra) + 4:
        size *= 2
    larger = np.full(size, EMPTY_KEY, np.uint64)
    for i in range(count):
        add_key(larger, live[i])
    fill[1] = count
    return larger
