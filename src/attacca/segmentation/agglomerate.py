"""One agglomeration over the whole graph, by mean affinity or by mutex watershed.

Mean affinity: the two regions with the highest mean direct affinity over their whole contact are joined,
again and again, while it is above a threshold. Joining never raises a mean above the two that it came from,
so one run down to the lowest threshold gives every higher one as a prefix of its merges.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from attacca.segmentation.mutex_clusters import (
    cluster_indices,
    find,
    mutex_clusters_in_order,
    strength_keys,
)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Graph:
    """A whole region adjacency graph as columns; large columns may be memory-mapped files.

    Args:
        ids: uint64 (nodes,), rising.
        sizes: int64 (nodes,), voxels.
        lower, upper: int32 (nodes, 3), bounding box in voxels, upper end excluded.
        inner_sum, inner_count: int64 (nodes,), stored direct affinities inside a fragment.
        u, v: int32 (edges,), indices of nodes, ``u < v``, sorted.
        direct_sum, direct_count, direct_max, long_sum, long_count: (edges,), stored affinities (255 for 1).
    """

    ids: np.ndarray
    sizes: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    inner_sum: np.ndarray
    inner_count: np.ndarray
    u: np.ndarray
    v: np.ndarray
    direct_sum: np.ndarray
    direct_count: np.ndarray
    direct_max: np.ndarray
    long_sum: np.ndarray
    long_count: np.ndarray


@dataclass(frozen=True)
class Merges:
    """The merges of a mean-affinity agglomeration, by falling mean.

    Args:
        a, b: int32 (merges,), a node of each of the two regions.
        heights: float64 (merges,), mean affinity (0 to 1) at which they were joined, never rising.
    """

    a: np.ndarray
    b: np.ndarray
    heights: np.ndarray

    def count(self, threshold: float) -> int:
        """Number of merges with a mean above ``threshold``."""
        return int(np.searchsorted(-self.heights, -threshold, side="left"))


def rows_of(column: np.ndarray, start: int, stop: int) -> np.ndarray:
    """A copy of some rows of a column; of one on disk without keeping its file's pages in this process."""
    if (
        isinstance(column, np.memmap)
        and column.filename is not None
        and column.offset == 0
        and column.base is not None
    ):
        count = max(0, min(stop, column.size) - start)
        return np.fromfile(column.filename, column.dtype, count, offset=start * column.itemsize)
    return np.array(column[start:stop])


def in_memory(column: np.ndarray) -> np.ndarray:
    """A copy of a whole column, as ``rows_of``."""
    return rows_of(column, 0, len(column))


def edge_parts(graph: Graph, *names: str, rows: int = 1 << 18) -> Iterator[tuple[np.ndarray, ...]]:
    """Copies of columns of the edges, a part of the rows at a time."""
    for start in range(0, len(graph.u), rows):
        yield tuple(rows_of(getattr(graph, name), start, start + rows) for name in names)


def mean_affinity_merges(graph: Graph, threshold: float = 0.0) -> Merges:
    """All merges above ``threshold`` (0 to 1), highest mean first; equal means in the order of the edges.

    Takes about 50 bytes an edge.
    """
    a, b, heights = _merge_by_mean(
        len(graph.ids),
        in_memory(graph.u),
        in_memory(graph.v),
        in_memory(graph.direct_sum),
        in_memory(graph.direct_count),
        threshold * 255.0,
    )
    return Merges(a, b, np.minimum.accumulate(heights / 255.0) if len(heights) else heights)


def clusters_at(merges: Merges, num_nodes: int, threshold: float) -> np.ndarray:
    """int64 (nodes,): cluster of each node when every merge above ``threshold`` is done, 0, 1, ... by first
    node."""
    count = merges.count(threshold)
    parents = np.arange(num_nodes, dtype=np.int32)
    union_pairs(parents, merges.a[:count], merges.b[:count])
    return cluster_indices(parents)


def mutex_clusters(graph: Graph, direct_bias: float, long_bias: float) -> np.ndarray:
    """int64 (nodes,): clusters by mutex watershed on the graph.

    Two fragments that touch have an edge with their mean direct affinity less ``direct_bias``; two that
    long-range offsets connect have one with the mean long-range affinity less ``long_bias``.
    """
    keys = []
    for first, (kind, bias) in enumerate((("direct", direct_bias), ("long", long_bias))):
        count = in_memory(getattr(graph, f"{kind}_count"))
        there = np.flatnonzero(count)
        scores = in_memory(getattr(graph, f"{kind}_sum"))[there] / (255.0 * count[there]) - bias
        keys.append(strength_keys(scores.astype(np.float32), there + first * len(count)))
        del count, scores, there
    order = np.concatenate(keys)
    del keys
    order.sort()
    return mutex_clusters_in_order(in_memory(graph.u), in_memory(graph.v), order, len(graph.ids))


def contact_clusters(graph: Graph, threshold: float) -> np.ndarray:
    """int64 (nodes,): clusters of fragments with any direct affinity above ``threshold`` (0 to 1) between
    them."""
    parents = np.arange(len(graph.ids), dtype=np.int32)
    for u, v, count, highest in edge_parts(graph, "u", "v", "direct_count", "direct_max"):
        join = (count > 0) & (highest > threshold * 255.0)
        union_pairs(parents, u[join], v[join])
    return cluster_indices(parents)


def cell_clusters(graph: Graph, cell_voxels: int, threshold: float) -> np.ndarray:
    """int64 (nodes,): clusters of fragments of different cells whose contact has a mean affinity above
    ``threshold``.

    Args:
        graph: of fragments whose ids say which cell they are from: ``(id - 1) // cell_voxels``.
        cell_voxels: voxels of a cell.
        threshold: 0 to 1.
    """
    cells = (graph.ids - np.uint64(1)) // np.uint64(cell_voxels)
    parents = np.arange(len(graph.ids), dtype=np.int32)
    for u, v, total, count in edge_parts(graph, "u", "v", "direct_sum", "direct_count"):
        join = (cells[u] != cells[v]) & (total > threshold * 255.0 * count)
        union_pairs(parents, u[join], v[join])
    return cluster_indices(parents)


@njit(cache=True, nogil=True)
def union_pairs(parents, a, b):
    """Join nodes ``a[i]`` and ``b[i]`` of the forest ``parents``; roots are the smallest nodes."""
    for i in range(len(a)):
        x = find(parents, a[i])
        y = find(parents, b[i])
        if x < y:
            parents[y] = x
        elif y < x:
            parents[x] = y


@njit(cache=True, nogil=True, inline="always")
def _edge_key(a, b):
    if a > b:
        a, b = b, a
    return (np.uint64(a) << np.uint64(32)) | np.uint64(b)


@njit(cache=True, nogil=True, inline="always")
def _slot(key, size):
    return np.int64(((key * _GOLDEN) >> np.uint64(16)) & np.uint64(size - 1))


@njit(cache=True, nogil=True)
def _lookup(table, u, v, a, b):
    """Slot of the edge between ``a`` and ``b``, or -1."""
    key = _edge_key(a, b)
    slot = _slot(key, len(table))
    while table[slot] != -1:
        e = table[slot]
        if e >= 0 and _edge_key(u[e], v[e]) == key:
            return slot
        slot = (slot + 1) & (len(table) - 1)
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _store(table, u, v, e):
    slot = _slot(_edge_key(u[e], v[e]), len(table))
    while table[slot] >= 0:
        slot = (slot + 1) & (len(table) - 1)
    fresh = table[slot] == -1
    table[slot] = e
    return fresh


@njit(cache=True, nogil=True, inline="always")
def _before(mean_a, edge_a, mean_b, edge_b):
    return mean_a > mean_b or (mean_a == mean_b and edge_a < edge_b)


@njit(cache=True, nogil=True)
def _push(means, edges, count, mean, edge):
    i = count
    while i > 0:
        parent = (i - 1) >> 1
        if not _before(mean, edge, means[parent], edges[parent]):
            break
        means[i], edges[i] = means[parent], edges[parent]
        i = parent
    means[i], edges[i] = mean, edge


@njit(cache=True, nogil=True)
def _sift_down(means, edges, count, i):
    mean, edge = means[i], edges[i]
    while True:
        child = 2 * i + 1
        if child >= count:
            break
        if child + 1 < count and _before(means[child + 1], edges[child + 1], means[child], edges[child]):
            child += 1
        if not _before(means[child], edges[child], mean, edge):
            break
        means[i], edges[i] = means[child], edges[child]
        i = child
    means[i], edges[i] = mean, edge


@njit(cache=True, nogil=True)
def _merge_by_mean(num_nodes, u, v, sums, counts, threshold):
    """Greedy agglomeration; ``u`` and ``v`` become the ends as roots, ``counts`` of dead edges become 0.

    Adjacency is a linked list for each root, through two 'next' columns of the edges; a hash table of edges
    finds the edge to a common neighbor; a heap of (mean, edge) holds outdated entries, which are skipped.
    """
    num_edges = len(u)
    heads = np.full(num_nodes, -1, np.int32)
    degrees = np.zeros(num_nodes, np.int32)
    next_u = np.empty(num_edges, np.int32)
    next_v = np.empty(num_edges, np.int32)
    size = 1024
    while size < 2 * num_edges:
        size *= 2
    table = np.full(size, -1, np.int32)
    used = np.int64(0)
    eligible = 0
    for e in range(num_edges):
        if counts[e] > 0:
            next_u[e], heads[u[e]] = heads[u[e]], e
            next_v[e], heads[v[e]] = heads[v[e]], e
            degrees[u[e]] += 1
            degrees[v[e]] += 1
            used += _store(table, u, v, e)
            if sums[e] > threshold * counts[e]:
                eligible += 1
    means = np.empty(eligible + 16, np.float64)
    edges = np.empty(eligible + 16, np.int32)
    held = 0
    for e in range(num_edges):
        if counts[e] > 0 and sums[e] > threshold * counts[e]:
            means[held], edges[held] = sums[e] / counts[e], e
            held += 1
    for i in range(held // 2 - 1, -1, -1):
        _sift_down(means, edges, held, i)
    merged_a = np.empty(num_nodes, np.int32)
    merged_b = np.empty(num_nodes, np.int32)
    heights = np.empty(num_nodes, np.float64)
    done = 0
    while held > 0:
        mean, e = means[0], edges[0]
        held -= 1
        means[0], edges[0] = means[held], edges[held]
        _sift_down(means, edges, held, 0)
        if counts[e] == 0 or sums[e] / counts[e] != mean:
            continue
        a, b = u[e], v[e]
        if degrees[a] < degrees[b]:
            a, b = b, a
        merged_a[done], merged_b[done], heights[done] = a, b, mean
        done += 1
        table[_lookup(table, u, v, a, b)] = -2
        counts[e] = 0
        edge = heads[b]
        heads[b] = -1
        while edge >= 0:
            following = next_u[edge] if u[edge] == b else next_v[edge]
            if counts[edge] > 0:
                other = v[edge] if u[edge] == b else u[edge]
                common = _lookup(table, u, v, a, other)
                table[_lookup(table, u, v, b, other)] = -2
                if common >= 0:
                    kept = table[common]
                    sums[kept] += sums[edge]
                    counts[kept] += counts[edge]
                    counts[edge] = 0
                    degrees[other] -= 1
                    if sums[kept] > threshold * counts[kept]:
                        if held == len(means):
                            means, edges = _enlarge(means), _enlarge_edges(edges)
                        _push(means, edges, held, sums[kept] / counts[kept], kept)
                        held += 1
                else:
                    if u[edge] == b:
                        u[edge], next_u[edge] = a, heads[a]
                    else:
                        v[edge], next_v[edge] = a, heads[a]
                    heads[a] = edge
                    degrees[a] += 1
                    used += _store(table, u, v, edge)
                    if 10 * used > 9 * size:
                        table[:] = -1
                        used = np.int64(0)
                        for other_edge in range(num_edges):
                            if counts[other_edge] > 0:
                                used += _store(table, u, v, other_edge)
            edge = following
    return merged_a[:done].copy(), merged_b[:done].copy(), heights[:done].copy()


@njit(cache=True, nogil=True)
def _enlarge(values):
    larger = np.empty(len(values) + len(values) // 2 + 16, np.float64)
    larger[: len(values)] = values
    return larger


@njit(cache=True, nogil=True)
def _enlarge_edges(values):
    larger = np.empty(len(values) + len(values) // 2 + 16, np.int32)
    larger[: len(values)] = values
    return larger
