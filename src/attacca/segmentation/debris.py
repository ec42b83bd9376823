"""Small fragments are given to the neighbor that they cling to most, instead of being deleted."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

from attacca.segmentation.mutex_clusters import find
from attacca.segmentation.offsets import Offsets


def merge_small_fragments(
    labels: np.ndarray,
    affinities: np.ndarray,
    offsets: Offsets,
    min_size: int,
    *,
    fill_background: bool = False,
    above: float = 0.0,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Merge fragments of fewer than ``min_size`` voxels, strongest direct affinity first.

    Direct affinities between two fragments, one of which is small, are taken from the highest to the lowest;
    the two become one, until it has ``min_size`` voxels. Affinities at or below ``above`` join nothing.

    Args:
        labels: uint32 (z, y, x), labels 0 to n, 0 is background.
        affinities: uint8 (channels, z, y, x).
        offsets: what the channels connect; only direct offsets count here.
        min_size: voxels; 1 or less changes nothing.
        above: 0 to 1, see above.
        fill_background: treat each background voxel inside the mask as a fragment of one voxel.
        mask: bool (z, y, x), for ``fill_background``.

    Returns:
        uint32 (z, y, x): labels 1, 2, ... by first voxel.
    """
    if min_size <= 1 and not fill_background:
        return labels
    shape = labels.shape
    work = np.ascontiguousarray(labels, dtype=np.int32)
    count = int(work.max(initial=0))
    if fill_background:
        work = work.copy() if work is labels else work
        empty = work == 0
        if mask is not None:
            empty &= mask.astype(bool)
        holes = int(np.count_nonzero(empty))
        work[empty] = np.arange(count + 1, count + 1 + holes, dtype=np.int32)
        count += holes
    sizes = np.bincount(work.ravel(), minlength=count + 1).astype(np.int64)
    direct = np.flatnonzero(offsets.direct)
    joined = np.arange(count + 1, dtype=np.int32)
    floor = int(np.floor(above * 255))
    _join(
        work,
        np.ascontiguousarray(affinities),
        direct,
        offsets.vectors,
        sizes,
        max(min_size, 2),
        floor,
        joined,
    )
    if fill_background:
        # A background voxel that no affinity holds stays background.
        lonely = np.arange(count + 1) > int(labels.max(initial=0))
        roots = _roots(joined)
        has_label = np.zeros(count + 1, bool)
        has_label[roots[~lonely]] = True
        clusters = np.bincount(roots, weights=sizes, minlength=count + 1)
        joined = np.where(has_label[roots] | (clusters[roots] >= min_size), roots, 0).astype(np.int32)
        return _renumber(work.ravel(), joined, False).reshape(shape)
    return _renumber(work.ravel(), joined, True).reshape(shape)


@njit(cache=True, nogil=True)
def _roots(joined):
    roots = np.empty_like(joined)
    for node in range(len(joined)):
        roots[node] = find(joined, node)
    return roots


@njit(cache=True, nogil=True)
def _join(labels, affinities, direct, vectors, sizes, min_size, floor, joined):
    depth, height, width = labels.shape
    counts = np.zeros(256, np.int64)
    nodes = np.empty(0, np.int32)
    partners = np.empty(0, np.int32)
    for sorting in range(2):
        slots = np.zeros(256, np.int64)
        if sorting == 1:
            for value in range(254, -1, -1):
                slots[value] = slots[value + 1] + counts[value + 1]
            nodes = np.empty(counts.sum(), np.int32)
            partners = np.empty(counts.sum(), np.int32)
        for k in direct:
            dz, dy, dx = vectors[k]
            for z in range(max(0, -dz), min(depth, depth - dz)):
                for y in range(max(0, -dy), min(height, height - dy)):
                    for x in range(max(0, -dx), min(width, width - dx)):
                        a = labels[z, y, x]
                        b = labels[z + dz, y + dy, x + dx]
                        if a == b or a == 0 or b == 0 or (sizes[a] >= min_size and sizes[b] >= min_size):
                            continue
                        value = affinities[k, z, y, x]
                        if value <= floor:
                            continue
                        if sorting == 0:
                            counts[value] += 1
                        else:
                            nodes[slots[value]] = a
                            partners[slots[value]] = b
                            slots[value] += 1
    for e in range(len(nodes)):
        a = find(joined, nodes[e])
        b = find(joined, partners[e])
        if a != b and (sizes[a] < min_size or sizes[b] < min_size):
            if sizes[a] < sizes[b]:
                a, b = b, a
            joined[b] = a
            sizes[a] += sizes[b]


@njit(cache=True, nogil=True)
def _renumber(labels, joined, forest):
    names = np.zeros(len(joined), np.uint32)
    result = np.zeros(len(labels), np.uint32)
    count = 0
    for v in range(len(labels)):
        label = labels[v]
        if label == 0:
            continue
        root = find(joined, label) if forest else joined[label]
        if root == 0:
            continue
        if names[root] == 0:
            count += 1
            names[root] = count
        result[v] = names[root]
    return result
