"""Connected components of a part of a volume, named so that parts can be joined exactly afterwards."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import cc3d
import numpy as np
from numba import njit

from attacca.segmentation.frame import Box
from attacca.segmentation.mutex_clusters import find
from attacca.segmentation.offsets import Offsets


def label_components(
    affinities: np.ndarray, offsets: Offsets, threshold: float, part: Box, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Components of voxels that direct affinities above ``threshold`` connect.

    Args:
        affinities: uint8 (channels, z, y, x), with a voxel of context where there is one: a voxel whose only
            high affinity leads out of the part is a component too.
        offsets: what the channels connect; only direct offsets count.
        threshold: 0 to 1.
        part: the voxels to label, in the array.
        mask: bool (z, y, x); voxels outside it stay 0.

    Returns:
        labels: uint32 of the part's shape; 0 for voxels without affinity above the threshold.
        places: int64 (n,), flat index in the part of each label's first voxel.
    """
    inside = np.ones((1, 1, 1), np.uint8) if mask is None else np.ascontiguousarray(mask, dtype=np.uint8)
    begin, end = np.array(part.begin, dtype=np.int64), np.array(part.end, dtype=np.int64)
    direct = np.flatnonzero(offsets.direct)
    return _label(
        np.ascontiguousarray(affinities), direct, offsets.vectors, threshold * 255.0, begin, end, inside
    )


def label_foreground(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components of a bool array (z, y, x) by faces; results as for ``label_components``."""
    labels = cc3d.connected_components(np.ascontiguousarray(inside), connectivity=6).astype(np.uint32)
    values, places = np.unique(labels.ravel(), return_index=True)
    return labels, places[values > 0].astype(np.int64)


@njit(cache=True, nogil=True)
def _label(affinities, direct, vectors, threshold, begin, end, mask):
    _, depth, height, width = affinities.shape
    masked = mask.size > 1
    parents = np.arange(depth * height * width).astype(np.int32)
    connected = np.zeros(depth * height * width, np.uint8)
    for k in direct:
        dz, dy, dx = vectors[k]
        shift = (dz * height + dy) * width + dx
        for z in range(max(0, -dz), min(depth, depth - dz)):
            for y in range(max(0, -dy), min(height, height - dy)):
                for x in range(max(0, -dx), min(width, width - dx)):
                    if affinities[k, z, y, x] <= threshold:
                        continue
                    if masked and not (mask[z, y, x] and mask[z + dz, y + dy, x + dx]):
                        continue
                    u = (z * height + y) * width + x
                    connected[u] = 1
                    connected[u + shift] = 1
                    inside = begin[0] <= z < end[0] and begin[1] <= y < end[1] and begin[2] <= x < end[2]
                    there = begin[0] <= z + dz < end[0] and begin[1] <= y + dy < end[1]
                    if inside and there and begin[2] <= x + dx < end[2]:
                        a = find(parents, u)
                        b = find(parents, u + shift)
                        if a < b:
                            parents[b] = a
                        elif b < a:
                            parents[a] = b
    labels = np.zeros((end[0] - begin[0], end[1] - begin[1], end[2] - begin[2]), np.uint32)
    names = np.zeros(depth * height * width, np.uint32)
    places = np.empty(labels.size, np.int64)
    count = 0
    flat = 0
    for z in range(begin[0], end[0]):
        for y in range(begin[1], end[1]):
            for x in range(begin[2], end[2]):
                u = (z * height + y) * width + x
                if connected[u]:
                    root = find(parents, u)
                    if names[root] == 0:
                        places[count] = flat
                        count += 1
                        names[root] = count
                    labels[z - begin[0], y - begin[1], x - begin[2]] = names[root]
                flat += 1
    return labels, places[:count].copy()
