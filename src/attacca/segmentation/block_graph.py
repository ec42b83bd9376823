"""One block's share of the region adjacency graph, counted with integers.

An edge of the voxel grid belongs to the block that writes the voxel at which its affinity is stored, so each
edge is counted once, and sums of integers do not depend on the order of blocks.

1. Replace fragment ids by dense indices (``dense_labels``).
2. Add up the affinities between and inside fragments, channel by channel.
3. Count voxels and bounding boxes of the fragments.
4. Write both as tables that are sorted by fragment ids.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from typing import NamedTuple

import numpy as np
from numba import njit

from attacca.segmentation.box import Box, Triple
from attacca.segmentation.dense_labels import index_labels
from attacca.segmentation.graph import Graph
from attacca.segmentation.graph_tables import EDGE_TYPE, NODE_TYPE, check_counts, join_tables
from attacca.segmentation.hash_table import find_slot, make_table, pack_pair
from attacca.segmentation.index_range import check_range
from attacca.segmentation.offsets import Offsets


class _Block(NamedTuple):
    """Input of the kernels.

    Attributes:
        labels: int32 (z, y, x), dense index of each voxel's fragment, 0 for background.
        affinities: uint8 (channels, z, y, x).
        vectors: int64 (channels, 3), offset of each channel.
        is_nearest: bool (channels,).
        begin: int64 (3,), first voxel that the block is responsible for.
        end: int64 (3,), last such voxel plus one.
        origin: int64 (3,), global coordinate of the arrays' first voxel.
    """

    labels: np.ndarray
    affinities: np.ndarray
    vectors: np.ndarray
    is_nearest: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    origin: np.ndarray


class _Row(NamedTuple):
    """Edges of one channel that start in one row of voxels along x.

    Attributes:
        labels: int32 (x,), of the row.
        beyond: int32 (x,), of the row to which the channel's offset leads.
        affinities: uint8 (x,).
        begin: first voxel of the row with an edge.
        end: upper limit of these voxels.
        shift: voxels along x from one end of an edge to the other.
    """

    labels: np.ndarray
    beyond: np.ndarray
    affinities: np.ndarray
    begin: int
    end: int
    shift: int


class _EdgeTable(NamedTuple):
    """Edges between fragments; rows beyond the number of edges are free.

    Attributes:
        slots: int32, hash table from keys to rows.
        keys: uint64 (rows,), pair of dense indices.
        sums: int64 (rows, 2), of nearest-neighbor and of long-range affinities.
        counts: int64 (rows, 2).
        maxima: uint8 (rows,), of nearest-neighbor affinities.
    """

    slots: np.ndarray
    keys: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    maxima: np.ndarray


def count_block_graph(
    fragments: np.ndarray, affinities: np.ndarray, offsets: Offsets, region: Box, origin: Triple = (0, 0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    """Count one block's share of the region adjacency graph.

    Args:
        fragments: uint64 (z, y, x), with as much context around ``region`` as the offsets reach; 0 is
            background.
        affinities: uint8 (channels, z, y, x) of the same voxels.
        offsets: edges of the channels; each edge is counted, whatever their strides.
        region: the voxels, in the arrays, whose edges this block counts.
        origin: global coordinate, in voxels, of the first voxel of the arrays.

    Returns:
        nodes: ``NODE_TYPE``, sorted by id: the fragments with voxels in the region, with these voxels' share.
        edges: ``EDGE_TYPE``, sorted by ``(u, v)``.

    Raises:
        ResourceError: a coordinate or a count has more than 31 bits, or the block has 2^31 or more fragments.

    Two fragments in a row of four voxels; the contact has one affinity, 51 of 255:

    >>> fragments = np.array([[[5, 5, 8, 8]]], np.uint64)
    >>> affinities = np.array([[[[200, 51, 100, 0]]]], np.uint8)
    >>> nodes, edges = count_block_graph(
    ...     fragments, affinities, Offsets.create([[0, 0, 1]]), Box((0, 0, 0), (1, 1, 4))
    ... )
    >>> edges[["u", "v", "direct_sum", "direct_count"]].tolist()
    [(5, 8, 51, 1)]
    >>> nodes[["id", "size", "inner_sum", "inner_count"]].tolist()
    [(5, 2, 200, 1), (8, 2, 100, 1)]
    """
    ids, labels = index_labels(fragments)
    block = _Block(
        labels,
        np.ascontiguousarray(affinities),
        offsets.vectors,
        offsets.is_nearest,
        *region.to_arrays(),
        np.array(origin, dtype=np.int64),
    )
    inner = np.zeros((len(ids), 2), np.int64)
    table, count = _count_edges(block, inner)
    return _write_nodes(ids, block, inner), _write_edges(ids, table, count)


def make_example_graph() -> Graph:
    """Return the graph of three fragments in a row, for examples.

    The contacts of the fragments 11, 12 and 13 have mean affinities of 0.8 and 0.4:

    >>> graph = make_example_graph()
    >>> graph.ids.tolist(), (graph.direct_sum / graph.direct_count / 255).tolist()
    ([11, 12, 13], [0.8, 0.4])
    """
    fragments = np.array([[[11, 11, 12, 12, 12, 13]]], np.uint64)
    affinities = np.array([[[[255, 204, 255, 255, 102, 0]]]], np.uint8)
    row = Box((0, 0, 0), (1, 1, 6))
    return join_tables(*count_block_graph(fragments, affinities, Offsets.create([[0, 0, 1]]), row))


def _write_nodes(ids: np.ndarray, block: _Block, inner: np.ndarray) -> np.ndarray:
    """Step 4 for nodes."""
    sizes, lower, upper = _count_nodes(block, len(ids))
    present = np.flatnonzero(sizes)
    present = present[ids[present] > 0]
    present = present[np.argsort(ids[present])]
    for axis in range(3):
        last = int(block.origin[axis] + block.end[axis])
        check_range(last, NODE_TYPE["upper"].base, "voxels along an axis", "divide the volume")
    nodes = np.zeros(len(present), NODE_TYPE)
    nodes["id"], nodes["size"] = ids[present], sizes[present]
    nodes["lower"], nodes["upper"] = lower[present] + block.origin, upper[present] + block.origin
    nodes["inner_sum"], nodes["inner_count"] = inner[present, 0], inner[present, 1]
    return nodes


def _write_edges(ids: np.ndarray, table: _EdgeTable, count: int) -> np.ndarray:
    """Step 4 for edges."""
    keys = table.keys[:count]
    a, b = ids[(keys >> np.uint64(32)).astype(np.int64)], ids[(keys & np.uint64(0xFFFFFFFF)).astype(np.int64)]
    u, v = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((v, u))
    check_counts(table.counts[:count])
    edges = np.zeros(count, EDGE_TYPE)
    edges["u"], edges["v"] = u[order], v[order]
    edges["direct_sum"], edges["long_sum"] = table.sums[order, 0], table.sums[order, 1]
    edges["direct_count"], edges["long_count"] = table.counts[order, 0], table.counts[order, 1]
    edges["direct_max"] = table.maxima[order]
    return edges


@njit(cache=True, nogil=True)
def _count_edges(block, inner):
    """Step 2: return the edges and their number, and add to ``inner`` the affinities inside fragments."""
    labels = block.labels
    depth, height, width = labels.shape
    table = _enlarge_table(None, 0, 2048)
    count = 0
    for k in range(len(block.vectors)):
        dz, dy, dx = block.vectors[k]
        z0 = max(block.begin[0], -dz)
        y0 = max(block.begin[1], -dy)
        x0 = max(block.begin[2], -dx)
        x1 = min(block.end[2], width - dx)
        for z in range(z0, min(block.end[0], depth - dz)):
            for y in range(y0, min(block.end[1], height - dy)):
                # The table grows outside of the loop that fills it: see the note in mutex_clusters.
                if count + width > len(table.keys):
                    table = _enlarge_table(table, count, 2 * len(table.keys) + width)
                row = _Row(labels[z, y], labels[z + dz, y + dy], block.affinities[k, z, y], x0, x1, dx)
                if block.is_nearest[k]:
                    _add_inside(row, inner)
                group = 0 if block.is_nearest[k] else 1
                count = _add_between(row, group, table, count)
    return table, count


@njit(cache=True, nogil=True)
def _add_inside(row, inner):
    """Add a row's affinities between voxels of one fragment to its sum and count."""
    labels, beyond, affinities, begin, end, shift = row
    x = begin
    while x < end:
        a = labels[x]
        total, number = np.int64(0), np.int64(0)
        while x < end and labels[x] == a:
            if beyond[x + shift] == a:
                total += affinities[x]
                number += 1
            x += 1
        if a:
            inner[a, 0] += total
            inner[a, 1] += number


@njit(cache=True, nogil=True)
def _add_between(row, group, table, count):
    """Add a row's affinities between two fragments to the table. Return its number of edges."""
    slots, keys, sums, counts, maxima = table
    labels, beyond, affinities, begin, end, shift = row
    x = begin
    while x < end:
        a, b = labels[x], beyond[x + shift]
        if a == b or a == 0 or b == 0:
            x += 1
            continue
        total, number, highest = np.int64(0), np.int64(0), np.uint8(0)
        while x < end and labels[x] == a and beyond[x + shift] == b:
            total += affinities[x]
            number += 1
            highest = max(highest, affinities[x])
            x += 1
        key = pack_pair(a, b)
        slot = find_slot(slots, keys, key)
        if slots[slot] < 0:
            keys[count] = key
            slots[slot] = count
            count += 1
        edge = slots[slot]
        sums[edge, group] += total
        counts[edge, group] += number
        if group == 0:
            maxima[edge] = max(maxima[edge], highest)
    return count


@njit(cache=True, nogil=True)
def _enlarge_table(table, count, size):
    """Return a table of ``size`` rows with the ``count`` edges of another one, if there is one."""
    keys = np.empty(size, np.uint64)
    sums = np.zeros((size, 2), np.int64)
    counts = np.zeros((size, 2), np.int64)
    maxima = np.zeros(size, np.uint8)
    if table is not None:
        keys[:count], sums[:count] = table.keys[:count], table.sums[:count]
        counts[:count], maxima[:count] = table.counts[:count], table.maxima[:count]
    num_slots = 4096
    while num_slots < 2 * size:
        num_slots *= 2
    return _EdgeTable(make_table(keys, 0, count, num_slots), keys, sums, counts, maxima)


@njit(cache=True, nogil=True)
def _count_nodes(block, count):
    """Step 3: return the voxels and the bounding box of each fragment in the block's own region."""
    sizes = np.zeros(count, np.int64)
    lower = np.full((count, 3), 2**31 - 1, np.int64)
    upper = np.zeros((count, 3), np.int64)
    end = block.end[2]
    for z in range(block.begin[0], block.end[0]):
        for y in range(block.begin[1], block.end[1]):
            row = block.labels[z, y]
            x = block.begin[2]
            while x < end:
                label = row[x]
                first = x
                while x < end and row[x] == label:
                    x += 1
                if label == 0:
                    continue
                sizes[label] += x - first
                lower[label, 0] = min(lower[label, 0], z)
                lower[label, 1] = min(lower[label, 1], y)
                lower[label, 2] = min(lower[label, 2], first)
                upper[label, 0] = max(upper[label, 0], z + 1)
                upper[label, 1] = max(upper[label, 1], y + 1)
                upper[label, 2] = max(upper[label, 2], x)
    return sizes, lower, upper
