"""Objects that a segmentation keeps whole, splits, merges or misses; differences of boundaries are counted apart.

Two segmentations of the same tissue place each boundary a little differently, so that almost every object has a few
voxels in each neighboring segment. They are slivers and not errors: a part of an object counts only above a share.
"""

from typing import NamedTuple

import numpy as np

from attacca.evaluators.contingency import ContingencyTable

REAL_SHARE = 0.05
"""Smallest part of an object, as a share of its voxels, that counts as a piece."""


class ObjectErrors(NamedTuple):
    """Numbers of objects of the ground truth, and of segments that merge them.

    Args:
        objects: objects of the ground truth.
        whole: objects in one piece, in a segment that has no piece of another object.
        split: objects in several pieces.
        merging: segments that have pieces of several objects.
        merged: objects with a piece in such a segment.
        missing: objects of which more than half is not segmented.
        boundary_share: share of the objects' voxels that are neither in a piece nor in a missing object.
    """

    objects: int
    whole: int
    split: int
    merging: int
    merged: int
    missing: int
    boundary_share: float


def find_pieces(table: ContingencyTable) -> np.ndarray:
    """Find the overlaps of a segment and an object that are pieces, and not differences of boundaries.

    A piece has at least ``REAL_SHARE`` of the object's voxels, and as many as one side of a cube of the object's volume:
    in small objects, a layer of a single voxel is already a large share.

    Args:
        table: voxels by segment and object. Id 0 on either side is background.

    Returns:
        bool, shape (rows,).

    Examples:
        >>> segments, objects = np.array([1, 2, 3], np.uint64), np.array([7, 7, 7], np.uint64)
        >>> find_pieces(ContingencyTable(segments, objects, np.array([700, 270, 30])))
        array([ True,  True, False])
    """
    _, object_of = np.unique(table.ground_truth, return_inverse=True)
    sizes = np.bincount(object_of, weights=table.count)
    smallest = np.maximum(REAL_SHARE * sizes, np.cbrt(sizes) ** 2)[object_of]
    # A whole object of one voxel is a piece in spite of the rounding of roots.
    return (table.segment != 0) & (table.ground_truth != 0) & (table.count >= smallest * (1 - 1e-9))


def find_missing(table: ContingencyTable) -> np.ndarray:
    """Find the overlaps of objects of which more than half is not segmented.

    Args:
        table: voxels by segment and object. Id 0 on either side is background.

    Returns:
        bool, shape (rows,).

    Examples:
        >>> segments, objects = np.array([0, 1, 2], np.uint64), np.array([7, 7, 8], np.uint64)
        >>> find_missing(ContingencyTable(segments, objects, np.array([60, 40, 100])))
        array([ True,  True, False])
    """
    _, object_of = np.unique(table.ground_truth, return_inverse=True)
    sizes = np.bincount(object_of, weights=table.count)
    lost = np.bincount(object_of, weights=np.where(table.segment == 0, table.count, 0))
    return (lost > 0.5 * sizes)[object_of] & (table.ground_truth != 0)


def count_object_errors(table: ContingencyTable) -> ObjectErrors:
    """Count objects that are whole, split, merged or missing.

    Args:
        table: voxels by segment and object. Id 0 on either side is background.

    Examples:
        >>> segments, objects = np.array([1, 2, 3, 3], np.uint64), np.array([7, 7, 8, 9], np.uint64)
        >>> errors = count_object_errors(ContingencyTable(segments, objects, np.array([700, 300, 500, 500])))
        >>> errors.split, errors.merging, errors.merged, errors.whole
        (1, 1, 2, 0)
    """
    table = table.select(table.ground_truth != 0)
    ids, object_of = np.unique(table.ground_truth, return_inverse=True)
    is_missing = np.zeros(len(ids), bool)
    is_missing[object_of[find_missing(table)]] = True
    is_piece = find_pieces(table) & ~is_missing[object_of]
    pieces = np.bincount(object_of[is_piece], minlength=len(ids))
    segments, segment_of = np.unique(table.segment[is_piece], return_inverse=True)
    is_merging = np.bincount(segment_of, minlength=len(segments)) > 1
    is_merged = np.zeros(len(ids), bool)
    is_merged[object_of[is_piece][is_merging[segment_of]]] = True
    is_counted = is_piece | is_missing[object_of]
    return ObjectErrors(
        len(ids),
        int(((pieces == 1) & ~is_merged).sum()),
        int((pieces > 1).sum()),
        int(is_merging.sum()),
        int(is_merged.sum()),
        int(is_missing.sum()),
        float(table.count[~is_counted].sum()) / table.total if table.total else 0.0,
    )
