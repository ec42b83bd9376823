"""Small fragments of one block, merged into the neighbor with the highest affinity instead of deleted.

1. Treat background voxels as fragments of one voxel, if they are to be filled.
2. Sort the nearest-neighbor affinities at the faces of small fragments (counting sort).
3. Take them from the highest to the lowest, and merge the two fragments while one of them is small.
4. Number the fragments 1, 2, ... by first voxel.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

from attacca.segmentation.index_range import check_block
from attacca.segmentation.nearest_edges import NearestEdges
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.union_find import find_root, find_roots


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
    """Merge fragments of fewer than ``min_size`` voxels, highest nearest-neighbor affinity first.

    Args:
        labels: uint32 (z, y, x), labels 0 to n, 0 is background.
        affinities: uint8 (channels, z, y, x), 255 for an affinity of 1.
        offsets: edges of the channels; only nearest-neighbor offsets are used.
        min_size: voxels; 1 or less changes nothing.
        fill_background: treat each background voxel inside the mask as a fragment of one voxel.
        above: 0 to 1; affinities at or below it join nothing.
        mask: bool (z, y, x), for ``fill_background``.

    Returns:
        uint32 (z, y, x): labels 1, 2, ... by first voxel.

    Raises:
        ResourceError: the block has 2^31 or more voxels.

    A fragment of one voxel between two others, with a higher affinity to the right one:

    >>> labels = np.array([[[1, 1, 1, 2, 3, 3, 3]]], np.uint32)
    >>> affinities = np.full((1, 1, 1, 7), 60, np.uint8)
    >>> affinities[0, 0, 0, 3] = 90
    >>> offsets = Offsets.create([[0, 0, 1]])
    >>> merge_small_fragments(labels, affinities, offsets, min_size=2).ravel().tolist()
    [1, 1, 1, 2, 2, 2, 2]
    >>> merge_small_fragments(labels, affinities, offsets, min_size=2, above=0.5).ravel().tolist()
    [1, 1, 1, 2, 3, 3, 3]
    """
    if min_size <= 1 and not fill_background:
        return labels
    check_block(labels.shape)
    work = np.array(labels, dtype=np.int32, order="C")
    num_labels = count = int(work.max(initial=0))
    if fill_background:
        is_filled = work == 0
        if mask is not None:
            is_filled &= mask.astype(bool)
        holes = int(np.count_nonzero(is_filled))
        work[is_filled] = np.arange(count + 1, count + 1 + holes, dtype=np.int32)
        count += holes
    sizes = np.bincount(work.ravel(), minlength=count + 1).astype(np.int64)
    edges = NearestEdges.create(affinities, offsets)
    u, v = _sort_contacts(work, edges, sizes, max(min_size, 2), int(np.floor(above * 255)))
    parents = np.arange(count + 1, dtype=np.int32)
    _merge_contacts(u, v, sizes, max(min_size, 2), parents)
    roots = find_roots(parents)
    if fill_background:
        # Filled voxels that are joined neither to a label nor to enough other filled voxels stay background.
        has_label = np.zeros(count + 1, bool)
        has_label[roots[: num_labels + 1]] = True
        roots = np.where(has_label[roots] | (sizes[roots] >= min_size), roots, 0).astype(np.int32)
    return _number_labels(work.ravel(), roots).reshape(labels.shape)


@njit(cache=True, nogil=True)
def _sort_contacts(labels, edges, sizes, min_size, floor):
    """Step 2: return int32 pairs of fragments, one of them small, by descending affinity above ``floor``."""
    depth, height, width = labels.shape
    counts = np.zeros(256, np.int64)
    u = np.empty(0, np.int32)
    v = np.empty(0, np.int32)
    # The first round counts, the second sorts.
    for is_sorting in range(2):
        slots = np.zeros(256, np.int64)
        if is_sorting:
            for value in range(254, -1, -1):
                slots[value] = slots[value + 1] + counts[value + 1]
            u = np.empty(counts.sum(), np.int32)
            v = np.empty(counts.sum(), np.int32)
        for k in edges.channels:
            dz, dy, dx = edges.vectors[k]
            for z in range(max(0, -dz), min(depth, depth - dz)):
                for y in range(max(0, -dy), min(height, height - dy)):
                    for x in range(max(0, -dx), min(width, width - dx)):
                        a = labels[z, y, x]
                        b = labels[z + dz, y + dy, x + dx]
                        if a == b or a == 0 or b == 0 or (sizes[a] >= min_size and sizes[b] >= min_size):
                            continue
                        value = edges.affinities[k, z, y, x]
                        if value <= floor:
                            continue
                        if is_sorting:
                            u[slots[value]] = a
                            v[slots[value]] = b
                            slots[value] += 1
                        else:
                            counts[value] += 1
    return u, v


@njit(cache=True, nogil=True)
def _merge_contacts(u, v, sizes, min_size, parents):
    """Step 3: join the fragments of the forest ``parents``. Changes ``sizes`` at the roots."""
    for e in range(len(u)):
        a = find_root(parents, u[e])
        b = find_root(parents, v[e])
        if a != b and (sizes[a] < min_size or sizes[b] < min_size):
            if sizes[a] < sizes[b]:
                a, b = b, a
            parents[b] = a
            sizes[a] += sizes[b]


@njit(cache=True, nogil=True)
def _number_labels(labels, roots):
    """Step 4: return uint32 (voxels,); labels with a root of 0 become 0."""
    names = np.zeros(len(roots), np.uint32)
    result = np.zeros(len(labels), np.uint32)
    count = 0
    for v in range(len(labels)):
        root = roots[labels[v]]
        if root == 0:
            continue
        if names[root] == 0:
            count += 1
            names[root] = count
        result[v] = names[root]
    return result
