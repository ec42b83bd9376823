"""Objects that a segmentation keeps whole, splits, merges or misses; differences of boundaries are counted apart.

Two segmentations of the same tissue place each boundary a little differently, so that almost every object has a few
voxels in each neighboring segment. They are slivers and not errors: a part of an object counts only above a share.

The border of a volume cuts objects into tips of a few voxels, which no segmentation gives a segment of their own. They are
not counted, unless the volume consists of such small objects.
"""

from typing import NamedTuple

import numpy as np

from attacca.evaluators.contingency import ContingencyTable

REAL_SHARE = 0.05
"""Smallest part of an object, as a share of its voxels, that counts as a piece."""

# Measured in FIB-SEM of Drosophila, among parts above REAL_SHARE: of 25 parts up to one side 23 are one or two voxels thick,
# of 14 parts up to two sides 5, of 36 larger ones 1.
SIDES = 2
"""Smallest piece in sides of a cube of the object's volume."""

SMALL_VOXELS = 125
"""Objects with fewer voxels are small: most of their voxels are at their boundary."""

SMALL_SHARE = 0.01
"""Largest share of the labeled voxels in small objects that are not counted."""


class ObjectErrors(NamedTuple):
    """Numbers of objects of the ground truth, and of segments that merge them.

    Args:
        objects: objects of the ground truth, without the small ones.
        whole: objects in one piece, in a segment that has no piece of another object or consists of this object by
            ``1 - REAL_SHARE``.
        split: objects in several pieces.
        merging: segments that have pieces of several objects.
        merged: objects with a piece in such a segment of which it is less than ``1 - REAL_SHARE``.
        missing: objects of which more than half is not segmented.
        small: small objects, which are not counted.
        whole_share: share of the objects' voxels in whole objects.
        boundary_share: share of the objects' voxels that are neither in a piece nor in a missing object.
        small_share: share of the labeled voxels in small objects.
    """

    objects: int
    whole: int
    split: int
    merging: int
    merged: int
    missing: int
    small: int
    whole_share: float
    boundary_share: float
    small_share: float


def find_small(table: ContingencyTable) -> np.ndarray:
    """Find the overlaps of objects that are too small to be counted.

    They have fewer than ``SMALL_VOXELS``. If all of them have more than ``SMALL_SHARE`` of the labeled voxels, none is
    too small.

    Args:
        table: voxels by segment and object. Id 0 on either side is background.

    Returns:
        bool, shape (rows,).

    Examples:
        >>> segments, objects = np.array([1, 1, 2], np.uint64), np.array([7, 8, 9], np.uint64)
        >>> find_small(ContingencyTable(segments, objects, np.array([10, 4000, 3000])))
        array([ True, False, False])
        >>> find_small(ContingencyTable(segments, objects, np.array([10, 40, 30])))
        array([False, False, False])
    """
    ids, object_of, sizes = _measure_objects(table)
    is_small = (sizes < SMALL_VOXELS) & (ids != 0)
    if sizes[is_small].sum() > SMALL_SHARE * sizes[ids != 0].sum():
        is_small[:] = False
    return is_small[object_of]


def find_pieces(table: ContingencyTable) -> np.ndarray:
    """Find the overlaps of a segment and an object that are pieces, and not differences of boundaries.

    A piece has at least ``REAL_SHARE`` of the object's voxels, and as many as ``SIDES`` sides of a cube of the object's
    volume: in small objects, a layer of a single voxel is already a large share. Half of an object is always a piece, and
    small objects have none.

    Args:
        table: voxels by segment and object. Id 0 on either side is background.

    Returns:
        bool, shape (rows,).

    Examples:
        >>> segments, objects = np.array([1, 2, 3], np.uint64), np.array([7, 7, 7], np.uint64)
        >>> find_pieces(ContingencyTable(segments, objects, np.array([700, 270, 30])))
        array([ True,  True, False])
    """
    _, object_of, sizes = _measure_objects(table)
    smallest = np.minimum(np.maximum(REAL_SHARE * sizes, SIDES * np.cbrt(sizes) ** 2), sizes / 2)[object_of]
    is_object = (table.segment != 0) & (table.ground_truth != 0) & ~find_small(table)
    # Roots are rounded.
    return is_object & (table.count >= smallest * (1 - 1e-9))


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
    _, object_of, sizes = _measure_objects(table)
    lost = np.bincount(object_of, weights=np.where(table.segment == 0, table.count, 0))
    return (lost > 0.5 * sizes)[object_of] & (table.ground_truth != 0)


def _measure_objects(table: ContingencyTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ids of the objects, the object of each overlap as a row of the ids, and the objects' voxels."""
    ids, object_of = np.unique(table.ground_truth, return_inverse=True)
    return ids, object_of, np.bincount(object_of, weights=table.count, minlength=len(ids))


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
    labeled, is_small = table.total, find_small(table)
    small = table.select(is_small)
    table = table.select(~is_small)
    ids, object_of, sizes = _measure_objects(table)
    is_missing = np.zeros(len(ids), bool)
    is_missing[object_of[find_missing(table)]] = True
    is_piece = find_pieces(table) & ~is_missing[object_of]
    pieces = np.bincount(object_of[is_piece], minlength=len(ids))
    segments, segment_of = np.unique(table.segment[is_piece], return_inverse=True)
    is_merging = np.bincount(segment_of, minlength=len(segments)) > 1
    voxels = table.count[is_piece]
    is_minor = voxels < (1 - REAL_SHARE) * np.bincount(segment_of, weights=voxels)[segment_of]
    is_merged = np.zeros(len(ids), bool)
    is_merged[object_of[is_piece][is_merging[segment_of] & is_minor]] = True
    is_whole = (pieces == 1) & ~is_merged
    is_counted = is_piece | is_missing[object_of]
    return ObjectErrors(
        len(ids),
        int(is_whole.sum()),
        int((pieces > 1).sum()),
        int(is_merging.sum()),
        int(is_merged.sum()),
        int(is_missing.sum()),
        len(np.unique(small.ground_truth)),
        float(sizes[is_whole].sum()) / table.total if table.total else 0.0,
        float(table.count[~is_counted].sum()) / table.total if table.total else 0.0,
        small.total / labeled if labeled else 0.0,
    )
