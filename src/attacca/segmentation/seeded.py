"""Fragments grown from seeds, so that a voxel's fragment depends on its neighborhood alone.

1. A voxel is inside an object where the mean of its direct affinities is above a threshold; ``edt`` gives the
   distance to the outside, clipped to what a block sees exactly with its context.
2. A seed is a voxel that no voxel of its window exceeds; equal distances are told apart by a hash of the
   global coordinate, so that plateaus hold seeds at about the window's spacing, the same ones in every block.
3. Fragments are the trees of the maximum spanning forest that is rooted in the seeds (Cousty et al.,
   "Watershed cuts", 2009): direct affinities are taken from the highest to the lowest, in 32 levels, in each
   level those farther inside first, and join two components unless both have a seed. Ties end with the global
   coordinate.

A fragment's id *is* its seed's global coordinate, so that nothing is cut where two cells meet: both give a
voxel the same id if they see the same surroundings. In finer levels of affinity a component without seed may
follow chains of barely higher affinities for a long way, out of a cell's context: one level for each of the
256 values made ten times as many voxels differ between two cells as 32 levels do, and segmentations no
better.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from collections.abc import Sequence

import edt
import numpy as np
from numba import njit

from attacca.segmentation.mutex_clusters import find
from attacca.segmentation.offsets import Offsets

DISTANCE_STEPS = 32
"""Number of levels of the distance among affinities of one level."""

AFFINITY_STEPS = 32
"""Number of levels of the affinity."""


def grow_fragments(
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
    """Fragments of one block.

    Args:
        affinities: uint8 (channels, z, y, x), 255 for an affinity of 1.
        offsets: what the channels connect; only direct offsets count here.
        inside_above: mean direct affinity above which a voxel is inside an object.
        window: half the window of a seed, in voxels of the finest axis.
        max_distance: distances are clipped here, in voxels of the finest axis.
        grow_above: affinities at or below it join nothing, so that voxels without any higher one stay
            background.
        anisotropy: voxel size of each axis over that of the finest.
        origin: global coordinate, in voxels, of the first voxel.
        mask: bool (z, y, x); voxels outside it stay 0.

    Returns:
        labels: uint32 (z, y, x), 0 for background, else 1 + index into ``seeds``.
        seeds: int64 (n,), flat index of each seed in the block, rising.
    """
    direct = np.flatnonzero(offsets.direct)
    shape = affinities.shape[1:]
    inside_mask = np.ones((1, 1, 1), np.uint8) if mask is None else np.ascontiguousarray(mask, dtype=np.uint8)
    affinities = np.ascontiguousarray(affinities)
    inside = _inside(affinities, direct, offsets.vectors, inside_above * 255, inside_mask)
    spacing = tuple(float(value) for value in anisotropy)
    if inside.all():
        distance = np.full(shape, max_distance, np.float32)
    else:
        distance = edt.edt(inside, anisotropy=spacing, black_border=False, parallel=1)
        np.minimum(distance, np.float32(max_distance), out=distance)
    keys = _keys(distance, np.array(origin, dtype=np.int64), np.float32(8.0))
    radii = [max(1, round(window / step)) if size > 1 else 0 for step, size in zip(spacing, shape)]
    maxima = keys
    for axis in range(3):
        if radii[axis]:
            maxima = _window_maximum(maxima, axis, radii[axis])
    seeds = np.flatnonzero((keys == maxima) & (keys > 0))
    levels = np.minimum(distance * np.float32((DISTANCE_STEPS - 1) / max_distance), DISTANCE_STEPS - 1)
    threshold = int(np.floor(grow_above * 255))
    labels = _grow(
        affinities, direct, offsets.vectors, levels.astype(np.uint8), seeds, threshold, inside_mask
    )
    return labels, seeds


@njit(cache=True, nogil=True)
def _inside(affinities, direct, vectors, threshold, mask):
    _, depth, height, width = affinities.shape
    sums = np.zeros((depth, height, width), np.uint16)
    counts = np.zeros((depth, height, width), np.uint8)
    for k in direct:
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
    masked = mask.size > 1
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                inside = sums[z, y, x] > threshold * counts[z, y, x]
                result[z, y, x] = inside and (not masked or mask[z, y, x] != 0)
    return result


@njit(cache=True, nogil=True)
def _keys(distance, begin, steps):
    """Distance in eighths of a voxel above 22 bits of a hash of the global coordinate; 0 outside objects."""
    depth, height, width = distance.shape
    keys = np.zeros(distance.shape, np.uint32)
    for z in range(depth):
        for y in range(height):
            row = np.uint64(begin[0] + z) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
                begin[1] + y
            ) * np.uint64(0xC2B2AE3D27D4EB4F)
            for x in range(width):
                if distance[z, y, x] > 0:
                    value = row + np.uint64(begin[2] + x) * np.uint64(0x165667B19E3779F9)
                    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                    level = min(np.uint32(1023), np.uint32(distance[z, y, x] * steps))
                    keys[z, y, x] = (level << np.uint32(22)) | np.uint32(
                        (value >> np.uint64(42)) & np.uint64(0x3FFFFF)
                    )
    return keys


def _window_maximum(values: np.ndarray, axis: int, radius: int) -> np.ndarray:
    """Maximum over ``2 * radius + 1`` voxels along one axis, by doubling the window."""
    length = values.shape[axis]
    result = values
    reach = 1
    width = min(2 * radius + 1, 2 * length - 1)
    # result[i] = max over values[i : i + reach]
    while 2 * reach <= width:
        result = _maximum_of_shifted(result, axis, reach)
        reach *= 2
    if width > reach:
        result = _maximum_of_shifted(result, axis, width - reach)
    return _centre(values, result, axis, min(radius, length - 1))


def _maximum_of_shifted(values: np.ndarray, axis: int, shift: int) -> np.ndarray:
    result = values.copy()
    if shift < values.shape[axis]:
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(0, -shift), slice(shift, None)
        np.maximum(result[tuple(low)], values[tuple(high)], out=result[tuple(low)])
    return result


def _centre(values: np.ndarray, forward: np.ndarray, axis: int, radius: int) -> np.ndarray:
    """Move windows that start at their voxel so that they are centred on it; the first ones are cut by the
    border."""
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
def _grow(affinities, direct, vectors, levels, seeds, threshold, mask):
    _, depth, height, width = affinities.shape
    num_voxels = depth * height * width
    masked = mask.size > 1
    num_channels = len(direct)
    buckets = 32 * 32 * num_channels
    slots = np.zeros(buckets + 1, np.int64)
    order = np.empty(0, np.uint32)
    for sorting in range(2):
        if sorting == 1:
            total = np.int64(0)
            for place in range(buckets):
                count = slots[place]
                slots[place] = total
                total += count
            order = np.empty(total, np.uint32)
        for i in range(num_channels):
            k = direct[i]
            dz, dy, dx = vectors[k]
            for z in range(max(0, -dz), min(depth, depth - dz)):
                for y in range(max(0, -dy), min(height, height - dy)):
                    base = (z * height + y) * width
                    for x in range(max(0, -dx), min(width, width - dx)):
                        value = affinities[k, z, y, x]
                        if value <= threshold:
                            continue
                        if masked and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                            continue
                        level = min(levels[z, y, x], levels[z + dz, y + dy, x + dx])
                        step = (31 - np.int64(value >> 3)) * 32 + (31 - np.int64(level))
                        bucket = step * num_channels + i
                        if sorting == 1:
                            order[slots[bucket]] = base + x
                        slots[bucket] += 1
    parents = np.arange(num_voxels).astype(np.int32)
    rooted = np.zeros(num_voxels, np.uint8)
    for seed in seeds:
        rooted[seed] = 1
    start = 0
    for number in range(buckets):
        k = direct[number % num_channels]
        shift = (vectors[k, 0] * height + vectors[k, 1]) * width + vectors[k, 2]
        for e in range(start, slots[number]):
            u = np.int64(order[e])
            if parents[u] == parents[u + shift]:
                continue
            a = find(parents, u)
            b = find(parents, u + shift)
            if a == b or (rooted[a] and rooted[b]):
                continue
            if rooted[b]:
                a, b = b, a
            parents[b] = a
        start = slots[number]
    names = np.zeros(num_voxels, np.uint32)
    for i in range(len(seeds)):
        names[find(parents, seeds[i])] = i + 1
    labels = np.empty((depth, height, width), np.uint32)
    flat = labels.reshape(-1)
    for v in range(num_voxels):
        flat[v] = names[find(parents, v)]
    return labels


def seed_context(window: int, max_distance: float, anisotropy: Sequence[float]) -> tuple[int, int, int]:
    """Voxels to read around a cell, z, y, x: seeds near it are exact, and growth agrees nearly everywhere."""
    z, y, x = (int(np.ceil((window + max_distance + 13) / ratio)) for ratio in anisotropy)
    return z, y, x
