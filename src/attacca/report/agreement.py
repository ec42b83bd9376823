"""Segmentation against truth, block by block: who overlaps whom, and what each error costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array
from attacca.evaluators.contingency import ContingencyTable, contingency_table, merge_tables

LARGEST = 1 << 28
"""Voxels that are compared at most; of a larger volume the middle is taken, and the page says so."""

_BLOCK_VOXELS = 1 << 22


@dataclass(frozen=True)
class Survey:
    """The contingency table of a volume, or of its middle.

    Attributes:
        table: voxels by segment and true object, true background left out.
        roi: what was compared.
        whole: whether that is all that could be compared.
        blocks: the blocks, each with the segments and true objects in it.
    """

    table: ContingencyTable
    roi: Roi
    whole: bool
    blocks: tuple[tuple[Roi, np.ndarray, np.ndarray], ...]

    @property
    def matches(self) -> dict[int, int]:
        """Segment to true object, for pairs that are each other's largest partner."""
        return mutual_matches(self.table)


@dataclass(frozen=True)
class SegmentError:
    """One object that was split, or one segment that merges objects.

    Attributes:
        kind: ``"split"`` or ``"merge"``.
        whole: the true object that was split, or the segment that merges.
        parts: the segments in it, or the true objects, largest first.
        voxels: their voxels in ``whole``.
        share: what it adds to VOI split or VOI merge, in bits.
    """

    kind: str
    whole: int
    parts: tuple[int, ...]
    voxels: tuple[int, ...]
    share: float


def survey(
    segmentation: Array, ground_truth: Array, unlabelled: int | None = None, largest: int = LARGEST
) -> Survey | None:
    """Compare two volumes block by block.

    Args:
        segmentation: predicted ids.
        ground_truth: true ids on the same grid of voxels.
        unlabelled: true id that means that nobody looked; left out as background is.
        largest: number of voxels that are compared at most.

    Returns:
        None where the volumes do not share a grid, or do not meet.
    """
    size = ground_truth.voxel_size
    if segmentation.voxel_size != size or any((segmentation.roi.begin - ground_truth.roi.begin) % size):
        return None
    if ground_truth.num_channels is not None or segmentation.num_channels is not None:
        return None
    everything = segmentation.roi.intersect(ground_truth.roi)
    if everything.empty:
        return None
    roi = _middle(everything, size, largest)
    tables, blocks = [], []
    for block in _blocks(roi, size):
        table = contingency_table(segmentation[block], ground_truth[block])
        table = table.select(table.ground_truth != 0)
        if unlabelled is not None:
            table = table.select(table.ground_truth != np.uint64(unlabelled))
        if len(table):
            tables.append(table)
            blocks.append((block, np.unique(table.segment), np.unique(table.ground_truth)))
    return Survey(merge_tables(tables), roi, roi == everything, tuple(blocks))


def _middle(roi: Roi, size: Coordinate, largest: int) -> Roi:
    shape = list(roi.shape / size)
    while int(np.prod(shape, dtype=np.float64)) > largest:
        longest = int(np.argmax(shape))
        shape[longest] = shape[longest] // 2
    kept = Coordinate(shape) * size
    begin = roi.begin + (roi.shape - kept) / (size * 2) * size
    return Roi(begin, kept)


def _blocks(roi: Roi, size: Coordinate) -> Iterator[Roi]:
    edge = int(_BLOCK_VOXELS ** (1 / roi.dims))
    ranges = [range(0, int(n), edge) for n in roi.shape / size]
    for corner in product(*ranges):
        begin = roi.begin + Coordinate(corner) * size
        yield Roi(begin, Coordinate([edge] * roi.dims) * size).intersect(roi)


def mutual_matches(table: ContingencyTable) -> dict[int, int]:
    """Segment to true object, for pairs that are each other's largest partner; ties go to the smaller id."""
    kept = table.select((table.ground_truth != 0) & (table.segment != 0))
    order = np.lexsort((kept.ground_truth, kept.segment, -kept.count))
    by_segment: dict[int, int] = {}
    by_ground_truth: dict[int, int] = {}
    for row in order:
        segment, ground_truth = int(kept.segment[row]), int(kept.ground_truth[row])
        by_segment.setdefault(segment, ground_truth)
        by_ground_truth.setdefault(ground_truth, segment)
    return {
        segment: ground_truth
        for segment, ground_truth in by_segment.items()
        if by_ground_truth[ground_truth] == segment
    }


def worst_problems(table: ContingencyTable, kind: str, count: int) -> list[SegmentError]:
    """The objects that add most to VOI split, or the segments that add most to VOI merge.

    The share of a true object t is the sum over segments s of p(s, t) log2(p(t) / p(s, t)); shares sum up
    to VOI split.
    Those of segments sum up to VOI merge in the same way (M. Meila, J. Multivariate Analysis 98, 2007).

    Args:
        table: without true background.
        kind: ``"split"`` or ``"merge"``.
        count: largest number of problems.
    """
    total = table.total
    if not total:
        return []
    wholes, parts = (
        (table.ground_truth, table.segment) if kind == "split" else (table.segment, table.ground_truth)
    )
    ids, place = np.unique(wholes, return_inverse=True)
    sizes = np.bincount(place, weights=table.count)
    cost = table.count * (np.log2(sizes[place]) - np.log2(table.count))
    shares = np.bincount(place, weights=cost) / total
    found = []
    for index in np.lexsort((ids, -shares))[: count + 1]:
        # Predicted background is nobody's merge: it is shown as unsegmented, not as an object.
        if shares[index] <= 0 or (kind == "merge" and ids[index] == 0):
            continue
        rows = np.flatnonzero(place == index)
        rows = rows[np.lexsort((parts[rows], -table.count[rows]))]
        found.append(
            SegmentError(
                kind,
                int(ids[index]),
                tuple(int(value) for value in parts[rows]),
                tuple(int(value) for value in table.count[rows]),
                float(shares[index]),
            )
        )
    return found[:count]


@dataclass(frozen=True)
class Contact:
    """Where the two largest parts of a problem meet.

    Attributes:
        centre: a voxel there, in world units.
        axis: the axis across whose planes both parts are seen best.
        touching: whether they share faces there; otherwise it is a place in the smaller part.
    """

    centre: Coordinate
    axis: int
    touching: bool


def find_contact(
    problem: SegmentError, findings: Survey, segmentation: Array, ground_truth: Array
) -> Contact | None:
    """The place where the two largest parts touch most; a second pass over the blocks that hold them."""
    wholes, parts = (ground_truth, segmentation) if problem.kind == "split" else (segmentation, ground_truth)
    size = ground_truth.voxel_size
    best: tuple[int, Contact] | None = None
    fallback: tuple[int, Contact] | None = None
    first = problem.parts[0]
    second = problem.parts[1] if len(problem.parts) > 1 else first
    for block, segments, ground_truths in findings.blocks:
        own, others = (ground_truths, segments) if problem.kind == "split" else (segments, ground_truths)
        if not _among(problem.whole, own) or not _among(second, others):
            continue
        region = block.grow(Coordinate([0] * block.dims), size).intersect(findings.roi)
        inside = wholes[region] == problem.whole
        labels = parts[region]
        a, b = inside & (labels == first), inside & (labels == second)
        faces = [_faces(a, b, axis) for axis in range(a.ndim)]
        touching = np.concatenate(faces)
        held = int(b.sum())
        if held and (fallback is None or held > fallback[0]):
            fallback = held, Contact(region.begin + Coordinate(_typical(np.argwhere(b))) * size, 0, False)
        if len(touching) and (best is None or len(touching) > best[0]):
            centre = _typical(touching)
            visible = [
                min(int(a.take(c, axis).sum()), int(b.take(c, axis).sum())) for axis, c in enumerate(centre)
            ]
            best = (
                len(touching),
                Contact(region.begin + Coordinate(centre) * size, int(np.argmax(visible)), True),
            )
    chosen = best or fallback
    return chosen[1] if chosen else None


def _among(value: int, ids: np.ndarray) -> bool:
    place = int(np.searchsorted(ids, np.uint64(value)))
    return place < len(ids) and int(ids[place]) == value


def _faces(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    before = tuple(slice(None, -1) if i == axis else slice(None) for i in range(a.ndim))
    after = tuple(slice(1, None) if i == axis else slice(None) for i in range(a.ndim))
    return np.argwhere((a[before] & b[after]) | (b[before] & a[after]))


def _typical(places: np.ndarray) -> tuple[int, ...]:
    # The place nearest to the mean of all; the first of equals.
    distance = np.square(places - places.mean(axis=0)).sum(axis=1)
    return tuple(int(value) for value in places[int(np.argmin(distance))])
