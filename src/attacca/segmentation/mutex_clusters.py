"""Clusters under mutexes: the machinery that the mutex watershed of voxels and that of graphs share.

Clusters are a union-find forest. Which of them exclude each other stands in linked lists, one for each root, and in
one hash set of pairs of roots; when two clusters join, the shorter list moves. Edges come sorted, strongest first.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def graph_mutex_watershed(
    nodes: np.ndarray, partners: np.ndarray, scores: np.ndarray, num_nodes: int
) -> np.ndarray:
    """Mutex watershed of a graph.

    Args:
        nodes, partners: int32 (edges,): dense node indices; several edges between two nodes are fine.
        scores: float32 (edges,): positive attracts, others repel.
        num_nodes: number of nodes.

    Returns:
        int64 (num_nodes,): index of the cluster of each node, 0, 1, ... by first node.
    """
    order = strength_keys(scores.astype(np.float32), np.arange(len(scores)))
    order.sort()
    return mutex_clusters_in_order(nodes.astype(np.int32), partners.astype(np.int32), order, num_nodes)


def strength_keys(scores: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """uint64 (edges,): keys that sort edges by falling ``|score|``, ties attractive first, then by falling index.

    The lower 32 bits hold the complement of the index, the bit above them says that the edge repels.
    """
    keys = (~np.abs(scores).view(np.uint32) & np.uint32(0x7FFFFFFF)).astype(np.uint64)
    keys <<= np.uint64(33)
    keys |= (scores <= 0).astype(np.uint64) << np.uint64(32)
    keys |= np.uint64(0xFFFFFFFF) - indices.astype(np.uint64)
    return keys


def mutex_clusters_in_order(
    nodes: np.ndarray, partners: np.ndarray, order: np.ndarray, num_nodes: int
) -> np.ndarray:
    """``graph_mutex_watershed`` of edges whose sorted ``strength_keys`` are given.

    Args:
        nodes, partners: int32 (edges,).
        order: uint64; indices may run through the edges several times (index modulo the number of edges).
        num_nodes: number of nodes.
    """
    state = _take_keys(nodes, partners, order, new_state(num_nodes, np.zeros(1, np.uint32)))
    return cluster_indices(state[0])


def strength_order(scores: np.ndarray) -> np.ndarray:
    """int64 (edges,): indices by falling ``|score|``, ties attractive first, then by falling index."""
    rising = np.argsort(scores > 0, kind="stable")
    return rising[np.argsort(np.abs(scores[rising]), kind="stable")][::-1]


def new_state(num_nodes: int, seeds: np.ndarray) -> tuple[np.ndarray, ...]:
    """Forest, list heads and lengths, attracted flags, seeds of roots, list entries, hash set, their fill
    counts."""
    if len(seeds) == num_nodes and num_nodes > 1:
        parents = _join_seeds(seeds)
    else:
        parents = np.arange(num_nodes, dtype=np.int32)
    return (
        parents,
        np.full(num_nodes, -1, np.int32),
        np.zeros(num_nodes, np.int32),
        np.zeros(num_nodes, np.uint8),
        seeds,
        np.empty(1024, np.int32),
        np.empty(1024, np.int32),
        np.full(4096, _EMPTY, np.uint64),
        np.zeros(2, np.int64),
    )


@njit(cache=True, nogil=True)
def _join_seeds(seeds):
    parents = np.arange(len(seeds)).astype(np.int32)
    first = np.full(seeds.max() + 1, -1, np.int32)
    for v in range(len(seeds)):
        if seeds[v]:
            if first[seeds[v]] < 0:
                first[seeds[v]] = v
            parents[v] = first[seeds[v]]
    return parents


@njit(cache=True, nogil=True, inline="always")
def find(parents, v):
    """Root of ``v``; paths are halved on the way."""
    while parents[v] != v:
        parents[v] = parents[parents[v]]
        v = parents[v]
    return v


@njit(cache=True, nogil=True)
def cluster_indices(parents):
    """Index of each node's cluster in a union-find forest, 0, 1, ... by first node."""
    names = np.full(len(parents), -1, np.int64)
    clusters = np.empty(len(parents), np.int64)
    count = 0
    for v in range(len(parents)):
        root = find(parents, v)
        if names[root] < 0:
            names[root] = count
            count += 1
        clusters[v] = names[root]
    return clusters


@njit(cache=True, nogil=True, inline="always")
def _pair(a, b):
    if a < b:
        return (np.uint64(a) << np.uint64(32)) | np.uint64(b)
    return (np.uint64(b) << np.uint64(32)) | np.uint64(a)


@njit(cache=True, nogil=True)
def _contains(table, key):
    last = np.uint64(len(table) - 1)
    slot = ((key * _GOLDEN) >> np.uint64(20)) & last
    while table[slot] != _EMPTY:
        if table[slot] == key:
            return True
        slot = (slot + np.uint64(1)) & last
    return False


@njit(cache=True, nogil=True)
def _insert(table, key):
    last = np.uint64(len(table) - 1)
    slot = ((key * _GOLDEN) >> np.uint64(20)) & last
    while table[slot] != _EMPTY:
        if table[slot] == key:
            return False
        slot = (slot + np.uint64(1)) & last
    table[slot] = key
    return True


@njit(cache=True, nogil=True)
def _rehash(table, parents, fill, extra):
    """A table of live pairs alone (pairs of roots), at most half full."""
    live = 0
    low = np.uint64(0xFFFFFFFF)
    for key in table:
        if key != _EMPTY:
            a, b = np.int64(key >> np.uint64(32)), np.int64(key & low)
            if parents[a] == a and parents[b] == b:
                live += 1
    size = 4096
    while size < 2 * (live + extra) + 4:
        size *= 2
    fresh = np.full(size, _EMPTY, np.uint64)
    for key in table:
        if key != _EMPTY:
            a, b = np.int64(key >> np.uint64(32)), np.int64(key & low)
            if parents[a] == a and parents[b] == b:
                _insert(fresh, key)
    fill[1] = live
    return fresh


@njit(cache=True, nogil=True)
def _grow(values, size):
    larger = np.empty(size, values.dtype)
    larger[: len(values)] = values
    return larger


# numba counts references of arrays that a loop may replace in each of its steps, which costs more than the step:
# the runs below stop where a table is too small, and go on where they stopped when it was enlarged.


@njit(cache=True, nogil=True, inline="always")
def _attract(a, b, parents, heads, lengths, seeds, partner, after, table, fill):
    """Join the roots ``a`` and ``b`` unless they exclude each other; False, and nothing done, if the set is full."""
    seeded = len(seeds) == len(parents)
    if seeded and seeds[a] and seeds[b] and seeds[a] != seeds[b]:
        return True
    if lengths[a] and lengths[b] and _contains(table, _pair(a, b)):
        return True
    if lengths[a] < lengths[b]:
        a, b = b, a
    if 4 * (fill[1] + lengths[b]) > 3 * len(table):
        return False
    parents[b] = a
    if seeded and seeds[b]:
        seeds[a] = seeds[b]
    entry = heads[b]
    kept = 0
    while entry >= 0:
        following = after[entry]
        other = find(parents, partner[entry])
        if _insert(table, _pair(a, other)):
            partner[entry] = other
            after[entry] = heads[a]
            heads[a] = entry
            kept += 1
        entry = following
    fill[1] += kept
    lengths[a] += kept
    heads[b] = -1
    return True


@njit(cache=True, nogil=True, inline="always")
def _repel(a, b, heads, lengths, partner, after, table, fill):
    """Make the roots ``a`` and ``b`` exclude each other; False, and nothing done, if there is no room."""
    n = fill[0]
    if n + 2 > len(partner) or 4 * fill[1] + 4 > 3 * len(table):
        return False
    if _insert(table, _pair(a, b)):
        partner[n], after[n], heads[a] = b, heads[a], n
        partner[n + 1], after[n + 1], heads[b] = a, heads[b], n + 1
        lengths[a] += 1
        lengths[b] += 1
        fill[0] = n + 2
        fill[1] += 1
    return True


@njit(cache=True, nogil=True)
def _attract_run(order, start, stop, shift, parents, heads, lengths, seeds, partner, after, table, fill):
    """Take attractive edges ``stop - 1`` down to ``start``; returns the end of those that are left."""
    for e in range(stop - 1, start - 1, -1):
        u = np.int64(order[e])
        if parents[u] == parents[u + shift]:
            continue
        a = find(parents, u)
        b = find(parents, u + shift)
        if a != b and not _attract(a, b, parents, heads, lengths, seeds, partner, after, table, fill):
            return e + 1
    return start


@njit(cache=True, nogil=True)
def _repel_run(order, start, stop, shift, parents, heads, lengths, partner, after, table, fill):
    """Take repulsive edges, as ``_attract_run``."""
    for e in range(stop - 1, start - 1, -1):
        u = np.int64(order[e])
        if parents[u] == parents[u + shift]:
            continue
        a = find(parents, u)
        b = find(parents, u + shift)
        if a != b and not _repel(a, b, heads, lengths, partner, after, table, fill):
            return e + 1
    return start


@njit(cache=True, nogil=True)
def _mixed_run(nodes, partners, scores, order, start, state_arrays):
    """Take edges ``order[start:]`` of a graph; returns the first that is left."""
    parents, heads, lengths, attracted, seeds, partner, after, table, fill = state_arrays
    for i in range(start, len(order)):
        e = order[i]
        u, v = nodes[e], partners[e]
        a = find(parents, u)
        b = find(parents, v)
        if scores[e] > 0:
            attracted[u] = 1
            attracted[v] = 1
            if a != b and not _attract(a, b, parents, heads, lengths, seeds, partner, after, table, fill):
                return i
        elif a != b and not _repel(a, b, heads, lengths, partner, after, table, fill):
            return i
    return len(order)


@njit(cache=True, nogil=True)
def _key_run(nodes, partners, order, start, parents, heads, lengths, seeds, partner, after, table, fill):
    """Take edges ``order[start:]`` of sorted keys; returns the first that is left."""
    for i in range(start, len(order)):
        key = order[i]
        e = (np.int64(0xFFFFFFFF) - np.int64(key & np.uint64(0xFFFFFFFF))) % len(nodes)
        a = find(parents, nodes[e])
        b = find(parents, partners[e])
        if a == b:
            continue
        if (key >> np.uint64(32)) & np.uint64(1):
            if not _repel(a, b, heads, lengths, partner, after, table, fill):
                return i
        elif not _attract(a, b, parents, heads, lengths, seeds, partner, after, table, fill):
            return i
    return len(order)


@njit(cache=True, nogil=True)
def take_buckets(order, ends, shifts, attractive, state):
    parents, heads, lengths, attracted, seeds, partner, after, table, fill = state
    start = 0
    for bucket in range(len(ends)):
        stop = ends[bucket]
        while True:
            if attractive[bucket]:
                stop = _attract_run(
                    order,
                    start,
                    stop,
                    shifts[bucket],
                    parents,
                    heads,
                    lengths,
                    seeds,
                    partner,
                    after,
                    table,
                    fill,
                )
            else:
                stop = _repel_run(
                    order, start, stop, shifts[bucket], parents, heads, lengths, partner, after, table, fill
                )
            if stop == start:
                break
            partner, after, table = _make_room(parents, heads, lengths, partner, after, table, fill)
        start = ends[bucket]
    return parents, heads, lengths, attracted, seeds, partner, after, table, fill


@njit(cache=True, nogil=True)
def take_edges(nodes, partners, scores, order, state):
    parents, heads, lengths, attracted, seeds, partner, after, table, fill = state
    start = 0
    while start < len(order):
        arrays = (parents, heads, lengths, attracted, seeds, partner, after, table, fill)
        start = _mixed_run(nodes, partners, scores, order, start, arrays)
        if start < len(order):
            partner, after, table = _make_room(parents, heads, lengths, partner, after, table, fill)
    return parents, heads, lengths, attracted, seeds, partner, after, table, fill


@njit(cache=True, nogil=True)
def _take_keys(nodes, partners, order, state):
    parents, heads, lengths, attracted, seeds, partner, after, table, fill = state
    start = 0
    while start < len(order):
        start = _key_run(
            nodes, partners, order, start, parents, heads, lengths, seeds, partner, after, table, fill
        )
        if start < len(order):
            partner, after, table = _make_room(parents, heads, lengths, partner, after, table, fill)
    return parents, heads, lengths, attracted, seeds, partner, after, table, fill


@njit(cache=True, nogil=True)
def _make_room(parents, heads, lengths, partner, after, table, fill):
    """Larger lists if they are nearly full, and a set with room for the longest list twice."""
    if fill[0] + 2 > len(partner):
        partner, after = _grow(partner, 2 * len(partner)), _grow(after, 2 * len(after))
    longest = np.int64(0)
    for v in range(len(parents)):
        if parents[v] == v:
            longest = max(longest, np.int64(lengths[v]))
    if 4 * (fill[1] + longest) + 4 > 3 * len(table):
        table = _rehash(table, parents, fill, longest)
    return partner, after, table
