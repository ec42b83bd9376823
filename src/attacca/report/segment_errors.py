"""Split and merge errors of a segmentation, ranked by their share of VOI, and their locations."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.evaluators.contingency import ContingencyTable
from attacca.report.label_overlap import LabelOverlap

ErrorKind = Literal["split", "merge"]


@dataclass(frozen=True)
class SegmentError:
    """A ground-truth object that was split, or a segment that merges objects.

    Attributes:
        kind: ``"split"`` or ``"merge"``.
        whole: id of the object that was split, or of the segment that merges.
        parts: ids of the segments in the object, or of the objects in the segment: pieces first, largest first.
        voxels: number of voxels of each part in ``whole``.
        share: contribution to VOI split or VOI merge, in bits.
        part_of_total: ``share`` divided by the sum over all errors of the kind.
        pieces: number of segments or objects among ``parts`` that are pieces; the others are differences of boundaries.
    """

    kind: ErrorKind
    whole: int
    parts: tuple[int, ...]
    voxels: tuple[int, ...]
    share: float
    part_of_total: float
    pieces: int


def rank_segment_errors(
    table: ContingencyTable, kind: ErrorKind, count: int, is_piece: np.ndarray | None = None
) -> list[SegmentError]:
    """Return the objects that add most to VOI split, or the segments that add most to VOI merge.

    The share of an object t is the sum over segments s of p(s, t) log2(p(t) / p(s, t)). The shares of all
    objects sum up to VOI split, those of all segments to VOI merge (M. Meila, J. Multivariate Analysis 98,
    2007).

    Args:
        table: overlaps without the background of the ground truth.
        kind: ``"split"`` or ``"merge"``.
        count: largest number of errors.
        is_piece: rows that are pieces, bool, shape (rows,). Objects and segments with a single piece are left out, except
            objects that are mostly unsegmented. By default, each row is a piece.
    """
    total = table.total
    if not total:
        return []
    wholes, parts = (
        (table.ground_truth, table.segment) if kind == "split" else (table.segment, table.ground_truth)
    )
    ids, index_of_row = np.unique(wholes, return_inverse=True)
    sizes = np.bincount(index_of_row, weights=table.count)
    cost = table.count * (np.log2(sizes[index_of_row]) - np.log2(table.count))
    shares = np.bincount(index_of_row, weights=cost) / total
    if kind == "merge":
        # Predicted background does not count as a merge error: it is shown as unsegmented.
        shares[ids == 0] = 0
    sum_of_shares = shares.sum()
    is_error = shares > 0
    if is_piece is None:
        is_piece = parts != 0
    else:
        is_lost = np.bincount(index_of_row, weights=np.where(parts == 0, table.count, 0)) > 0.5 * sizes
        is_error &= (np.bincount(index_of_row[is_piece], minlength=len(ids)) > 1) | (
            is_lost & (kind == "split")
        )
    pieces = np.bincount(index_of_row[is_piece], minlength=len(ids))
    candidates = np.flatnonzero(is_error)
    errors = []
    for index in candidates[np.lexsort((ids[candidates], -shares[candidates]))][:count]:
        rows = np.flatnonzero(index_of_row == index)
        rows = rows[np.lexsort((parts[rows], -table.count[rows], ~is_piece[rows] & (parts[rows] != 0)))]
        errors.append(
            SegmentError(
                kind,
                int(ids[index]),
                tuple(int(value) for value in parts[rows]),
                tuple(int(value) for value in table.count[rows]),
                float(shares[index]),
                float(shares[index] / sum_of_shares),
                int(pieces[index]),
            )
        )
    return errors


@dataclass(frozen=True)
class Contact:
    """The location at which the two largest parts of an error meet.

    Attributes:
        center: a voxel at the contact, in world units.
        axis: the axis across whose planes most of both parts is visible.
        is_touching: True if the parts share faces there, False if the location is inside the smaller part.
    """

    center: Coordinate
    axis: int
    is_touching: bool


def find_contact(
    error: SegmentError, overlap: LabelOverlap, segmentation: Array, ground_truth: Array
) -> Contact | None:
    """Find the location with the largest contact of the two largest parts.

    Only the blocks that hold the parts are read again.

    Args:
        error: the split or merge error.
        overlap: overlap of the two volumes.
        segmentation: segment ids.
        ground_truth: object ids.
    """
    wholes, parts = (ground_truth, segmentation) if error.kind == "split" else (segmentation, ground_truth)
    size = ground_truth.voxel_size
    largest_contact: tuple[int, Contact] | None = None
    fallback: tuple[int, Contact] | None = None
    first = error.parts[0]
    second = error.parts[1] if len(error.parts) > 1 else first
    for block, segments, objects in overlap.blocks:
        whole_ids, part_ids = (objects, segments) if error.kind == "split" else (segments, objects)
        if not _contains(whole_ids, error.whole) or not _contains(part_ids, second):
            continue
        # One voxel more, so that contacts across the borders of blocks are seen.
        region = block.grow(Coordinate([0] * block.dims), size).intersect(overlap.roi)
        mask = wholes[region] == error.whole
        labels = parts[region]
        a, b = mask & (labels == first), mask & (labels == second)
        touching = np.concatenate([_find_faces(a, b, axis) for axis in range(a.ndim)])
        voxels = int(b.sum())
        if voxels and (fallback is None or voxels > fallback[0]):
            center = region.begin + Coordinate(_choose_central(np.argwhere(b))) * size
            fallback = voxels, Contact(center, 0, False)
        if len(touching) and (largest_contact is None or len(touching) > largest_contact[0]):
            voxel = _choose_central(touching)
            visible = [
                min(int(a.take(c, axis).sum()), int(b.take(c, axis).sum())) for axis, c in enumerate(voxel)
            ]
            center = region.begin + Coordinate(voxel) * size
            largest_contact = len(touching), Contact(center, int(np.argmax(visible)), True)
    chosen = largest_contact or fallback
    return chosen[1] if chosen else None


def _contains(ids: np.ndarray, value: int) -> bool:
    index = int(np.searchsorted(ids, np.uint64(value)))
    return index < len(ids) and int(ids[index]) == value


def _find_faces(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """Return the lower voxels of pairs of neighbors along an axis, one in each mask; shape (n, dims)."""
    lower = tuple(slice(None, -1) if i == axis else slice(None) for i in range(a.ndim))
    upper = tuple(slice(1, None) if i == axis else slice(None) for i in range(a.ndim))
    return np.argwhere((a[lower] & b[upper]) | (b[lower] & a[upper]))


def _choose_central(voxels: np.ndarray) -> tuple[int, ...]:
    """Return the voxel nearest to the mean of all, the first of several."""
    distance = np.square(voxels - voxels.mean(axis=0)).sum(axis=1)
    return tuple(int(value) for value in voxels[int(np.argmin(distance))])
