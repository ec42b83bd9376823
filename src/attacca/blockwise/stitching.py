"""Joins segments that were found block by block, by the agreement of neighboring blocks where both looked.

1. Two blocks that share a face have both segmented the overlap of what they read. A segment ``a`` of the one
   and ``b`` of
   the other are candidates where they meet within one voxel of the face: what never reaches the face needs no
   joining.
2. Their agreement is the number of voxels of the overlap that are ``a`` in the one and ``b`` in the other,
   divided by the size, in the overlap, of the smaller of the two. It is 1 where one is part of the other,
   and small where they merely touch.
3. Candidates whose agreement reaches a threshold are joined; joins are transitive (``find_components``).
   Neither the order of blocks nor that of pairs matters.
4. Every segment gets the smallest id of its component (``relabel_volume``).

Ids are block number x voxels read by the largest block + number within the block, in uint64: unique by
construction for up to 2^64 voxels, context included.
"""

from collections.abc import Iterable

import numpy as np
from funlib.geometry import Roi
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attacca.errors import VolumeError


def unique_ids(labels: np.ndarray, block_index: int, stride: int) -> np.ndarray:
    """Labels of one block with ids that no other block uses; 0 stays 0.

    Args:
        labels: any integers.
        block_index: number of the block.
        stride: more than the number of voxels in any block's read ROI.

    Returns:
        uint64, of the shape of ``labels``; consecutive from ``block_index * stride + 1`` in the order of the
        labels.
    """
    values, inverse = np.unique(labels, return_inverse=True)
    if (block_index + 1) * stride >= 2**64:
        raise VolumeError(f"block {block_index} with {stride} possible ids each leaves the range of uint64")
    numbers = np.cumsum(values != 0, dtype=np.uint64) + np.uint64(block_index * stride)
    numbers[values == 0] = 0
    return numbers[inverse].reshape(labels.shape)


def joins(lower: np.ndarray, upper: np.ndarray, at_face: tuple[slice, ...], agreement: float) -> np.ndarray:
    """Pairs of segments of two blocks that are one.

    Args:
        lower, upper: labels that the two blocks gave to the overlap of their read ROIs, of one shape; 0 is
            background.
        at_face: the part of the overlap within one voxel of the face between the blocks.
        agreement: smallest agreement, between 0 and 1, of segments that are joined.

    Returns:
        uint64 (pairs, 2), sorted.
    """
    near = _pairs(lower[at_face], upper[at_face])[0]
    if len(near) == 0:
        return np.zeros((0, 2), dtype=np.uint64)
    pairs, counts = _pairs(lower, upper)
    wanted = _rows(near, pairs)
    smaller = np.minimum(_sizes(lower, pairs[:, 0]), _sizes(upper, pairs[:, 1]))
    return pairs[wanted & (counts >= agreement * smaller)]


def face_slices(overlap: Roi, face: int, axis: int, voxel_size: Iterable[int]) -> tuple[slice, ...]:
    """The part of an overlap within one voxel of a face.

    Args:
        overlap: world units.
        face: world coordinate of the face along ``axis``.
        axis: the axis across which the blocks are neighbors.
        voxel_size: world units.
    """
    size = list(voxel_size)[axis]
    place = (face - overlap.begin[axis]) // size
    slices = [slice(None)] * overlap.dims
    slices[axis] = slice(max(0, place - 1), place + 1)
    return tuple(slices)


def find_components(edges: np.ndarray, nodes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Which ids are joined, directly or through others.

    Args:
        edges: (pairs, 2) ids.
        nodes: ids to answer for; those in ``edges`` by default.

    Returns:
        Ids (uint64, ascending) and, for each, the smallest id of its component.
    """
    edges = np.asarray(edges, dtype=np.uint64).reshape(-1, 2)
    ids = np.unique(edges if nodes is None else np.concatenate([np.asarray(nodes, np.uint64), edges.ravel()]))
    if len(ids) == 0:
        return ids, ids
    ends = np.searchsorted(ids, edges)
    graph = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(len(ids), len(ids)))
    count, component = connected_components(graph, directed=False)
    smallest = np.full(count, len(ids), dtype=np.int64)
    np.minimum.at(smallest, component, np.arange(len(ids)))
    return ids, ids[smallest[component]]


def relabel_volume(labels: np.ndarray, ids: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Labels with each id replaced by its component; ids that are not in the table stay.

    Args:
        labels: any shape.
        ids: ascending.
        components: as many.
    """
    if len(ids) == 0 or labels.size == 0:
        return labels.copy()
    values, inverse = np.unique(labels, return_inverse=True)
    place = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
    replaced = np.where(ids[place] == values, components[place], values).astype(labels.dtype)
    return replaced[inverse].reshape(labels.shape)


def _pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of ids (both not 0) that stand at one voxel, sorted, and how often."""
    both = (a != 0) & (b != 0)
    pairs, counts = np.unique(np.stack([a[both], b[both]], axis=1), axis=0, return_counts=True)
    return pairs.astype(np.uint64), counts


def _sizes(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    values, counts = np.unique(labels, return_counts=True)
    return counts[np.searchsorted(values, ids)]


def _rows(some: np.ndarray, all_rows: np.ndarray) -> np.ndarray:
    """Which of ``all_rows`` are among ``some``."""
    joined = np.concatenate([all_rows, some])
    _, number = np.unique(joined, axis=0, return_inverse=True)
    number = number.ravel()
    return np.isin(number[: len(all_rows)], number[len(all_rows) :])
