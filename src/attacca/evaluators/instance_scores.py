"""Scores of instance segmentations, all from one contingency table.

Variation of information: M. Meila, "Comparing clusterings", J. Multivariate Analysis 98 (2007). Adapted Rand
error: I. Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015), and the CREMI challenge. Matched
objects: precision, recall, F1 and tp / (tp + fp + fn) at thresholds of intersection over union, as in the
    2018 Data
Science Bowl (J. C. Caicedo et al., Nature Methods 16, 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from attacca.config.evaluation import EvaluationConfig
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.scores import UNBOUNDED, Criterion, EvaluationScores

Unlabelled = Literal["object", "ignored", "voxels", "cremi"]
"""What predicted voxels with id 0 are where the truth has an object: one ``object``, ``ignored``, each of the
``voxels`` an object of its own, or as in the scripts of ``cremi`` (as ``voxels``, but all of them together
weigh one over the number of voxels in the adapted Rand error)."""

IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class InstanceConvention:
    """How background is counted.

    Attributes:
        ignore_background: leave voxels with truth 0 out of variation of information and Rand error; else 0 is
            an object as any other, on both sides.
        unlabelled: what predicted voxels with id 0 are; has a meaning only with ``ignore_background``.
    """

    ignore_background: bool = True
    unlabelled: Unlabelled = "object"

    @classmethod
    def from_config(cls, evaluation: EvaluationConfig) -> "InstanceConvention":
        """Read the convention from the ``evaluation:`` section of a configuration."""
        return cls(evaluation.ignore_background, evaluation.unlabelled_prediction)

    def describe(self) -> str:
        """The convention in words, for people who compare the scores with those of another program."""
        if not self.ignore_background:
            return "0 is an ordinary label on both sides"
        return (
            "voxels with truth 0 ignored; "
            + {
                "object": "predicted voxels with id 0 are one object",
                "ignored": "predicted voxels with id 0 ignored",
                "voxels": "each predicted voxel with id 0 is an object of its own",
                "cremi": "predicted voxels with id 0 as in the scripts of CREMI",
            }[self.unlabelled]
        )


class Voi(NamedTuple):
    """Variation of information in bits."""

    split: float
    merge: float

    @property
    def total(self) -> float:
        """The sum of both."""
        return self.split + self.merge


class Rand(NamedTuple):
    """Adapted Rand error, and the precision and recall that it is made of: 1 - their harmonic mean."""

    error: float
    precision: float
    recall: float


class Matching(NamedTuple):
    """Objects matched one to one at a threshold of intersection over union."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Matched part of the predicted objects; nan without any."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Matched part of the true objects; nan without any."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; nan where both sides are empty."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def average_precision(self) -> float:
        """tp / (tp + fp + fn); nan where both sides are empty."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")


def _counted(table: ContingencyTable, convention: InstanceConvention) -> tuple[ContingencyTable, np.ndarray]:
    # What is counted, and for each row whether its voxels are objects of their own.
    if convention.ignore_background:
        table = table.select(table.ground_truth != 0)
        if convention.unlabelled == "ignored":
            table = table.select(table.segment != 0)
    alone = np.zeros(len(table), bool)
    if convention.ignore_background and convention.unlabelled in ("voxels", "cremi"):
        alone = table.segment == 0
    return table, alone


def _sizes(ids: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Size of each distinct id, and for each row the position of its id among them.
    distinct, position = np.unique(ids, return_inverse=True)
    sizes = np.zeros(len(distinct), np.int64)
    np.add.at(sizes, position, count)
    return sizes, position


def voi_from_table(table: ContingencyTable, convention: InstanceConvention | None = None) -> Voi:
    """Split H(segmentation | truth), merge H(truth | segmentation), in bits; nan where nothing is counted."""
    table, alone = _counted(table, convention or InstanceConvention())
    total = table.total
    if total == 0:
        return Voi(float("nan"), float("nan"))
    count = table.count.astype(np.float64)
    ground_truth_size, ground_truth_of = _sizes(table.ground_truth, table.count)
    segment_size, segment_of = _sizes(table.segment, table.count)
    shared = np.where(alone, 0.0, np.log2(count))
    split = count * (np.log2(ground_truth_size)[ground_truth_of] - shared)
    merge = count * (np.where(alone, 0.0, np.log2(segment_size)[segment_of]) - shared)
    return Voi(float(split.sum()) / total, float(merge.sum()) / total)


def information_from_table(
    table: ContingencyTable, convention: InstanceConvention | None = None
) -> dict[str, float]:
    """Normalised forms of variation of information, each between 0 and 1.

    Returns:
        ``nvi_split`` and ``nvi_merge``, divided by the joint entropy, and ``nid``, the normalised information
        distance (N. X. Vinh et al., J. Machine Learning Research 11, 2010).
    """
    convention = convention or InstanceConvention()
    voi = voi_from_table(table, convention)
    table, _ = _counted(table, convention)
    if table.total == 0:
        return {"nvi_split": float("nan"), "nvi_merge": float("nan"), "nid": float("nan")}
    ground_truth_size, _ = _sizes(table.ground_truth, table.count)
    ground_truth_part = ground_truth_size / table.total
    ground_truth_entropy = float(-(ground_truth_part * np.log2(ground_truth_part)).sum())
    joint = ground_truth_entropy + voi.split
    segment_entropy = joint - voi.merge
    larger = max(ground_truth_entropy, segment_entropy)
    mutual = ground_truth_entropy - voi.merge
    return {
        "nvi_split": voi.split / joint if joint > 0 else 0.0,
        "nvi_merge": voi.merge / joint if joint > 0 else 0.0,
        "nid": 1.0 - mutual / larger if larger > 0 else 0.0,
    }


def rand_from_table(
    table: ContingencyTable, convention: InstanceConvention | None = None, volume: int | None = None
) -> Rand:
    """Adapted Rand error over pairs of voxels, each voxel paired with itself too.

    Args:
        table: the contingency table.
        convention: how background is counted.
        volume: number of voxels for ``unlabelled="cremi"``; all voxels of the table by default.

    Returns:
        Error, precision (of two voxels in one segment, how often they are in one object) and recall; nan
        where nothing is counted.
    """
    convention = convention or InstanceConvention()
    everything = table.total if volume is None else volume
    table, alone = _counted(table, convention)
    if table.total == 0:
        return Rand(float("nan"), float("nan"), float("nan"))
    ground_truth_size, _ = _sizes(table.ground_truth, table.count)
    segment_size, _ = _sizes(table.segment[~alone], table.count[~alone])
    lone = float(table.count[alone].sum())
    if convention.unlabelled == "cremi":
        lone /= everything
    shared = _sum_of_squares(table.count[~alone]) + lone
    precision = shared / (_sum_of_squares(segment_size) + lone)
    recall = shared / _sum_of_squares(ground_truth_size)
    return Rand(1.0 - 2.0 * precision * recall / (precision + recall), precision, recall)


def _sum_of_squares(counts: np.ndarray) -> float:
    # Squares of counts above 3e9 leave int64; float64 keeps 53 bits of each.
    return float(np.square(counts.astype(np.float64)).sum())


def match_objects(table: ContingencyTable, thresholds: Sequence[float]) -> dict[float, Matching]:
    """Match predicted and true objects one to one, as many as possible at each threshold.

    0 is no object on either side; voxels of background count in the size of the object on the other side.

    Args:
        table: the contingency table.
        thresholds: a match needs this intersection over union, or more; above 0.

    Raises:
        ValueError: a threshold is not above 0 and at most 1.
    """
    bad = [threshold for threshold in thresholds if not 0 < threshold <= 1]
    if bad:
        raise ValueError(f"thresholds of intersection over union lie above 0 and up to 1; found {bad}")
    segment_size, segment_of = _sizes(table.segment, table.count)
    ground_truth_size, ground_truth_of = _sizes(table.ground_truth, table.count)
    both = (table.segment != 0) & (table.ground_truth != 0)
    segments, ground_truths, shared = segment_of[both], ground_truth_of[both], table.count[both]
    iou = shared / (segment_size[segments] + ground_truth_size[ground_truths] - shared)
    predicted = len(segment_size) - int((table.segment == 0).any())
    true = len(ground_truth_size) - int((table.ground_truth == 0).any())
    result = {}
    for threshold in thresholds:
        candidates = iou >= threshold
        if threshold > 0.5:
            # Two objects that share more than half of their union share it with no other.
            matched = int(candidates.sum())
        else:
            graph = csr_array(
                (np.ones(int(candidates.sum()), np.int8), (ground_truths[candidates], segments[candidates])),
                shape=(len(ground_truth_size), len(segment_size)),
            )
            matched = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
        result[threshold] = Matching(matched, predicted - matched, true - matched)
    return result


def threshold_suffix(threshold: float) -> str:
    """``0.5`` becomes ``iou50``, ``0.125`` becomes ``iou12.5``."""
    return f"iou{100 * threshold:.10g}"


def instance_criteria(
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    convention: InstanceConvention | None = None,
    note: str = "",
) -> list[Criterion]:
    """The kinds of instance scores: variation of information, adapted Rand error, and matched objects.

    Args:
        thresholds: of intersection over union.
        convention: how background is counted.
        note: what else was done to truth or segmentation; ends each convention.
    """
    end = f"; {note}" if note else ""
    background = (convention or InstanceConvention()).describe() + end
    bits = (0.0, UNBOUNDED)
    rand = f"over pairs of voxels; {background}"
    matched = "objects matched one to one; 0 is no object on either side, its voxels count in the union" + end
    mean = f"mean over thresholds of {', '.join(f'{t:g}' for t in thresholds)}; {matched}"
    criteria = [
        Criterion("voi_split", False, bits, "bits", True, f"H(segmentation | truth), log2; {background}"),
        Criterion("voi_merge", False, bits, "bits", True, f"H(truth | segmentation), log2; {background}"),
        Criterion("voi", False, bits, "bits", True, f"split + merge, log2; {background}"),
        Criterion("adapted_rand_error", False, convention=f"1 - F score of Rand, {rand}"),
        Criterion("rand_precision", True, convention=f"low where objects are merged, {rand}"),
        Criterion("rand_recall", True, convention=f"low where objects are split, {rand}"),
        Criterion("average_precision", True, convention=f"tp / (tp + fp + fn), {mean}"),
    ]
    for threshold in thresholds:
        end_of_name = threshold_suffix(threshold)
        at = f"intersection over union of at least {threshold:g}, {matched}"
        criteria += [
            Criterion(f"precision_{end_of_name}", True, convention=at),
            Criterion(f"recall_{end_of_name}", True, convention=at),
            Criterion(f"f1_{end_of_name}", True, convention=at),
            Criterion(f"average_precision_{end_of_name}", True, convention=f"tp / (tp + fp + fn); {at}"),
        ]
    return criteria


class InstanceEvaluationScores(EvaluationScores):
    """Variation of information, adapted Rand error and matched objects of one segmentation.

    Args:
        thresholds: of intersection over union.
        convention: how background was counted.
        note: what else was done to truth or segmentation before they were compared.
        values: values by name; ``voi`` is the sum of ``voi_split`` and ``voi_merge`` and is not given.
    """

    def __init__(
        self,
        thresholds: Sequence[float] = IOU_THRESHOLDS,
        convention: InstanceConvention | None = None,
        note: str = "",
        **values: float,
    ) -> None:
        values["voi"] = values.get("voi_split", float("nan")) + values.get("voi_merge", float("nan"))
        super().__init__(instance_criteria(thresholds, convention, note), values)


def scores_from_table(
    table: ContingencyTable,
    convention: InstanceConvention | None = None,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    note: str = "",
) -> InstanceEvaluationScores:
    """All instance scores of a contingency table.

    Args:
        table: of one volume, or the sum over its blocks.
        convention: how background is counted.
        thresholds: of intersection over union, for matched objects.
        note: what else was done to truth or segmentation; it is stored with each score.
    """
    convention = convention or InstanceConvention()
    voi = voi_from_table(table, convention)
    rand = rand_from_table(table, convention)
    values = {
        "voi_split": voi.split,
        "voi_merge": voi.merge,
        "adapted_rand_error": rand.error,
        "rand_precision": rand.precision,
        "rand_recall": rand.recall,
    }
    matchings = match_objects(table, thresholds)
    for threshold, matching in matchings.items():
        end_of_name = threshold_suffix(threshold)
        values[f"precision_{end_of_name}"] = matching.precision
        values[f"recall_{end_of_name}"] = matching.recall
        values[f"f1_{end_of_name}"] = matching.f1
        values[f"average_precision_{end_of_name}"] = matching.average_precision
    if matchings:
        averages = [matching.average_precision for matching in matchings.values()]
        values["average_precision"] = float(np.mean(averages))
    return InstanceEvaluationScores(thresholds, convention, note, **values)
