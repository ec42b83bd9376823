"""Objects that a segmentation keeps whole, splits, merges or misses; differences of boundaries are counted apart.

Two segmentations of the same tissue place each boundary a little differently, so that almost every object has a few
voxels in each neighboring segment. They are slivers and not errors: a part of an object counts only above a share.

The border of a volume cuts objects into tips of a few voxels, which no segmentation gives a segment of their own. They are
not counted, unless the volume consists of such small objects.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from attacca.evaluators.contingency import ContingencyTable, Overlaps
from attacca.evaluators.overlap_sizes import SelectedOverlaps, measure_sides, select_objects

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


@dataclass(frozen=True)
class Objects:
    """Objects of the ground truth.

    Attributes:
        ids: distinct, ascending, uint64, shape (n,); without background (0).
        sizes: voxels, float64, shape (n,).
        is_small: objects of fewer than ``SMALL_VOXELS``, bool, shape (n,). If all of them have more than ``SMALL_SHARE``
            of the labeled voxels, none is small.
        is_missing: objects of which more than half is not segmented, bool, shape (n,).
    """

    ids: np.ndarray
    sizes: np.ndarray
    is_small: np.ndarray
    is_missing: np.ndarray

    @classmethod
    def measure(cls, table: Overlaps) -> "Objects":
        """Measure the objects of a table.

        Args:
            table: voxels by segment and object. Id 0 on either side is background.

        Examples:
            >>> segments, objects = np.array([1, 1, 2], np.uint64), np.array([7, 8, 9], np.uint64)
            >>> Objects.measure(ContingencyTable(segments, objects, np.array([10, 4000, 3000]))).is_small
            array([ True, False, False])
            >>> Objects.measure(ContingencyTable(segments, objects, np.array([10, 40, 30]))).is_small
            array([False, False, False])
            >>> segments, objects = np.array([0, 1, 2], np.uint64), np.array([7, 7, 8], np.uint64)
            >>> Objects.measure(ContingencyTable(segments, objects, np.array([60, 40, 100]))).is_missing
            array([ True, False])
        """
        table = select_objects(table)
        _, objects = measure_sides(table)
        _, lost_objects = measure_sides(SelectedOverlaps(table, lambda piece: piece.segment == 0))
        sizes = objects.sizes.astype(np.float64)
        lost = np.zeros(len(sizes))
        lost[objects.find(lost_objects.ids)] = lost_objects.sizes
        is_small = sizes < SMALL_VOXELS
        if sizes[is_small].sum() > SMALL_SHARE * sizes.sum():
            is_small[:] = False
        return cls(objects.ids, sizes, is_small, lost > 0.5 * sizes)

    def find(self, table: ContingencyTable) -> np.ndarray:
        """Return the object of each overlap as a row; overlaps with background have any row."""
        return np.minimum(np.searchsorted(self.ids, table.ground_truth), max(0, len(self.ids) - 1))

    def find_pieces(self, table: ContingencyTable) -> np.ndarray:
        """Find the overlaps of a segment and an object that are pieces, bool, see ``find_pieces``."""
        is_piece = (table.segment != 0) & (table.ground_truth != 0)
        if not len(self.ids):
            return is_piece
        smallest = np.maximum(REAL_SHARE * self.sizes, SIDES * np.cbrt(self.sizes) ** 2)
        smallest = np.minimum(smallest, self.sizes / 2)
        object_of = self.find(table)
        # Roots are rounded.
        return is_piece & ~self.is_small[object_of] & (table.count >= smallest[object_of] * (1 - 1e-9))

    def find_missing(self, table: ContingencyTable) -> np.ndarray:
        """Find the overlaps of objects that are missing, bool."""
        is_object: np.ndarray = table.ground_truth != 0
        return is_object & self.is_missing[self.find(table)] if len(self.ids) else is_object


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
    return Objects.measure(table).find_pieces(table)


def count_object_errors(table: Overlaps, objects: Objects | None = None) -> ObjectErrors:
    """Count objects that are whole, split, merged or missing.

    Args:
        table: voxels by segment and object. Id 0 on either side is background.
        objects: the objects of the table, if they are measured already.

    Examples:
        >>> segments, objects = np.array([1, 2, 3, 3], np.uint64), np.array([7, 7, 8, 9], np.uint64)
        >>> errors = count_object_errors(ContingencyTable(segments, objects, np.array([700, 300, 500, 500])))
        >>> errors.split, errors.merging, errors.merged, errors.whole
        (1, 1, 2, 0)
    """
    objects = objects or Objects.measure(table)
    labeled, is_small = float(objects.sizes.sum()), objects.is_small
    is_missing = objects.is_missing & ~is_small
    rest = 0
    found = [(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))]
    # An object has at most 1 / REAL_SHARE pieces.
    for overlaps in select_objects(table).pieces():
        object_of = objects.find(overlaps)
        is_piece = objects.find_pieces(overlaps) & ~is_missing[object_of]
        found.append((overlaps.segment[is_piece], object_of[is_piece], overlaps.count[is_piece]))
        rest += int(overlaps.count[~(is_piece | is_missing[object_of] | is_small[object_of])].sum())
    segment_ids, object_of, voxels = map(np.concatenate, zip(*found))
    pieces = np.bincount(object_of, minlength=len(objects.ids))
    segments, segment_of = np.unique(segment_ids, return_inverse=True)
    is_merging = np.bincount(segment_of, minlength=len(segments)) > 1
    is_minor = voxels < (1 - REAL_SHARE) * np.bincount(segment_of, weights=voxels)[segment_of]
    is_merged = np.zeros(len(objects.ids), bool)
    is_merged[object_of[is_merging[segment_of] & is_minor]] = True
    is_whole = (pieces == 1) & ~is_merged
    total = float(objects.sizes[~is_small].sum())
    return ObjectErrors(
        int((~is_small).sum()),
        int(is_whole.sum()),
        int((pieces > 1).sum()),
        int(is_merging.sum()),
        int(is_merged.sum()),
        int(is_missing.sum()),
        int(is_small.sum()),
        float(objects.sizes[is_whole].sum()) / total if total else 0.0,
        rest / total if total else 0.0,
        float(objects.sizes[is_small].sum()) / labeled if labeled else 0.0,
    )
