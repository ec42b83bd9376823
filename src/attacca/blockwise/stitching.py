"""Joining of the segments of neighboring blocks, by their agreement in the overlap of the blocks.

1. Two blocks that share a face have both segmented the overlap of their read regions. A segment ``a`` of one
   block and ``b`` of the other are candidates if they meet within one voxel of the face: segments that do not
   reach the face need no joining.
2. Their agreement is the number of voxels of the overlap that are ``a`` in one block and ``b`` in the other,
   divided by the size, in the overlap, of the smaller of the two. It is 1 if one contains the other, and
   small if they only touch.
3. Candidates with at least a given agreement are joined; joins are transitive (``find_components``). Neither
   the order of blocks nor that of pairs matters.
4. Each segment gets the smallest id of its component (``relabel_volume``).

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
    """Replace the labels of one block by ids that no other block uses; 0 stays 0.

    Args:
        labels: any integers.
        block_index: number of the block.
        stride: more than the number of voxels in any block's read ROI.

    Returns:
        uint64, of the shape of ``labels``; consecutive from ``block_index * stride + 1`` in the order of the
        labels.

    Raises:
        VolumeError: an id would be 2^64 or larger.

    >>> unique_ids(np.array([0, 9, 4, 4]), block_index=2, stride=100)
    array([  0, 202, 201, 201], dtype=uint64)
    """
    values, inverse = np.unique(labels, return_inverse=True)
    if (block_index + 1) * stride >= 2**64:
        raise VolumeError(
            f"block {block_index} with {stride} possible ids each leaves the range of uint64",
            fix="use larger blocks",
        )
    numbers = np.cumsum(values != 0, dtype=np.uint64) + np.uint64(block_index * stride)
    numbers[values == 0] = 0
    return numbers[inverse].reshape(labels.shape)


def find_joins(
    lower: np.ndarray, upper: np.ndarray, at_face: tuple[slice, ...], agreement: float
) -> np.ndarray:
    """Return the pairs of segments of two blocks to join.

    Args:
        lower: labels of the lower block in the overlap of both read ROIs, 0 is background.
        upper: labels of the upper block there, of the same shape.
        at_face: the part of the overlap within one voxel of the face between the blocks.
        agreement: minimum agreement, between 0 and 1, of segments that are joined.

    Returns:
        uint64 (pairs, 2), sorted.

    Segment 1 of the lower block and segment 7 of the upper block share two voxels; the smaller has three:

    >>> lower, upper = np.array([1, 1, 1, 0, 0]), np.array([0, 7, 7, 7, 7])
    >>> find_joins(lower, upper, (slice(1, 3),), agreement=0.5)
    array([[1, 7]], dtype=uint64)
    >>> find_joins(lower, upper, (slice(1, 3),), agreement=0.9)
    array([], shape=(0, 2), dtype=uint64)
    """
    near = _find_pairs(lower[at_face], upper[at_face])[0]
    if len(near) == 0:
        return np.zeros((0, 2), dtype=np.uint64)
    pairs, counts = _find_pairs(lower, upper)
    is_near = _contains_rows(near, pairs)
    smaller = np.minimum(_count_voxels(lower, pairs[:, 0]), _count_voxels(upper, pairs[:, 1]))
    return pairs[is_near & (counts >= agreement * smaller)]


def face_slices(overlap: Roi, face: int, axis: int, voxel_size: Iterable[int]) -> tuple[slice, ...]:
    """Return the slices of the part of an overlap within one voxel of a face.

    Args:
        overlap: world units.
        face: world coordinate of the face along ``axis``.
        axis: axis along which the blocks are neighbors.
        voxel_size: world units.

    >>> face_slices(Roi((20, 0), (40, 80)), face=40, axis=0, voxel_size=(10, 10))
    (slice(1, 3, None), slice(None, None, None))
    """
    size = list(voxel_size)[axis]
    index = (face - overlap.begin[axis]) // size
    slices = [slice(None)] * overlap.dims
    slices[axis] = slice(max(0, index - 1), index + 1)
    return tuple(slices)


def find_components(edges: np.ndarray, nodes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Find the components of ids that are joined, directly or through others.

    Args:
        edges: uint64 (pairs, 2), joined ids.
        nodes: ids to return besides those in ``edges``.

    Returns:
        Ids (uint64, ascending) and, for each, the smallest id of its component.

    >>> ids, components = find_components(np.array([[3, 5], [5, 9]]), nodes=np.array([4]))
    >>> ids.tolist(), components.tolist()
    ([3, 4, 5, 9], [3, 4, 3, 3])
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
    """Replace each id by its component; ids that the table lacks stay.

    Args:
        labels: integers of any shape.
        ids: uint64 (n,), ascending.
        components: uint64 (n,).

    Returns:
        An array of the shape and dtype of ``labels``.

    >>> relabel_volume(np.array([0, 5, 9, 6]), np.array([5, 9]), np.array([3, 3]))
    array([0, 3, 3, 6])
    """
    if len(ids) == 0 or labels.size == 0:
        return labels.copy()
    values, inverse = np.unique(labels, return_inverse=True)
    rows = np.minimum(np.searchsorted(ids, values), len(ids) - 1)
    replaced = np.where(ids[rows] == values, components[rows], values).astype(labels.dtype)
    return replaced[inverse].reshape(labels.shape)


def _find_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of non-zero ids at the same voxel, sorted, and their numbers of voxels."""
    both = (a != 0) & (b != 0)
    pairs, counts = np.unique(np.stack([a[both], b[both]], axis=1), axis=0, return_counts=True)
    return pairs.astype(np.uint64), counts


def _count_voxels(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the number of voxels of each id."""
    values, counts = np.unique(labels, return_counts=True)
    return counts[np.searchsorted(values, ids)]


def _contains_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return bool (rows,), True for rows that the table contains."""
    joined = np.concatenate([rows, table])
    _, number = np.unique(joined, axis=0, return_inverse=True)
    number = number.ravel()
    return np.isin(number[: len(rows)], number[len(rows) :])
