"""Agglomeration of a graph by mean affinity.

The two regions whose contact has the highest mean nearest-neighbor affinity are merged, repeatedly, while
that mean is above a threshold. Merging never gives a contact a higher mean than the two contacts that it
came from, so one run down to the lowest threshold contains the run for each higher one as a prefix of its
merges.

1. Link the edges of each region into a list, and put all edges into a hash table.
2. Put the edges above the threshold into a heap, highest mean first.
3. Take the highest edge and merge its two regions: the edges of the smaller list move to the other region,
   edges to a common neighbor are added up.

The order is strict: of two edges with the same mean, the one with the lower number comes first, and a sum of edges
has the highest number of its parts. A sum is then never before the first of its parts, so a merge of two regions
that are each other's best neighbor may be done at any time: the regions at a given threshold are the same. This is
why a part of a graph can be agglomerated without the rest (``chunk_merges``). Regions with neighbors outside the part
are *frozen*: step 3 freezes the neighbors of frozen regions instead of merging them.

References:
    Average linkage on region adjacency graphs is the agglomeration of K. Lee et al., "Superhuman Accuracy on
    the SNEMI3D Connectomics Challenge", 2017, and of ``waterz`` (J. Funke et al., "Large Scale Image
    Segmentation with Structured Loss based Deep Learning for Connectome Reconstruction", TPAMI 2019).
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from attacca.segmentation.graph import Graph
from attacca.segmentation.hash_table import DELETED, EMPTY, add_index, find_slot, pack_pair
from attacca.segmentation.index_range import check_range, check_sums
from attacca.segmentation.union_find import join_pairs, number_clusters


@dataclass(frozen=True)
class Merges:
    """The merges of an agglomeration by mean affinity, in descending order of the mean.

    Args:
        a: int (merges,), a node of the first region.
        b: int (merges,), a node of the second region.
        heights: float64 (merges,), mean affinity (0 to 1) at which they were merged, descending.

    >>> Merges(np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.4])).count(threshold=0.5)
    1
    """

    a: np.ndarray
    b: np.ndarray
    heights: np.ndarray

    def count(self, threshold: float) -> int:
        """Return the number of merges with a mean above ``threshold``."""
        return int(np.searchsorted(-self.heights, -threshold, side="left"))


def merge_by_mean_affinity(graph: Graph, threshold: float = 0.0) -> Merges:
    """Compute all merges above a threshold.

    Takes about 50 bytes of memory per edge.

    Args:
        graph: the whole graph.
        threshold: mean affinity, 0 to 1.

    Returns:
        Merges in descending order of the mean; equal means in the order of the edges.

    Three fragments in a row, with mean affinities of 204 / 255 and 102 / 255 between them:

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> graph = make_example_graph()
    >>> merges = merge_by_mean_affinity(graph)
    >>> merges.heights, merges.count(threshold=0.5)
    (array([0.8, 0.4]), 1)
    """
    edges = Edges(*map(graph.read_column, ("u", "v", "direct_sum", "direct_count")))
    return merge_edges(edges, np.zeros(len(graph.ids), bool), threshold)


def merge_edges(
    edges: "Edges", is_frozen: np.ndarray, threshold: float, index_type: np.typing.DTypeLike = np.int32
) -> Merges:
    """Merge the regions of a graph that are not frozen.

    Args:
        edges: edges in the order that decides between equal means. They are changed: afterwards, ``u`` and ``v`` are
            regions (each named by one of its nodes), the edges that are left have a count above 0, and those inside a
            region a count below 0.
        is_frozen: bool (nodes,), regions with unknown edges; changed. Afterwards, regions that are not frozen have no
            edge above the threshold left, and will never have one.
        threshold: mean affinity, 0 to 1.
        index_type: integer type of the numbers of nodes and edges inside the kernel.

    Raises:
        ResourceError: there are more nodes or edges than the type can number, or a sum is not exact.

    A row of three nodes, of which the last one has edges elsewhere. The second one stays, because it may be joined
    to the third one before the first one:

    >>> edges = Edges(*map(np.array, ([0, 1], [1, 2], [102, 204], [1, 1])))
    >>> is_frozen = np.array([False, False, True])
    >>> len(merge_edges(edges, is_frozen, threshold=0.3).a), is_frozen
    (0, array([ True,  True,  True]))
    """
    check_range(len(is_frozen), index_type, "fragments of a graph")
    check_range(len(edges.u), index_type, "edges of a graph")
    numbers = np.zeros(0, index_type)
    a, b, heights = _merge(edges, is_frozen, threshold, numbers)
    check_sums(edges.sums)
    return Merges(a, b, heights / 255.0)


def cut_merges(merges: Merges, num_nodes: int, threshold: float) -> np.ndarray:
    """Return the clusters that all merges above a threshold make.

    Args:
        merges: computed down to ``threshold`` or lower.
        num_nodes: number of nodes of the graph.
        threshold: mean affinity, 0 to 1.

    Returns:
        int64 (nodes,): index of each node's cluster, 0, 1, ... by first node.

    Three fragments in a row, with mean affinities of 0.9 and 0.4 between them:

    >>> merges = Merges(np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.4]))
    >>> cut_merges(merges, 3, threshold=0.5), cut_merges(merges, 3, threshold=0.3)
    (array([0, 0, 1]), array([0, 0, 0]))
    """
    count = merges.count(threshold)
    parents = np.arange(num_nodes, dtype=np.int64)
    join_pairs(parents, merges.a[:count], merges.b[:count])
    return number_clusters(parents)


class Edges(NamedTuple):
    """Edges during the agglomeration.

    Attributes:
        u: int (edges,), a region (one of its nodes).
        v: int (edges,), the other region.
        sums: int64 (edges,), stored affinities.
        counts: int64 (edges,), 0 for edges that were added to another one, negative for edges inside a region.
    """

    u: np.ndarray
    v: np.ndarray
    sums: np.ndarray
    counts: np.ndarray


class _Lists(NamedTuple):
    """Linked list of edges of each region.

    Attributes:
        heads: int (nodes,), first edge, -1 for an empty list.
        degrees: int (nodes,), number of edges.
        next_u: int (edges,), next edge in the list of ``u``.
        next_v: int (edges,), next edge in the list of ``v``.
    """

    heads: np.ndarray
    degrees: np.ndarray
    next_u: np.ndarray
    next_v: np.ndarray


class _Heap(NamedTuple):
    """Binary heap of edges, highest mean first; outdated entries stay in it and are skipped.

    Attributes:
        means: float64 (capacity,).
        edges: int (capacity,).
    """

    means: np.ndarray
    edges: np.ndarray


@njit(cache=True, nogil=True, inline="always")
def _is_above(mean, threshold):
    """Compare as ``Merges.count`` does: rounded means of sums are never above those of all their parts."""
    return mean / 255.0 > threshold


@njit(cache=True, nogil=True, inline="always")
def _precedes(mean_a, edge_a, mean_b, edge_b):
    return mean_a > mean_b or (mean_a == mean_b and edge_a < edge_b)


@njit(cache=True, nogil=True)
def _push(heap, count, mean, edge):
    """Add an entry to a heap of ``count`` entries."""
    means, edges = heap
    i = count
    while i > 0:
        parent = (i - 1) >> 1
        if not _precedes(mean, edge, means[parent], edges[parent]):
            break
        means[i], edges[i] = means[parent], edges[parent]
        i = parent
    means[i], edges[i] = mean, edge


@njit(cache=True, nogil=True)
def _sift_down(heap, count, i):
    """Restore the order of a heap below entry ``i``."""
    means, edges = heap
    mean, edge = means[i], edges[i]
    while True:
        child = 2 * i + 1
        if child >= count:
            break
        if child + 1 < count and _precedes(means[child + 1], edges[child + 1], means[child], edges[child]):
            child += 1
        if not _precedes(means[child], edges[child], mean, edge):
            break
        means[i], edges[i] = means[child], edges[child]
        i = child
    means[i], edges[i] = mean, edge


@njit(cache=True, nogil=True)
def _enlarge_heap(heap):
    size = len(heap.means)
    means = np.empty(size + size // 2 + 16, np.float64)
    edges = np.empty(size + size // 2 + 16, heap.edges.dtype)
    means[:size], edges[:size] = heap.means, heap.edges
    return _Heap(means, edges)


@njit(cache=True, nogil=True)
def _drop_outdated(heap, count, edges):
    """Remove outdated entries. Return the number of entries that are left."""
    _, _, sums, counts = edges
    left = 0
    for i in range(count):
        e = heap.edges[i]
        if counts[e] > 0 and sums[e] / counts[e] == heap.means[i]:
            heap.means[left], heap.edges[left] = heap.means[i], e
            left += 1
    for i in range(left // 2 - 1, -1, -1):
        _sift_down(heap, left, i)
    return left


@njit(cache=True, nogil=True)
def _link_edges(edges, num_nodes, numbers):
    """Step 1: return the list of edges of each region."""
    u, v, _, counts = edges
    heads = np.full(num_nodes, -1, numbers.dtype)
    degrees = np.zeros(num_nodes, numbers.dtype)
    next_u = np.empty(len(u), numbers.dtype)
    next_v = np.empty(len(u), numbers.dtype)
    for e in range(len(u)):
        if counts[e] > 0:
            next_u[e], heads[u[e]] = heads[u[e]], e
            next_v[e], heads[v[e]] = heads[v[e]], e
            degrees[u[e]] += 1
            degrees[v[e]] += 1
    return _Lists(heads, degrees, next_u, next_v)


@njit(cache=True, nogil=True)
def _fill_table(table, edges):
    """Step 1: put the edges that are not gone into an empty hash table. Return their number."""
    used = np.int64(0)
    for e in range(len(edges.u)):
        if edges.counts[e] > 0:
            used += add_index(table, (edges.u, edges.v), e)
    return used


@njit(cache=True, nogil=True)
def _make_heap(edges, threshold, numbers):
    """Step 2: return the heap and its number of entries."""
    _, _, sums, counts = edges
    size = 0
    for e in range(len(sums)):
        size += counts[e] > 0 and _is_above(sums[e] / counts[e], threshold)
    heap = _Heap(np.empty(size + 16, np.float64), np.empty(size + 16, numbers.dtype))
    count = 0
    for e in range(len(sums)):
        if counts[e] > 0 and _is_above(sums[e] / counts[e], threshold):
            heap.means[count], heap.edges[count] = sums[e] / counts[e], e
            count += 1
    for i in range(count // 2 - 1, -1, -1):
        _sift_down(heap, count, i)
    return heap, count


@njit(cache=True, nogil=True)
def _merge(edges, is_frozen, threshold, numbers):
    """Step 3: return both regions and the mean of each merge. Changes ``edges`` and ``is_frozen``."""
    u, v, sums, counts = edges
    num_nodes = len(is_frozen)
    lists = _link_edges(edges, num_nodes, numbers)
    heads, degrees, next_u, next_v = lists
    size = 1024
    while size < 2 * len(u):
        size *= 2
    table = np.full(size, EMPTY, numbers.dtype)
    used = _fill_table(table, edges)
    heap, held = _make_heap(edges, threshold, numbers)
    merged_a = np.empty(num_nodes, numbers.dtype)
    merged_b = np.empty(num_nodes, numbers.dtype)
    heights = np.empty(num_nodes, np.float64)
    done = 0
    while held > 0:
        mean, e = heap.means[0], heap.edges[0]
        held -= 1
        heap.means[0], heap.edges[0] = heap.means[held], heap.edges[held]
        _sift_down(heap, held, 0)
        if counts[e] <= 0 or sums[e] / counts[e] != mean:
            continue
        a, b = u[e], v[e]
        if is_frozen[a] or is_frozen[b]:
            is_frozen[a] = is_frozen[b] = True
            continue
        if degrees[a] < degrees[b]:
            a, b = b, a
        merged_a[done], merged_b[done], heights[done] = a, b, mean
        done += 1
        table[find_slot(table, (u, v), pack_pair(a, b))] = DELETED
        counts[e] = -counts[e]
        edge = heads[b]
        heads[b] = -1
        while edge >= 0:
            following = next_u[edge] if u[edge] == b else next_v[edge]
            if counts[edge] > 0:
                other = v[edge] if u[edge] == b else u[edge]
                slot = find_slot(table, (u, v), pack_pair(a, other))
                common = table[slot]
                table[find_slot(table, (u, v), pack_pair(b, other))] = DELETED
                if common > edge:
                    sums[common] += sums[edge]
                    counts[common] += counts[edge]
                    counts[edge] = 0
                    degrees[other] -= 1
                else:
                    if u[edge] == b:
                        u[edge], next_u[edge] = a, heads[a]
                    else:
                        v[edge], next_v[edge] = a, heads[a]
                    heads[a] = edge
                    if common >= 0:
                        # The sum keeps the higher number.
                        table[slot] = edge
                        sums[edge] += sums[common]
                        counts[edge] += counts[common]
                        counts[common] = 0
                        degrees[other] -= 1
                        common = edge
                    else:
                        degrees[a] += 1
                        used += add_index(table, (u, v), edge)
                        if 10 * used > 9 * size:
                            table[:] = EMPTY
                            used = _fill_table(table, edges)
                if common >= 0 and _is_above(sums[common] / counts[common], threshold):
                    if held == len(heap.means):
                        held = _drop_outdated(heap, held, edges)
                        if 4 * held > 3 * len(heap.means):
                            heap = _enlarge_heap(heap)
                    _push(heap, held, sums[common] / counts[common], common)
                    held += 1
            edge = following
    return merged_a[:done].copy(), merged_b[:done].copy(), heights[:done].copy()
