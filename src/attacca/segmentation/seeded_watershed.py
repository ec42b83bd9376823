"""Watershed from seeds, in which a voxel's fragment depends on its neighborhood alone.

1. A voxel is inside an object if the mean of its nearest-neighbor affinities is above a threshold.
2. Compute the distance of inner voxels to the outside (``edt``), clipped to what a block computes exactly
   with its context.
3. A seed is a voxel whose distance is the maximum of its window. A hash of the global coordinate orders equal
   distances, so that plateaus have seeds at about the window's spacing, and the same seeds in all blocks.
4. Sort the nearest-neighbor affinities, highest first, in 32 levels; in each level the edges farthest inside
   first. Ties are ordered by channel and coordinate.
5. Take the edges in this order and join two components unless both have a seed. The fragments are the trees
   of the maximum spanning forest that is rooted in the seeds.

A fragment's id is its seed's global coordinate, so that fragments continue across the faces of cells: both
cells give a voxel the same id if they read the same neighborhood. More levels of affinity would make a
component without a seed follow slightly higher affinities over long distances, beyond a cell's context: one
level for each of the 256 values made ten times as many voxels differ between two cells as 32 levels do, and
the segmentations were not better.

References:
    J. Cousty et al., "Watershed Cuts: Minimum Spanning Forests and the Drop of Water Principle", TPAMI 2009.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from collections.abc import Sequence

import edt
import numpy as np
from numba import njit

from attacca.segmentation.index_range import check_block
from attacca.segmentation.nearest_edges import NearestEdges
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.union_find import find_root

NUM_LEVELS = 32
"""Number of levels of the affinity, and of the distance among affinities of one level."""

_KEY_STEPS = np.float32(8.0)
"""Levels of the distance per voxel in the keys of seeds."""


def seeded_watershed(
    affinities: np.ndarray,
    offsets: Offsets,
    *,
    inside_above: float = 0.5,
    window: int = 3,
    max_distance: float = 8.0,
    grow_above: float = 0.0,
    anisotropy: Sequence[float] = (1.0, 1.0, 1.0),
    origin: Sequence[int] = (0, 0, 0),
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Grow the fragments of one block.

    Args:
        affinities: uint8 (channels, z, y, x), 255 for an affinity of 1.
        offsets: edges of the channels; only nearest-neighbor offsets are used.
        inside_above: mean nearest-neighbor affinity, 0 to 1, above which a voxel is inside an object.
        window: radius of a seed's window, in voxels of the finest axis.
        max_distance: distances are clipped to it, in voxels of the finest axis.
        grow_above: 0 to 1; affinities at or below it join nothing, so that voxels without a higher affinity
            stay background.
        anisotropy: voxel size of each axis divided by that of the finest.
        origin: global coordinate, in voxels, of the first voxel.
        mask: bool (z, y, x); voxels outside it stay 0.

    Returns:
        labels: uint32 (z, y, x), 0 for background, else 1 + index into ``seeds``.
        seeds: int64 (n,), flat index of each seed in the block, ascending.

    Raises:
        ResourceError: the block has 2^31 or more voxels.

    Two objects in a row of nine voxels. The lower affinities between them are outside, and join the object
    with the higher affinity:

    >>> affinities = np.array([[[[250, 250, 250, 60, 90, 250, 250, 250, 0]]]], np.uint8)
    >>> offsets = Offsets.create([[0, 0, 1]])
    >>> seeded_watershed(affinities, offsets)[0].ravel().tolist()
    [1, 1, 1, 1, 2, 2, 2, 2, 2]

    The window sets the distance between seeds; a larger one finds one seed only:

    >>> seeded_watershed(affinities, offsets, window=8)[0].max()
    np.uint32(1)

    ``grow_above`` leaves voxels without a sufficient affinity in the background:

    >>> affinities[..., 3:5] = 60
    >>> seeded_watershed(affinities, offsets, grow_above=0.3)[0].ravel().tolist()
    [1, 1, 1, 1, 0, 2, 2, 2, 2]
    """
    check_block(affinities.shape[1:])
    edges = NearestEdges.create(affinities, offsets, mask)
    is_inside = _find_inside(edges, inside_above * 255)
    spacing = tuple(float(value) for value in anisotropy)
    distance = _distance_to_outside(is_inside, spacing, max_distance)
    keys = _make_seed_keys(distance, np.array(origin, dtype=np.int64))
    maxima = keys
    for axis, step in enumerate(spacing):
        if keys.shape[axis] > 1:
            maxima = _window_maximum(maxima, axis, max(1, round(window / step)))
    seeds = np.flatnonzero((keys == maxima) & (keys > 0))
    levels = np.minimum(distance * np.float32((NUM_LEVELS - 1) / max_distance), NUM_LEVELS - 1)
    order, ends = _sort_edges(edges, levels.astype(np.uint8), int(np.floor(grow_above * 255)))
    return _grow(edges, order, ends, seeds), seeds


def compute_seed_context(
    window: int, max_distance: float, anisotropy: Sequence[float]
) -> tuple[int, int, int]:
    """Return the voxels to read around a cell, z, y, x.

    Seeds near the cell are exact with this context, and nearly all voxels get the same fragment.

    >>> compute_seed_context(window=3, max_distance=8, anisotropy=(5.0, 1.0, 1.0))
    (5, 24, 24)
    """
    z, y, x = (int(np.ceil((window + max_distance + 13) / ratio)) for ratio in anisotropy)
    return z, y, x


@njit(cache=True, nogil=True)
def _find_inside(edges, threshold):
    """Step 1: return bool (z, y, x)."""
    affinities, channels, vectors, mask = edges
    _, depth, height, width = affinities.shape
    sums = np.zeros((depth, height, width), np.uint16)
    counts = np.zeros((depth, height, width), np.uint8)
    for k in channels:
        dz, dy, dx = vectors[k]
        for z in range(max(0, -dz), min(depth, depth - dz)):
            for y in range(max(0, -dy), min(height, height - dy)):
                for x in range(max(0, -dx), min(width, width - dx)):
                    value = affinities[k, z, y, x]
                    sums[z, y, x] += value
                    counts[z, y, x] += 1
                    sums[z + dz, y + dy, x + dx] += value
                    counts[z + dz, y + dy, x + dx] += 1
    result = np.empty((depth, height, width), np.bool_)
    has_mask = mask.size > 1
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                is_inside = sums[z, y, x] > threshold * counts[z, y, x]
                result[z, y, x] = is_inside and (not has_mask or mask[z, y, x] != 0)
    return result


def _distance_to_outside(
    is_inside: np.ndarray, spacing: tuple[float, ...], max_distance: float
) -> np.ndarray:
    """Step 2: return float32 (z, y, x), in voxels of the finest axis."""
    if is_inside.all():
        return np.full(is_inside.shape, max_distance, np.float32)
    distance = edt.edt(is_inside, anisotropy=spacing, black_border=False, parallel=1)
    return np.minimum(distance, np.float32(max_distance), out=distance)


@njit(cache=True, nogil=True)
def _make_seed_keys(distance, origin):
    """Step 3: return the distance in eighths of a voxel above 22 bits of a hash of the global coordinate.

    0 outside objects.
    """
    depth, height, width = distance.shape
    keys = np.zeros(distance.shape, np.uint32)
    for z in range(depth):
        for y in range(height):
            row = np.uint64(origin[0] + z) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
                origin[1] + y
            ) * np.uint64(0xC2B2AE3D27D4EB4F)
            for x in range(width):
                if distance[z, y, x] > 0:
                    value = row + np.uint64(origin[2] + x) * np.uint64(0x165667B19E3779F9)
                    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                    level = min(np.uint32(1023), np.uint32(distance[z, y, x] * _KEY_STEPS))
                    keys[z, y, x] = (level << np.uint32(22)) | np.uint32(
                        (value >> np.uint64(42)) & np.uint64(0x3FFFFF)
                    )
    return keys


def _window_maximum(values: np.ndarray, axis: int, radius: int) -> np.ndarray:
    """Return the maximum over ``2 * radius + 1`` voxels along one axis, by doubling the window."""
    length = values.shape[axis]
    result = values
    reach = 1
    width = min(2 * radius + 1, 2 * length - 1)
    # Invariant: result[i] is the maximum of values[i : i + reach].
    while 2 * reach <= width:
        result = _maximum_of_shifted(result, axis, reach)
        reach *= 2
    if width > reach:
        result = _maximum_of_shifted(result, axis, width - reach)
    return _center(values, result, axis, min(radius, length - 1))


def _maximum_of_shifted(values: np.ndarray, axis: int, shift: int) -> np.ndarray:
    """Return the maximum of each voxel and the one ``shift`` voxels above it, if there is one."""
    result = values.copy()
    if shift < values.shape[axis]:
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(0, -shift), slice(shift, None)
        np.maximum(result[tuple(low)], values[tuple(high)], out=result[tuple(low)])
    return result


def _center(values: np.ndarray, forward: np.ndarray, axis: int, radius: int) -> np.ndarray:
    """Move windows that start at their voxel so that it is their center; the border clips the first ones."""
    result = np.empty_like(values)
    low: list[slice] = [slice(None)] * 3
    high: list[slice] = [slice(None)] * 3
    low[axis], high[axis] = slice(radius, None), slice(0, values.shape[axis] - radius)
    result[tuple(low)] = forward[tuple(high)]
    head: list[slice] = [slice(None)] * 3
    head[axis] = slice(0, 2 * radius)
    running = np.maximum.accumulate(values[tuple(head)], axis=axis)
    for i in range(min(radius, values.shape[axis])):
        target: list[slice | int] = [slice(None)] * 3
        source: list[slice | int] = [slice(None)] * 3
        target[axis], source[axis] = i, min(i + radius, running.shape[axis] - 1)
        result[tuple(target)] = running[tuple(source)]
    return result


@njit(cache=True, nogil=True)
def _sort_edges(edges, levels, threshold):
    """Step 4: sort edges into buckets of affinity, distance and channel (counting sort).

    Returns:
        order: uint32 (edges,), flat index of each edge's first voxel.
        ends: int64 (buckets,), end of each bucket; the channels alternate.
    """
    affinities, channels, vectors, mask = edges
    _, depth, height, width = affinities.shape
    has_mask = mask.size > 1
    slots = np.zeros(NUM_LEVELS * NUM_LEVELS * len(channels), np.int64)
    order = np.empty(0, np.uint32)
    # The first round counts, the second sorts.
    for is_sorting in range(2):
        if is_sorting:
            total = np.int64(0)
            for number in range(len(slots)):
                count = slots[number]
                slots[number] = total
                total += count
            order = np.empty(total, np.uint32)
        for i in range(len(channels)):
            k = channels[i]
            dz, dy, dx = vectors[k]
            for z in range(max(0, -dz), min(depth, depth - dz)):
                for y in range(max(0, -dy), min(height, height - dy)):
                    base = (z * height + y) * width
                    for x in range(max(0, -dx), min(width, width - dx)):
                        value = affinities[k, z, y, x]
                        if value <= threshold:
                            continue
                        if has_mask and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                            continue
                        level = min(levels[z, y, x], levels[z + dz, y + dy, x + dx])
                        rank = NUM_LEVELS - 1 - np.int64(level)
                        rank += (NUM_LEVELS - 1 - np.int64(value >> 3)) * NUM_LEVELS
                        bucket = rank * len(channels) + i
                        if is_sorting:
                            order[slots[bucket]] = base + x
                        slots[bucket] += 1
    return order, slots


@njit(cache=True, nogil=True)
def _grow(edges, order, ends, seeds):
    """Step 5: return uint32 (z, y, x), 1 + index into ``seeds``."""
    affinities, channels, vectors, _ = edges
    _, depth, height, width = affinities.shape
    num_voxels = depth * height * width
    parents = np.arange(num_voxels).astype(np.int32)
    has_seed = np.zeros(num_voxels, np.uint8)
    for seed in seeds:
        has_seed[seed] = 1
    start = 0
    for bucket in range(len(ends)):
        k = channels[bucket % len(channels)]
        shift = (vectors[k, 0] * height + vectors[k, 1]) * width + vectors[k, 2]
        for e in range(start, ends[bucket]):
            u = np.int64(order[e])
            if parents[u] == parents[u + shift]:
                continue
            a = find_root(parents, u)
            b = find_root(parents, u + shift)
            if a == b or (has_seed[a] and has_seed[b]):
                continue
            if has_seed[b]:
                a, b = b, a
            parents[b] = a
        start = ends[bucket]
    names = np.zeros(num_voxels, np.uint32)
    for i in range(len(seeds)):
        names[find_root(parents, seeds[i])] = i + 1
    labels = np.empty((depth, height, width), np.uint32)
    flat = labels.reshape(-1)
    for v in range(num_voxels):
        flat[v] = names[find_root(parents, v)]
    return labels
