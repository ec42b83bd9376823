"""Scores of binary segmentations: a table of counts and distances, and 21 scores that follow from it.

T is the set of true voxels, P that of predicted voxels; distances are between voxel centers, in world units.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from attacca.evaluators.scores import UNBOUNDED, ChannelScores, Criterion, EvaluationScores

DISTANCE_FRACTION_BITS = 32
"""Sums of distances are integers in units of 2^-32 world units, so that their order does not matter."""


@dataclass(frozen=True)
class BinaryTable:
    """Sums over blocks: voxel counts, sums of distances, largest distances. All are exact integers.

    Attributes:
        true_positives, false_positives, false_negatives, true_negatives: numbers of voxels.
        far_positives: predicted voxels whose distance to the nearest true one is above the tolerance.
        far_negatives: true voxels whose distance to the nearest predicted one is above the tolerance.
        positive_distance: sum over predicted voxels of the distance to the nearest true one, in 2^-32 world
            units.
        negative_distance: sum over true voxels of the distance to the nearest predicted one, in 2^-32 world
            units.
        positive_distance_clipped, negative_distance_clipped: the same sums of clipped distances.
        largest_positive, largest_negative: maximum of these distances, squared, in world units.

    Examples:
        >>> (BinaryTable(true_positives=1) + BinaryTable(true_positives=2)).true_positives
        3
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    true_negatives: int = 0
    far_positives: int = 0
    far_negatives: int = 0
    positive_distance: int = 0
    negative_distance: int = 0
    positive_distance_clipped: int = 0
    negative_distance_clipped: int = 0
    largest_positive: int = 0
    largest_negative: int = 0

    def __add__(self, other: "BinaryTable") -> "BinaryTable":
        values = {}
        for field in fields(self):
            pair = getattr(self, field.name), getattr(other, field.name)
            values[field.name] = max(pair) if field.name.startswith("largest") else sum(pair)
        return BinaryTable(**values)

    def to_dict(self) -> dict[str, int]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @property
    def predicted(self) -> int:
        """Number of voxels of P."""
        return self.true_positives + self.false_positives

    @property
    def true(self) -> int:
        """Number of voxels of T."""
        return self.true_positives + self.false_negatives


_RATIO = "nan only where the definition is 0 / 0"
_HAUSDORFF = (
    "largest distance of a voxel of one side from the other; 0 if both sides are empty, nan if one is"
)
_DISTANCE = "mean over all {of} voxels, in which those that agree count as 0"


def _list_criteria(
    unit: str = "nanometer",
    clip_distance: float | None = None,
    tol_distance: float | None = None,
    note: str = "",
) -> list[Criterion]:
    """Return the 21 criteria of binary segmentations, in the order of reports.

    Args:
        unit: length unit of distances.
        clip_distance: upper limit of distances in ``..._clipped``, in world units; None if unknown.
        tol_distance: tolerated distance of errors in ``..._with_tolerance``, in world units; None if unknown.
        note: preparation of the ground truth in words, at the end of each convention.
    """
    end = f"; {note}" if note else ""
    clip = "distances clipped" + ("" if clip_distance is None else f" at {clip_distance:g}")
    tolerance = "an error counts if its distance to the other side is above " + (
        "the tolerance" if tol_distance is None else f"{tol_distance:g}"
    )
    length = (0.0, UNBOUNDED)
    predicted, true = _DISTANCE.format(of="predicted"), _DISTANCE.format(of="true")

    def rate(name: str, higher: bool, definition: str, store_best: bool = False) -> Criterion:
        return Criterion(name, higher, (0.0, 1.0), "", store_best, definition + end)

    def distance(name: str, definition: str) -> Criterion:
        return Criterion(name, False, length, unit, False, definition + end)

    return [
        rate("dice", True, f"2 tp / (2 tp + fp + fn); {_RATIO}"),
        rate("jaccard", True, f"tp / (tp + fp + fn); {_RATIO}"),
        distance("hausdorff", _HAUSDORFF),
        rate("false_negative_rate", False, f"fn / (tp + fn); {_RATIO}"),
        rate("false_negative_rate_with_tolerance", False, f"far fn / (tp + fn); {tolerance}"),
        rate("false_positive_rate", False, f"fp / (fp + tn); {_RATIO}"),
        rate("false_discovery_rate", False, f"fp / (tp + fp); {_RATIO}"),
        rate("false_positive_rate_with_tolerance", False, f"far fp / (fp + tn); {tolerance}"),
        Criterion(
            "voi", False, (0.0, 2.0), "bits", True, "split + merge, log2; background is an object" + end
        ),
        distance("mean_false_distance", "mean of the two mean distances, of predicted and of true voxels"),
        distance("mean_false_negative_distance", f"to the nearest predicted voxel, {true}"),
        distance("mean_false_positive_distance", f"to the nearest true voxel, {predicted}"),
        distance("mean_false_distance_clipped", f"mean of the two mean distances; {clip}"),
        distance("mean_false_negative_distance_clipped", f"to the nearest predicted voxel, {true}; {clip}"),
        distance("mean_false_positive_distance_clipped", f"to the nearest true voxel, {predicted}; {clip}"),
        rate(
            "precision_with_tolerance",
            True,
            f"right / (right + far fp), right = |P or T| - far fp - far fn; {tolerance}",
        ),
        rate(
            "recall_with_tolerance",
            True,
            f"right / (right + far fn), right = |P or T| - far fp - far fn; {tolerance}",
        ),
        rate("f1_score_with_tolerance", True, f"2 right / (2 right + far fp + far fn); {tolerance}"),
        rate("precision", True, f"tp / (tp + fp); {_RATIO}"),
        rate("recall", True, f"tp / (tp + fn); {_RATIO}"),
        rate("f1_score", True, f"2 tp / (2 tp + fp + fn); {_RATIO}", store_best=True),
    ]


class BinarySegmentationEvaluationScores(EvaluationScores):
    """The 21 scores of one binary segmentation.

    Args:
        unit: length unit of distances.
        clip_distance: upper limit of clipped distances, in world units.
        tol_distance: errors up to this distance are tolerated, in world units.
        note: preparation of the ground truth, in words.
        values: values by name.
    """

    def __init__(
        self,
        unit: str = "nanometer",
        clip_distance: float | None = None,
        tol_distance: float | None = None,
        note: str = "",
        **values: float,
    ) -> None:
        super().__init__(_list_criteria(unit, clip_distance, tol_distance, note), values)


class MultiChannelBinarySegmentationEvaluationScores(ChannelScores):
    """The scores of several channels, with names such as ``nucleus__f1_score``.

    Args:
        channel_scores: name and scores of each channel, in order.
    """

    def __init__(self, channel_scores: Sequence[tuple[str, BinarySegmentationEvaluationScores]]) -> None:
        super().__init__(channel_scores)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _conditional_entropy(joint: Sequence[int], given: Sequence[int], total: int) -> float:
    # H(X | Y) in bits, from the counts of (x, y) and, in the same order, of y.
    terms = [n / total * (math.log2(g) - math.log2(n)) for n, g in zip(joint, given) if n]
    return math.fsum(terms)


def scores_from_binary_table(
    table: BinaryTable,
    clip_distance: float,
    tol_distance: float,
    unit: str = "nanometer",
    note: str = "",
) -> BinarySegmentationEvaluationScores:
    """Return the 21 scores of a table.

    If one side is empty, scores follow their definitions: the recall of an empty prediction is 0, clipped
    distances have the upper limit. Scores are nan if the definition is 0 / 0 or infinite.

    Args:
        table: table of a volume, which is the sum over its blocks, for the same two distances.
        clip_distance: upper limit of clipped distances, in world units.
        tol_distance: errors up to this distance are tolerated, in world units.
        unit: length unit of distances.
        note: preparation of the ground truth in words, stored with each score.

    Examples:
        >>> table = BinaryTable(true_positives=6, false_positives=2, false_negatives=2, true_negatives=90)
        >>> scores_from_binary_table(table, clip_distance=40, tol_distance=8).f1_score
        0.75
    """
    tp, fp = table.true_positives, table.false_positives
    fn, tn = table.false_negatives, table.true_negatives
    far_fp, far_fn = table.far_positives, table.far_negatives
    right = tp + fp + fn - far_fp - far_fn
    values: dict[str, Any] = {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "jaccard": _ratio(tp, tp + fp + fn),
        "false_negative_rate": _ratio(fn, tp + fn),
        "false_negative_rate_with_tolerance": _ratio(far_fn, tp + fn),
        "false_positive_rate": _ratio(fp, fp + tn),
        "false_discovery_rate": _ratio(fp, tp + fp),
        "false_positive_rate_with_tolerance": _ratio(far_fp, fp + tn),
        "precision_with_tolerance": _ratio(right, right + far_fp),
        "recall_with_tolerance": _ratio(right, right + far_fn),
        "f1_score_with_tolerance": _ratio(2 * right, 2 * right + far_fp + far_fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1_score": _ratio(2 * tp, 2 * tp + fp + fn),
    }
    total = tp + fp + fn + tn
    if total:
        cells = (tp, fp, fn, tn)
        given_ground_truth = (tp + fn, fp + tn, tp + fn, fp + tn)
        given_prediction = (tp + fp, tp + fp, fn + tn, fn + tn)
        split = _conditional_entropy(cells, given_ground_truth, total)
        values["voi"] = split + _conditional_entropy(cells, given_prediction, total)
    if table.predicted and table.true:
        values["hausdorff"] = math.sqrt(max(table.largest_positive, table.largest_negative))
        values["mean_false_positive_distance"] = _mean_distance(table.positive_distance, table.predicted)
        values["mean_false_negative_distance"] = _mean_distance(table.negative_distance, table.true)
    elif not table.predicted and not table.true:
        values["hausdorff"] = 0.0
    clipped = {
        "positive": _mean_distance(table.positive_distance_clipped, table.predicted),
        "negative": _mean_distance(table.negative_distance_clipped, table.true),
    }
    for side, mean in clipped.items():
        values[f"mean_false_{side}_distance_clipped"] = mean
    for end in ("", "_clipped"):
        both = [values.get(f"mean_false_{side}_distance{end}", math.nan) for side in clipped]
        values[f"mean_false_distance{end}"] = sum(both) / 2
    return BinarySegmentationEvaluationScores(unit, clip_distance, tol_distance, note, **values)


def _mean_distance(total: int, voxels: int) -> float:
    return _ratio(total, voxels << DISTANCE_FRACTION_BITS)
