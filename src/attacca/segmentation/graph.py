"""The region adjacency graph of fragments, counted block by block with integers.

An edge of the voxel grid belongs to the block that writes the voxel at which its affinity is stored, so every
one is counted once, and sums of integers do not depend on the order of blocks. A block's share is two tables,
sorted by
fragment ids: nodes (size, bounding box, affinity inside) and edges (sum, count and maximum of direct
affinities, sum and count of long-range ones).
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from dataclasses import dataclass

import numpy as np
from numba import njit

from attacca.segmentation.offsets import Offsets

NODE_TYPE = np.dtype(
    [
        ("id", "<u8"),
        ("size", "<i8"),
        ("lower", "<i4", (3,)),
        ("upper", "<i4", (3,)),
        ("inner_sum", "<i8"),
        ("inner_count", "<i8"),
    ]
)
"""``upper`` is the last coordinate plus one; ``inner`` are direct affinities between voxels of the
fragment."""

EDGE_TYPE = np.dtype(
    [
        ("u", "<u8"),
        ("v", "<u8"),
        ("direct_sum", "<i8"),
        ("direct_count", "<i4"),
        ("direct_max", "u1"),
        ("long_sum", "<i8"),
        ("long_count", "<i4"),
    ]
)
"""``u < v``; sums are of stored values, 255 for an affinity of 1."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Region:
    """Part of an array that a block is responsible for: first index and end (voxels, z, y, x)."""

    begin: tuple[int, int, int]
    end: tuple[int, int, int]


def block_graph(
    fragments: np.ndarray,
    affinities: np.ndarray,
    offsets: Offsets,
    region: Region,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> tuple[np.ndarray, np.ndarray]:
    """One block's share of the region adjacency graph.

    Args:
        fragments: uint64 (z, y, x), with as much context around ``region`` as the offsets reach; 0 is
            background.
        affinities: uint8 (channels, z, y, x) of the same place.
        offsets: what the channels connect; their strides say which edges count.
        region: the voxels whose edges this block counts.
        origin: global coordinate, in voxels, of the first voxel of the arrays.

    Returns:
        nodes: ``NODE_TYPE``, sorted by id: the fragments with voxels in the region, with these voxels' share.
        edges: ``EDGE_TYPE``, sorted by ``(u, v)``.
    """
    ids, local = dense_labels(fragments)
    begin, end = np.array(region.begin, dtype=np.int64), np.array(region.end, dtype=np.int64)
    start = np.array(origin, dtype=np.int64)
    affinities = np.ascontiguousarray(affinities)
    inner = np.zeros((len(ids), 2), np.int64)
    keys, sums, counts, maxima = _count_edges(
        local, affinities, offsets.vectors, offsets.strides, offsets.direct, begin, end, start, inner
    )
    sizes, lower, upper = _count_nodes(local, begin, end, len(ids))
    present = np.flatnonzero(sizes)
    present = present[ids[present] > 0]
    present = present[np.argsort(ids[present])]
    nodes = np.zeros(len(present), NODE_TYPE)
    nodes["id"], nodes["size"] = ids[present], sizes[present]
    nodes["lower"], nodes["upper"] = lower[present] + start, upper[present] + start
    nodes["inner_sum"], nodes["inner_count"] = inner[present, 0], inner[present, 1]
    a, b = ids[(keys >> np.uint64(32)).astype(np.int64)], ids[(keys & np.uint64(0xFFFFFFFF)).astype(np.int64)]
    u, v = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((v, u))
    edges = np.zeros(len(order), EDGE_TYPE)
    edges["u"], edges["v"] = u[order], v[order]
    edges["direct_sum"], edges["long_sum"] = sums[order, 0], sums[order, 1]
    edges["direct_count"], edges["long_count"] = counts[order, 0], counts[order, 1]
    edges["direct_max"] = maxima[order]
    return nodes, edges


def dense_labels(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, 0 first, then in order of appearance; and int32 indices into them, in the labels'
    shape."""
    flat = np.ascontiguousarray(labels, dtype=np.uint64).reshape(-1)
    ids, local = _dense(flat)
    return ids, local.reshape(labels.shape)


# numba counts references of arrays that a loop may replace in each of its steps, which costs more than the step:
# tables grow outside of the loops that fill them.


@njit(cache=True, nogil=True, inline="always")
def _place(key, size):
    return np.int64((key * _GOLDEN) >> np.uint64(20)) & (size - 1)


@njit(cache=True, nogil=True)
def _dense(labels):
    local = np.empty(len(labels), np.int32)
    slots = np.full(1024, -1, np.int32)
    ids = np.zeros(512, np.uint64)
    state = np.array([1, 0], np.int64)
    while not _dense_run(labels, local, slots, ids, state):
        more = np.zeros(4 * len(ids), np.uint64)
        more[: len(ids)] = ids
        ids = more
        slots = _rehashed(ids, 1, state[0], 2 * len(ids))
    return ids[: state[0]].copy(), local


@njit(cache=True, nogil=True)
def _rehashed(keys, first, count, size):
    slots = np.full(size, -1, np.int32)
    for j in range(first, count):
        place = _place(keys[j], size)
        while slots[place] >= 0:
            place = (place + 1) & (size - 1)
        slots[place] = j
    return slots


@njit(cache=True, nogil=True)
def _dense_run(labels, local, slots, ids, state):
    """Go on at label ``state[1]`` with ``state[0]`` ids known; False when there are too many for the table."""
    last, last_index = np.uint64(0), np.int32(0)
    size = len(slots)
    count = state[0]
    for i in range(state[1], len(labels)):
        label = labels[i]
        if label != last:
            index = np.int32(0)
            if label != 0:
                place = _place(label, size)
                while slots[place] >= 0 and ids[slots[place]] != label:
                    place = (place + 1) & (size - 1)
                if slots[place] < 0:
                    if count == len(ids):
                        state[0], state[1] = count, i
                        return False
                    ids[count] = label
                    slots[place] = count
                    count += 1
                index = slots[place]
            last, last_index = label, index
        local[i] = last_index
    state[0] = count
    return True


@njit(cache=True, nogil=True)
def _count_nodes(labels, begin, end, count):
    sizes = np.zeros(count, np.int64)
    lower = np.full((count, 3), 2**31 - 1, np.int64)
    upper = np.zeros((count, 3), np.int64)
    for z in range(begin[0], end[0]):
        for y in range(begin[1], end[1]):
            row = labels[z, y]
            x = begin[2]
            while x < end[2]:
                label = row[x]
                first = x
                while x < end[2] and row[x] == label:
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


@njit(cache=True, nogil=True)
def _count_edges(labels, affinities, vectors, strides, direct, begin, end, origin, inner):
    depth, height, width = labels.shape
    table = np.full(4096, -1, np.int32)
    keys = np.empty(2048, np.uint64)
    sums = np.zeros((2048, 2), np.int64)
    counts = np.zeros((2048, 2), np.int32)
    maxima = np.zeros(2048, np.uint8)
    count = 0
    for k in range(len(vectors)):
        dz, dy, dx = vectors[k]
        sz, sy, sx = strides[k]
        z0 = max(begin[0], -dz)
        y0 = max(begin[1], -dy)
        x0 = max(begin[2], -dx)
        z0 += (-(origin[0] + z0)) % sz
        y0 += (-(origin[1] + y0)) % sy
        x0 += (-(origin[2] + x0)) % sx
        x1 = min(end[2], width - dx)
        for z in range(z0, min(end[0], depth - dz), sz):
            for y in range(y0, min(end[1], height - dy), sy):
                if count + width > len(keys):
                    keys, sums, counts, maxima = _double(keys, sums, counts, maxima, width)
                    size = len(table)
                    while size < 2 * len(keys):
                        size *= 2
                    table = _rehashed(keys, 0, count, size)
                here, there = labels[z, y], labels[z + dz, y + dy]
                row = affinities[k, z, y]
                if direct[k]:
                    _sum_inside(here, there, row, x0, x1, dx, sx, inner)
                    count = _count_row(
                        here, there, row, x0, x1, dx, sx, 0, table, keys, sums, counts, maxima, count
                    )
                else:
                    count = _count_row(
                        here, there, row, x0, x1, dx, sx, 1, table, keys, sums, counts, maxima, count
                    )
    return keys[:count].copy(), sums[:count].copy(), counts[:count].copy(), maxima[:count].copy()


@njit(cache=True, nogil=True)
def _sum_inside(here, there, row, x0, x1, dx, sx, inner):
    """Add the affinities of a row between voxels of one fragment to its sum and count."""
    x = x0
    while x < x1:
        a = here[x]
        total, number = np.int64(0), np.int64(0)
        while x < x1 and here[x] == a:
            if there[x + dx] == a:
                total += row[x]
                number += 1
            x += sx
        if a:
            inner[a, 0] += total
            inner[a, 1] += number


@njit(cache=True, nogil=True)
def _count_row(here, there, row, x0, x1, dx, sx, group, table, keys, sums, counts, maxima, count):
    """Add a row's edges between fragments to the table; returns its number of keys."""
    size = len(table)
    x = x0
    while x < x1:
        a, b = here[x], there[x + dx]
        if a == b or a == 0 or b == 0:
            x += sx
            continue
        total, number, highest = np.int64(0), np.int32(0), np.uint8(0)
        while x < x1 and here[x] == a and there[x + dx] == b:
            total += row[x]
            number += 1
            highest = max(highest, row[x])
            x += sx
        if a > b:
            a, b = b, a
        key = (np.uint64(a) << np.uint64(32)) | np.uint64(b)
        place = _place(key, size)
        while table[place] >= 0 and keys[table[place]] != key:
            place = (place + 1) & (size - 1)
        slot = table[place]
        if slot < 0:
            slot = count
            keys[slot] = key
            table[place] = slot
            count += 1
        sums[slot, group] += total
        counts[slot, group] += number
        if group == 0:
            maxima[slot] = max(maxima[slot], highest)
    return count


@njit(cache=True, nogil=True)
def _double(keys, sums, counts, maxima, extra):
    n = len(keys)
    more_keys = np.empty(2 * n + extra, np.uint64)
    more_sums = np.zeros((2 * n + extra, 2), np.int64)
    more_counts = np.zeros((2 * n + extra, 2), np.int32)
    more_maxima = np.zeros(2 * n + extra, np.uint8)
    more_keys[:n], more_sums[:n], more_counts[:n], more_maxima[:n] = keys, sums, counts, maxima
    return more_keys, more_sums, more_counts, more_maxima
