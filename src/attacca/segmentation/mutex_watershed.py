"""Mutex watershed (Wolf et al., "The Mutex Watershed", ECCV 2018), from quantised affinities.

Edges are taken by falling strength of evidence, ``|affinity - bias|``: an attractive one joins two clusters
unless they exclude each other, a repulsive one makes them exclude each other. Quantised affinities need no
comparison sort: a channel and a value make one of ``256 * channels`` buckets, the buckets are sorted once,
and edges are counted into them.
Edges of equal strength are taken in one order everywhere: attractive first, then by falling channel and
falling coordinate, so that ties do not depend on where a block begins.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from collections.abc import Sequence

import numpy as np
from numba import njit

from attacca.errors import ConfigurationError, ResourceError
from attacca.segmentation.mutex_clusters import find, new_state, strength_order, take_buckets, take_edges
from attacca.segmentation.offsets import LEVELS, Offsets


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
        affinities: (channels, z, y, x); uint8 with 255 for an affinity of 1, or floating point in [0, 1].
            Channels beyond the offsets are ignored.
        offsets: what the channels connect.
        origin: global coordinate, in voxels, of the first voxel: strides and ties are the same in every
            block.
        seeds: uint64 (z, y, x); voxels of one non-zero seed belong together, those of two seeds never do.
        mask: bool (z, y, x); voxels outside it stay 0 and have no edges.
        min_evidence: edges of less evidence, ``|affinity - bias|``, are left out.

    Returns:
        uint32 (z, y, x): labels 1, 2, ... by first voxel, or the seeds' ids in uint64 where seeds were given
        (clusters without seed get ids above the largest seed). 0 where no incident edge that counts is
        attractive.

    Raises:
        ConfigurationError: fewer channels than offsets.
        ResourceError: more than 2^32 - 1 voxels in a block.
    """
    shape = affinities.shape[1:]
    num_voxels = int(np.prod(shape))
    if affinities.shape[0] < len(offsets):
        raise ConfigurationError(f"{affinities.shape[0]} affinity channels, but {len(offsets)} offsets")
    if num_voxels >= 2**31:
        raise ResourceError(
            f"a block of {num_voxels} voxels is too large for the mutex watershed; use smaller blocks"
        )
    begin = np.array(origin, dtype=np.int64)
    inside = np.ones((1, 1, 1), np.uint8) if mask is None else np.ascontiguousarray(mask, dtype=np.uint8)
    dense_seeds, seed_ids = _dense_seeds(seeds, num_voxels)
    affinities = np.ascontiguousarray(affinities[: len(offsets)])
    arguments = (offsets.vectors, offsets.strides, begin, inside)
    state = new_state(num_voxels, dense_seeds)
    if affinities.dtype == np.uint8:
        ranks, channels, attractive, taken = _bucket_order(offsets.biases, min_evidence)
        counts = _count_edges(affinities, ranks, len(channels), *arguments)
        ends = np.cumsum(counts)
        order = _sort_edges(affinities, ranks, ends - counts, *arguments)
        shifts = offsets.vectors @ np.array([shape[1] * shape[2], shape[2], 1], dtype=np.int64)
        state = take_buckets(order, ends[:taken], shifts[channels], attractive, state)
        attractive[taken:] = False
        _mark_attracted(affinities, ranks, attractive, *arguments, state[3].reshape(shape))
    else:
        nodes, partners, scores = _list_edges(affinities, offsets, *arguments)
        kept = np.round(np.abs(scores), 9) >= min_evidence
        nodes, partners, scores = nodes[kept], partners[kept], scores[kept]
        order64 = strength_order(scores)
        state = take_edges(nodes, partners, scores, order64, state)
    labels = _labels(state[0], state[3], state[4])
    return _restore_seeds(labels, dense_seeds, seed_ids).reshape(shape)


def _dense_seeds(seeds: np.ndarray | None, num_voxels: int) -> tuple[np.ndarray, np.ndarray]:
    if seeds is None:
        return np.zeros(1, np.uint32), np.zeros(1, np.uint64)
    ids, dense = np.unique(seeds, return_inverse=True)
    if ids[0] != 0:
        ids, dense = np.concatenate([np.zeros(1, ids.dtype), ids]), dense + 1
    return dense.astype(np.uint32).reshape(num_voxels), ids.astype(np.uint64)


def _restore_seeds(labels: np.ndarray, dense_seeds: np.ndarray, seed_ids: np.ndarray) -> np.ndarray:
    if len(dense_seeds) != len(labels):
        return labels
    table = np.arange(labels.max() + 1, dtype=np.uint64)
    table[1:] += seed_ids[-1]
    seeded = dense_seeds > 0
    table[labels[seeded]] = seed_ids[dense_seeds[seeded]]
    return table[labels]


def _bucket_order(biases: np.ndarray, min_evidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Rank of each (channel, value), for each rank its channel and whether it attracts, and how many count."""
    scores = np.arange(LEVELS)[None] / (LEVELS - 1) - biases[:, None]
    scores = np.round(scores, 9)
    channels = np.repeat(np.arange(len(biases)), LEVELS)
    flat = scores.ravel()
    order = np.lexsort((-channels, flat <= 0, -np.abs(flat)))
    ranks = np.empty(flat.size, np.int64)
    ranks[order] = np.arange(flat.size)
    taken = int(np.count_nonzero(np.abs(flat) >= min_evidence))
    return ranks.reshape(len(biases), LEVELS).astype(np.int32), channels[order], flat[order] > 0, taken


@njit(cache=True, nogil=True, inline="always")
def _bounds(length, shift, begin, stride):
    """First index, end and step of an axis on which both ends of an edge are in the block, on the global
    grid."""
    first = max(0, -shift)
    first += (-(begin + first)) % stride
    return first, min(length, length - shift), stride


@njit(cache=True, nogil=True)
def _box(shape, vector, begin, strides):
    """``_bounds`` of the voxels with an edge along ``vector``, for each axis; ``shape`` has channels first."""
    return (
        _bounds(shape[1], vector[0], begin[0], strides[0]),
        _bounds(shape[2], vector[1], begin[1], strides[1]),
        _bounds(shape[3], vector[2], begin[2], strides[2]),
    )


@njit(cache=True, nogil=True)
def _count_edges(affinities, ranks, num_buckets, vectors, strides, begin, mask):
    counts = np.zeros(num_buckets, np.int64)
    masked = mask.size > 1
    for k in range(len(vectors)):
        dz, dy, dx = vectors[k]
        (z0, z1, sz), (y0, y1, sy), (x0, x1, sx) = _box(affinities.shape, vectors[k], begin, strides[k])
        histogram = np.zeros(256, np.int64)
        for z in range(z0, z1, sz):
            for y in range(y0, y1, sy):
                row = affinities[k, z, y]
                if masked:
                    here, there = mask[z, y], mask[z + dz, y + dy]
                    for x in range(x0, x1, sx):
                        if here[x] and there[x + dx]:
                            histogram[row[x]] += 1
                else:
                    for x in range(x0, x1, sx):
                        histogram[row[x]] += 1
        for value in range(256):
            counts[ranks[k, value]] += histogram[value]
    return counts


@njit(cache=True, nogil=True)
def _sort_edges(affinities, ranks, starts, vectors, strides, begin, mask):
    _, _, height, width = affinities.shape
    masked = mask.size > 1
    total = 0
    for k in range(len(vectors)):
        (z0, z1, sz), (y0, y1, sy), (x0, x1, sx) = _box(affinities.shape, vectors[k], begin, strides[k])
        total += max(0, -((z0 - z1) // sz)) * max(0, -((y0 - y1) // sy)) * max(0, -((x0 - x1) // sx))
    order = np.empty(total, np.uint32)
    for k in range(len(vectors)):
        dz, dy, dx = vectors[k]
        (z0, z1, sz), (y0, y1, sy), (x0, x1, sx) = _box(affinities.shape, vectors[k], begin, strides[k])
        slots = np.empty(256, np.int64)
        for value in range(256):
            slots[value] = starts[ranks[k, value]]
        for z in range(z0, z1, sz):
            for y in range(y0, y1, sy):
                row = affinities[k, z, y]
                base = (z * height + y) * width
                for x in range(x0, x1, sx):
                    if masked and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                        continue
                    slot = slots[row[x]]
                    order[slot] = base + x
                    slots[row[x]] = slot + 1
    return order


@njit(cache=True, nogil=True)
def _mark_attracted(affinities, ranks, attractive, vectors, strides, begin, mask, attracted):
    """Set ``attracted`` where a voxel has an attractive edge, taken or not."""
    masked = mask.size > 1
    for k in range(len(vectors)):
        dz, dy, dx = vectors[k]
        (z0, z1, sz), (y0, y1, sy), (x0, x1, sx) = _box(affinities.shape, vectors[k], begin, strides[k])
        table = np.empty(256, np.uint8)
        for value in range(256):
            table[value] = attractive[ranks[k, value]]
        for z in range(z0, z1, sz):
            for y in range(y0, y1, sy):
                row = affinities[k, z, y]
                here, there = attracted[z, y], attracted[z + dz, y + dy]
                for x in range(x0, x1, sx):
                    if masked and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                        continue
                    here[x] |= table[row[x]]
                    there[x + dx] |= table[row[x]]


def _list_edges(
    affinities: np.ndarray,
    offsets: Offsets,
    vectors: np.ndarray,
    strides: np.ndarray,
    begin: np.ndarray,
    mask: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All edges of floating-point affinities as arrays of nodes, partners and scores, by channel, then
    voxel."""
    shape = affinities.shape[1:]
    index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    nodes, partners, scores = [], [], []
    for k, vector in enumerate(vectors):
        here = []
        for axis in range(3):
            first = max(0, -int(vector[axis]))
            first += int(-(begin[axis] + first) % strides[k, axis])
            last = max(first, min(shape[axis], shape[axis] - int(vector[axis])))
            here.append(slice(first, last, int(strides[k, axis])))
        u = index[tuple(here)]
        v = u + int(vector @ [shape[1] * shape[2], shape[2], 1])
        score = affinities[k][tuple(here)].astype(np.float64) - offsets.biases[k]
        keep = np.ones(u.shape, bool) if mask.size == 1 else (mask.ravel()[u] & mask.ravel()[v]).astype(bool)
        nodes.append(u[keep])
        partners.append(v[keep])
        scores.append(score[keep])
    return np.concatenate(nodes), np.concatenate(partners), np.concatenate(scores)


@njit(cache=True, nogil=True)
def _labels(parents, attracted, seeds):
    labels = np.zeros(len(parents), np.uint32)
    seeded = len(seeds) == len(parents)
    names = np.zeros(len(parents), np.uint32)
    count = 0
    for v in range(len(parents)):
        root = find(parents, v)
        if attracted[v] or (seeded and seeds[root]):
            if names[root] == 0:
                count += 1
                names[root] = count
            labels[v] = names[root]
    return labels
