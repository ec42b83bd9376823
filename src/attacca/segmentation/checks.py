"""Checks of a segmentation without ground truth, which refuse implausible results.

1. Bad stitching cuts segments at the faces of blocks: more segments end there than on other planes.
2. With a threshold that is too low, one segment fills the volume.
3. An empty or saturated prediction points to the network, its normalization, or the wrong array.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit

from attacca.config.segmentation import CheckThresholds
from attacca.errors import SegmentationCheckError
from attacca.segmentation.box import Triple


@dataclass(frozen=True)
class SeamCount:
    """Numbers of neighboring voxels along each axis, inside blocks and across their faces; counts add up.

    Args:
        ends: int64 (3, 2), pairs of neighbors in different, non-zero segments.
        pairs: int64 (3, 2), all pairs of neighbors in non-zero segments.

    Of 100 pairs of neighbors along x, 20 are segment ends inside blocks, and 80 on faces. Three standard
    deviations of the expected 20 are subtracted from the 80:

    >>> ends, pairs = np.array([[0, 0], [0, 0], [20, 80]]), np.full((3, 2), 100)
    >>> round(SeamCount(ends, pairs).excess(), 2)
    3.33
    """

    ends: np.ndarray
    pairs: np.ndarray

    def __add__(self, other: "SeamCount") -> "SeamCount":
        return SeamCount(self.ends + other.ends, self.pairs + other.pairs)

    @classmethod
    def empty(cls) -> "SeamCount":
        """Return the count of an empty volume."""
        return cls(np.zeros((3, 2), np.int64), np.zeros((3, 2), np.int64))

    def excess(self) -> float:
        """Return the ratio of segment ends on block faces to those on other planes, the maximum over axes.

        At least 1. Axes with fewer than a hundred pairs on faces do not count.
        """
        worst = 1.0
        for axis in range(3):
            inner, faces = self.pairs[axis]
            if inner < 100 or faces < 100:
                continue
            expected = max(self.ends[axis, 0] / inner, 1.0 / inner)
            # Three standard deviations of the expected count are within chance.
            observed = max(0.0, self.ends[axis, 1] - 3.0 * np.sqrt(expected * faces)) / faces
            worst = max(worst, float(observed / expected))
        return worst


def count_seams(segments: np.ndarray, begin: Triple, cell: Triple) -> SeamCount:
    """Count the ends of segments in one part of a segmentation.

    Args:
        segments: uint64 (z, y, x), with one voxel more above along each axis if there is one, to include the
            faces between two parts.
        begin: voxels from the volume's first voxel to the part's.
        cell: voxels of a block; faces are multiples of it from the volume's first voxel.

    Two blocks of two voxels, with a segment that ends at their face:

    >>> count = count_seams(np.array([[[1, 1, 2, 2]]], np.uint64), (0, 0, 0), (1, 1, 2))
    >>> count.ends[2].tolist(), count.pairs[2].tolist()
    ([0, 1], [2, 1])
    """
    ends, pairs = _count(
        np.ascontiguousarray(segments, dtype=np.uint64), np.array(begin, np.int64), np.array(cell, np.int64)
    )
    return SeamCount(ends, pairs)


@njit(cache=True, nogil=True)
def _count(segments, begin, cell):
    ends = np.zeros((3, 2), np.int64)
    pairs = np.zeros((3, 2), np.int64)
    depth, height, width = segments.shape
    for axis in range(3):
        dz = 1 if axis == 0 else 0
        dy = 1 if axis == 1 else 0
        dx = 1 if axis == 2 else 0
        for z in range(depth - dz):
            for y in range(height - dy):
                for x in range(width - dx):
                    a, b = segments[z, y, x], segments[z + dz, y + dy, x + dx]
                    if a == 0 or b == 0:
                        continue
                    upper = begin[axis] + (z + 1 if axis == 0 else (y + 1 if axis == 1 else x + 1))
                    face = 1 if upper % cell[axis] == 0 else 0
                    pairs[axis, face] += 1
                    if a != b:
                        ends[axis, face] += 1
    return ends, pairs


def check_seams(
    counts: Iterable[SeamCount], thresholds: CheckThresholds, name: str = "the segmentation"
) -> float:
    """Return the excess of segment ends on block faces; raise an error if it is above the limit.

    Args:
        counts: counts of parts of the segmentation.
        thresholds: ``max_seam_excess`` is the limit.
        name: name of the segmentation in the message.

    Raises:
        SegmentationCheckError: the excess is above the limit.

    Segments that end at multiples of three voxels, in blocks of seven and of three voxels:

    >>> segments = (np.arange(900) // 3 + 1).astype(np.uint64).reshape(1, 1, 900)
    >>> check_seams([count_seams(segments, (0, 0, 0), (1, 1, 7))], CheckThresholds())
    1.0
    >>> check_seams([count_seams(segments, (0, 0, 0), (1, 1, 3))], CheckThresholds())
    Traceback (most recent call last):
        ...
    attacca.errors.SegmentationCheckError: the segmentation: segments end on the faces of blocks ...
    """
    total = SeamCount.empty()
    for count in counts:
        total = total + count
    excess = total.excess()
    if thresholds.max_seam_excess is not None and excess > thresholds.max_seam_excess:
        raise SegmentationCheckError(
            f"{name}: segments end on the faces of blocks {excess:.2f} times as often as on other planes; "
            f"at most {thresholds.max_seam_excess:g} is allowed. Blocks are badly stitched: give "
            "segmentation.context more voxels, lower segmentation.threshold, or raise "
            "segmentation.checks.max_seam_excess if the segmentation is correct"
        )
    return excess


def check_sizes(
    sizes: np.ndarray,
    num_voxels: int,
    thresholds: CheckThresholds,
    name: str = "the segmentation",
) -> dict[str, float]:
    """Raise an error if a segmentation is empty, or if a single segment dominates it.

    Args:
        sizes: int64 (segments,), voxels of each segment.
        num_voxels: number of voxels inside the mask.
        thresholds: ``min_segmented_share`` and ``max_segment_share`` are the limits.
        name: name of the segmentation in the message.

    Returns:
        ``segmented_share``, ``largest_share`` of the segmented voxels, and ``segments``.

    Raises:
        SegmentationCheckError: a share is beyond its limit.

    >>> check_sizes(np.array([2, 3]), 10, CheckThresholds())
    {'segmented_share': 0.5, 'largest_share': 0.6, 'segments': 2.0}
    """
    segmented = int(sizes.sum())
    share = segmented / max(1, num_voxels)
    largest = int(sizes.max(initial=0)) / max(1, segmented)
    if thresholds.min_segmented_share is not None and share <= thresholds.min_segmented_share:
        raise SegmentationCheckError(
            f"{name}: {100 * share:.3g} % of the voxels belong to a segment; more than "
            f"{100 * thresholds.min_segmented_share:.3g} % is expected. If the prediction is empty, train longer; "
            "else lower segmentation.bias, background_below, or segmentation.checks.min_segmented_share"
        )
    if thresholds.max_segment_share is not None and largest > thresholds.max_segment_share:
        raise SegmentationCheckError(
            f"{name}: one segment has {100 * largest:.3g} % of all segmented voxels; at most "
            f"{100 * thresholds.max_segment_share:.3g} % is allowed. Objects are merged: raise "
            "segmentation.threshold or bias, train longer, or raise segmentation.checks.max_segment_share "
            "if there is only one object"
        )
    return {"segmented_share": share, "largest_share": largest, "segments": float(len(sizes))}


def count_values(affinities: np.ndarray) -> np.ndarray:
    """Return int64 (256,), the number of voxels of each value; histograms of blocks add up.

    Args:
        affinities: uint8, any shape.

    >>> count_values(np.array([0, 0, 2], np.uint8))[:4]
    array([2, 0, 1, 0])
    """
    return np.bincount(affinities.ravel(), minlength=256).astype(np.int64)


def check_prediction(
    histogram: np.ndarray, thresholds: CheckThresholds, name: str = "the prediction"
) -> dict[str, float]:
    """Raise an error if a prediction is constant: all 0, all 1, or one value.

    Args:
        histogram: int64 (256,), of the stored values; see ``count_values``.
        thresholds: ``max_saturated_share`` is the limit.
        name: name of the prediction in the message.

    Returns:
        ``zero_share`` and ``one_share``.

    Raises:
        SegmentationCheckError: the share of one value is above the limit.

    >>> check_prediction(count_values(np.zeros(1000, np.uint8)), CheckThresholds())
    Traceback (most recent call last):
        ...
    attacca.errors.SegmentationCheckError: the prediction is empty (all 0): 100 % of its values are the same; ...
    """
    total = int(histogram.sum())
    shares = {"zero_share": histogram[0] / max(1, total), "one_share": histogram[-1] / max(1, total)}
    value = int(histogram.argmax())
    share = histogram[value] / max(1, total)
    limit = thresholds.max_saturated_share
    if limit is not None and total and share > limit:
        state = {0: "empty (all 0)", 255: "saturated (all 1)"}.get(value, f"constant ({value / 255:.3f})")
        raise SegmentationCheckError(
            f"{name} is {state}: {100 * share:.4g} % of its values are the same; at most {100 * limit:.4g} % "
            "may be. Look at the training curve and at the raw volume's range of values, or raise "
            "segmentation.checks.max_saturated_share"
        )
    return shares
