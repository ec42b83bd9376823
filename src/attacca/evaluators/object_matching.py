"""Objects of two segmentations that are matched one to one by their intersection over union.

Precision, recall, F1 and tp / (tp + fp + fn) at thresholds of intersection over union, as in the 2018 Data Science Bowl
(J. C. Caicedo et al., Nature Methods 16, 2019).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from attacca.evaluators.contingency import Overlaps
from attacca.evaluators.overlap_sizes import SelectedOverlaps, measure_sides


class Matching(NamedTuple):
    """Numbers of objects that are matched one to one at a threshold of intersection over union.

    Examples:
        >>> Matching(true_positives=3, false_positives=1, false_negatives=0).precision
        0.75
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Fraction of predicted objects that are matched; nan without predicted objects."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Fraction of true objects that are matched; nan without true objects."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan if both sides are empty."""
        wrong = self.false_positives + self.false_negatives
        return ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def average_precision(self) -> float:
        """tp / (tp + fp + fn); nan if both sides are empty."""
        return ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)


def ratio(numerator: float, denominator: float) -> float:
    """Return a quotient; nan if the denominator is 0.

    Examples:
        >>> ratio(3, 4), ratio(0, 0)
        (0.75, nan)
    """
    return numerator / denominator if denominator else float("nan")


def match_objects(table: Overlaps, thresholds: Sequence[float]) -> dict[float, Matching]:
    """Match as many predicted and true objects as possible, one to one, at each threshold.

    Id 0 is background on both sides; its voxels count in the union with the object on the other side.

    Args:
        table: the contingency table.
        thresholds: minimum intersection over union of a match, above 0 and at most 1.

    Returns:
        Numbers of objects by threshold.

    Raises:
        ValueError: a threshold is not above 0 and at most 1.

    Examples:
        >>> from attacca.evaluators.contingency import ContingencyTable
        >>> ids = np.array([1, 2], np.uint64)
        >>> two_thirds = ContingencyTable(ids, np.array([1, 1], np.uint64), np.array([2, 1]))
        >>> match_objects(two_thirds, [0.6])
        {0.6: Matching(true_positives=1, false_positives=1, false_negatives=0)}
    """
    bad = [threshold for threshold in thresholds if not 0 < threshold <= 1]
    if bad:
        raise ValueError(
            f"thresholds of intersection over union: found {bad}, expected numbers above 0 and at most 1"
        )
    segments, objects = measure_sides(table)
    matched = dict.fromkeys(thresholds, 0)
    # Up to 0.5, an object can match several others. There are at most 1 / threshold of them for each object.
    candidates = [(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))]
    low = [threshold for threshold in matched if threshold <= 0.5]
    for piece in SelectedOverlaps(
        table, lambda rows: (rows.segment != 0) & (rows.ground_truth != 0)
    ).pieces():
        of_segment, of_object = segments.find(piece.segment), objects.find(piece.ground_truth)
        iou = piece.count / (segments.sizes[of_segment] + objects.sizes[of_object] - piece.count)
        for threshold in matched:
            matched[threshold] += int((iou >= threshold).sum())
        if low:
            is_candidate = iou >= min(low)
            candidates.append((iou[is_candidate], of_object[is_candidate], of_segment[is_candidate]))
    iou, of_object, of_segment = map(np.concatenate, zip(*candidates))
    for threshold in low:
        is_candidate = iou >= threshold
        graph = csr_array(
            (np.ones(int(is_candidate.sum()), np.int8), (of_object[is_candidate], of_segment[is_candidate])),
            shape=(len(objects.ids), len(segments.ids)),
        )
        matched[threshold] = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    predicted, true = (len(side.without(0).ids) for side in (segments, objects))
    return {
        threshold: Matching(count, predicted - count, true - count) for threshold, count in matched.items()
    }


def format_threshold(threshold: float) -> str:
    """Return the end of the names of scores at a threshold.

    Examples:
        >>> format_threshold(0.5), format_threshold(0.125)
        ('iou50', 'iou12.5')
    """
    return f"iou{100 * threshold:.10g}"
