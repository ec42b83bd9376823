"""Connected components of a part of a volume, named so that parts can be joined exactly afterwards."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import cc3d
import numpy as np
from numba import njit

from attacca.segmentation.box import Box
from attacca.segmentation.index_range import check_block
from attacca.segmentation.nearest_edges import NearestEdges
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.union_find import find_root


def label_components(
    affinities: np.ndarray, offsets: Offsets, threshold: float, part: Box, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Label the components of voxels that nearest-neighbor affinities above a threshold connect.

    Args:
        affinities: uint8 (channels, z, y, x), with a voxel of context if the volume has one: a voxel whose
            only high affinity crosses the part's face is a component too.
        offsets: edges of the channels; only nearest-neighbor offsets are used.
        threshold: 0 to 1.
        part: the voxels to label, in the array.
        mask: bool (z, y, x); voxels outside it stay 0.

    Returns:
        labels: uint32 of the part's shape; 0 for voxels without affinity above the threshold.
        firsts: int64 (n,), flat index in the part of each label's first voxel.

    Raises:
        ResourceError: the block has 2^31 or more voxels.

    >>> affinities = np.array([[[[255, 100, 255, 255, 0]]]], np.uint8)
    >>> row = Box((0, 0, 0), (1, 1, 5))
    >>> labels, firsts = label_components(affinities, Offsets.create([[0, 0, 1]]), 0.5, row)
    >>> labels.ravel().tolist(), firsts.tolist()
    ([1, 1, 2, 2, 2], [0, 2])
    """
    check_block(affinities.shape[1:])
    edges = NearestEdges.create(affinities, offsets, mask)
    return _label(edges, threshold * 255.0, *part.to_arrays())


def label_foreground(is_foreground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the components of a bool array (z, y, x) by faces. Return the same as ``label_components``.

    >>> labels, firsts = label_foreground(np.array([[[True, True, False, True]]]))
    >>> labels.tolist(), firsts.tolist()
    ([[[1, 1, 0, 2]]], [0, 3])
    """
    check_block(is_foreground.shape)
    # cc3d fails for bool values 1, 0, 1 along a line of three voxels.
    foreground = np.ascontiguousarray(is_foreground).view(np.uint8)
    labels = cc3d.connected_components(foreground, connectivity=6).astype(np.uint32)
    values, firsts = np.unique(labels.ravel(), return_index=True)
    return labels, firsts[values > 0].astype(np.int64)


@njit(cache=True, nogil=True)
def _label(edges, threshold, begin, end):
    affinities, channels, vectors, mask = edges
    _, depth, height, width = affinities.shape
    has_mask = mask.size > 1
    z0, y0, x0 = begin
    z1, y1, x1 = end
    parents = np.arange(depth * height * width).astype(np.int32)
    is_connected = np.zeros(depth * height * width, np.uint8)
    for k in channels:
        dz, dy, dx = vectors[k]
        shift = (dz * height + dy) * width + dx
        for z in range(max(0, -dz), min(depth, depth - dz)):
            for y in range(max(0, -dy), min(height, height - dy)):
                for x in range(max(0, -dx), min(width, width - dx)):
                    if affinities[k, z, y, x] <= threshold:
                        continue
                    if has_mask and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                        continue
                    u = (z * height + y) * width + x
                    is_connected[u] = 1
                    is_connected[u + shift] = 1
                    is_inner = z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1
                    is_inner_beyond = z0 <= z + dz < z1 and y0 <= y + dy < y1 and x0 <= x + dx < x1
                    if is_inner and is_inner_beyond:
                        a = find_root(parents, u)
                        b = find_root(parents, u + shift)
                        if a < b:
                            parents[b] = a
                        elif b < a:
                            parents[a] = b
    labels = np.zeros((z1 - z0, y1 - y0, x1 - x0), np.uint32)
    names = np.zeros(depth * height * width, np.uint32)
    firsts = np.empty(labels.size, np.int64)
    count = 0
    flat = 0
    for z in range(z0, z1):
        for y in range(y0, y1):
            for x in range(x0, x1):
                u = (z * height + y) * width + x
                if is_connected[u]:
                    root = find_root(parents, u)
                    if names[root] == 0:
                        firsts[count] = flat
                        count += 1
                        names[root] = count
                    labels[z - z0, y - y0, x - x0] = names[root]
                flat += 1
    return labels, firsts[:count].copy()
