"""Scores of instance segmentations, computed from a contingency table.

- Variation of information: M. Meila, "Comparing clusterings", J. Multivariate Analysis 98 (2007).
- Adapted Rand error: I. Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015), and the CREMI
  challenge.
- CREMI score: the geometric mean of variation of information and adapted Rand error (challenge "Circuit Reconstruction from
  Electron Microscopy Images", cremi.org).
- Whole objects: see ``object_errors``.
- Matched objects: see ``object_matching``.

Tables are read a piece at a time, several times. In memory are the sizes of all ids, and not the pairs of ids. Sums of
floating-point numbers are added up over pieces that do not depend on blocks, shards, or where the table is stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from attacca.config.evaluation import EvaluationConfig
from attacca.evaluators.contingency import ContingencyTable, Overlaps
from attacca.evaluators.object_errors import REAL_SHARE, SIDES, SMALL_SHARE, SMALL_VOXELS, count_object_errors
from attacca.evaluators.object_matching import format_threshold, match_objects, ratio
from attacca.evaluators.overlap_sizes import IdSizes, SelectedOverlaps, measure_sides, select_objects
from attacca.evaluators.scores import UNBOUNDED, Criterion, EvaluationScores

Unlabelled = Literal["object", "ignored", "voxels", "cremi"]
"""Treatment of predicted voxels with id 0 within true objects: one ``object``, ``ignored``, each of the
``voxels`` an object of its own, or as in the scripts of ``cremi`` (like ``voxels``, but in the adapted Rand error
the sum of their contributions is divided by the number of voxels)."""

IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class InstanceConvention:
    """Treatment of background in variation of information and Rand error.

    Attributes:
        ignore_background: exclude voxels with ground truth 0. Without it, 0 is an object like any other, on
            both sides.
        unlabelled: treatment of predicted voxels with id 0; used only with ``ignore_background``.
    """

    ignore_background: bool = True
    unlabelled: Unlabelled = "object"

    @classmethod
    def from_config(cls, evaluation: EvaluationConfig) -> "InstanceConvention":
        """Read the convention from the ``evaluation:`` section of a configuration."""
        return cls(evaluation.ignore_background, evaluation.unlabelled_prediction)

    def describe(self) -> str:
        """Return the convention in words."""
        if not self.ignore_background:
            return "0 is an ordinary label on both sides"
        return (
            "voxels with ground truth 0 ignored; "
            + {
                "object": "predicted voxels with id 0 are one object",
                "ignored": "predicted voxels with id 0 ignored",
                "voxels": "each predicted voxel with id 0 is an object of its own",
                "cremi": "predicted voxels with id 0 as in the scripts of CREMI",
            }[self.unlabelled]
        )


class Voi(NamedTuple):
    """Variation of information in bits.

    Examples:
        >>> Voi(split=0.5, merge=0.25).total
        0.75
    """

    split: float
    merge: float

    @property
    def total(self) -> float:
        """Sum of split and merge."""
        return self.split + self.merge


class Rand(NamedTuple):
    """Adapted Rand error: 1 - harmonic mean of precision and recall."""

    error: float
    precision: float
    recall: float


@dataclass(frozen=True)
class _Counted:
    """The overlaps that count under a convention, with the sizes of both sides."""

    table: Overlaps
    convention: InstanceConvention
    segments: IdSizes
    objects: IdSizes

    @classmethod
    def select(cls, table: Overlaps, convention: InstanceConvention | None) -> "_Counted":
        convention = convention or InstanceConvention()
        if convention.ignore_background:
            table = select_objects(table)
            if convention.unlabelled == "ignored":
                table = SelectedOverlaps(table, lambda piece: piece.segment != 0)
        return cls(table, convention, *measure_sides(table))

    @property
    def has_lone_voxels(self) -> bool:
        """True if voxels of segment 0 are objects of their own."""
        return self.convention.ignore_background and self.convention.unlabelled in ("voxels", "cremi")

    def pieces(self) -> Iterator[tuple[ContingencyTable, np.ndarray]]:
        """Yield pieces of the table, and for each row whether its voxels are objects of their own."""
        for piece in self.table.pieces():
            yield piece, piece.segment == 0 if self.has_lone_voxels else np.zeros(len(piece), bool)


def voi_from_table(table: Overlaps, convention: InstanceConvention | None = None) -> Voi:
    """Return H(segmentation | ground truth) (split) and H(ground truth | segmentation) (merge), in bits.

    Args:
        table: the contingency table.
        convention: treatment of background.

    Returns:
        Split and merge; nan if no voxel counts.

    Examples:
        >>> ids = np.array([1, 2], np.uint64)
        >>> two_halves = ContingencyTable(ids, np.array([1, 1], np.uint64), np.array([4, 4]))
        >>> voi_from_table(two_halves)
        Voi(split=1.0, merge=0.0)
    """
    return _compute_voi(_Counted.select(table, convention))


def _compute_voi(counted: _Counted) -> Voi:
    total = counted.objects.total
    if total == 0:
        return Voi(float("nan"), float("nan"))
    log_object, log_segment = np.log2(counted.objects.sizes), np.log2(counted.segments.sizes)
    split = merge = 0.0
    for piece, alone in counted.pieces():
        count = piece.count.astype(np.float64)
        shared = np.where(alone, 0.0, np.log2(count))
        split += float((count * (log_object[counted.objects.find(piece.ground_truth)] - shared)).sum())
        of_segment = np.where(alone, 0.0, log_segment[counted.segments.find(piece.segment)])
        merge += float((count * (of_segment - shared)).sum())
    return Voi(split / total, merge / total)


def information_from_table(table: Overlaps, convention: InstanceConvention | None = None) -> dict[str, float]:
    """Return normalized forms of variation of information, each between 0 and 1.

    They are not among the scores of the workflow. They make results comparable with ``funlib.evaluate``, which reports
    them, and with which the conformance tests compare them.

    Args:
        table: the contingency table.
        convention: treatment of background.

    Returns:
        ``nvi_split`` and ``nvi_merge``, divided by the joint entropy, and ``nid``, the normalized information
        distance (N. X. Vinh et al., J. Machine Learning Research 11, 2010).

    Examples:
        >>> ids = np.array([1, 2], np.uint64)
        >>> two_halves = ContingencyTable(ids, np.array([1, 1], np.uint64), np.array([4, 4]))
        >>> information_from_table(two_halves)
        {'nvi_split': 1.0, 'nvi_merge': 0.0, 'nid': 1.0}
    """
    counted = _Counted.select(table, convention)
    voi, total = _compute_voi(counted), counted.objects.total
    if total == 0:
        return {"nvi_split": float("nan"), "nvi_merge": float("nan"), "nid": float("nan")}
    ground_truth_part = counted.objects.sizes / total
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
    table: Overlaps, convention: InstanceConvention | None = None, volume: int | None = None
) -> Rand:
    """Return the adapted Rand error over pairs of voxels, in which each voxel is also paired with itself.

    Args:
        table: the contingency table.
        convention: treatment of background.
        volume: number of voxels for ``unlabelled="cremi"``; all voxels of the table by default.

    Returns:
        Error, precision (the fraction of pairs in one segment that are in one object) and recall; nan if no
        voxel counts.

    Examples:
        >>> ids = np.array([1, 2], np.uint64)
        >>> two_halves = ContingencyTable(ids, np.array([1, 1], np.uint64), np.array([4, 4]))
        >>> rand = rand_from_table(two_halves)
        >>> rand.precision, rand.recall, round(rand.error, 3)
        (1.0, 0.5, 0.333)
    """
    return _compute_rand(_Counted.select(table, convention), table, volume)


def _compute_rand(counted: _Counted, table: Overlaps, volume: int | None = None) -> Rand:
    if counted.objects.total == 0:
        return Rand(float("nan"), float("nan"), float("nan"))
    segments, lone = counted.segments, 0.0
    if counted.has_lone_voxels:
        segments, lone = segments.without(0), float(segments.get(0))
    if counted.convention.unlabelled == "cremi":
        lone /= sum(piece.total for piece in table.pieces()) if volume is None else volume
    shared = sum(_sum_of_squares(piece.count[~alone]) for piece, alone in counted.pieces()) + lone
    precision = shared / (_sum_of_squares(segments.sizes) + lone)
    recall = shared / _sum_of_squares(counted.objects.sizes)
    return Rand(1.0 - 2.0 * precision * recall / (precision + recall), precision, recall)


def _sum_of_squares(counts: np.ndarray) -> float:
    # Squares of counts above 3e9 overflow int64.
    return float(np.square(counts.astype(np.float64)).sum())


def list_instance_criteria(
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    convention: InstanceConvention | None = None,
    note: str = "",
) -> list[Criterion]:
    """Return the criteria of instances: variation of information, adapted Rand error and matched objects.

    Args:
        thresholds: thresholds of intersection over union.
        convention: treatment of background.
        note: preparation of the ground truth in words, at the end of each convention.

    Examples:
        >>> [criterion.name for criterion in list_instance_criteria()][:4]
        ['voi_split', 'voi_merge', 'voi', 'adapted_rand_error']
    """
    end = f"; {note}" if note else ""
    background = (convention or InstanceConvention()).describe() + end
    bits = (0.0, UNBOUNDED)
    rand = f"over pairs of voxels; {background}"
    matched = (
        "objects matched one to one; 0 is background on both sides, its voxels count in the union unless excluded"
        + end
    )
    mean = f"mean over thresholds of {', '.join(f'{t:g}' for t in thresholds)}; {matched}"
    criteria = [
        Criterion(
            "voi_split", False, bits, "bits", True, f"H(segmentation | ground truth), log2; {background}"
        ),
        Criterion(
            "voi_merge", False, bits, "bits", True, f"H(ground truth | segmentation), log2; {background}"
        ),
        Criterion("voi", False, bits, "bits", True, f"split + merge, log2; {background}"),
        Criterion("adapted_rand_error", False, convention=f"1 - F score of Rand, {rand}"),
        Criterion("rand_precision", True, convention=f"low if objects are merged, {rand}"),
        Criterion("rand_recall", True, convention=f"low if objects are split, {rand}"),
        Criterion("average_precision", True, convention=f"tp / (tp + fp + fn), {mean}"),
        Criterion(
            "cremi_score",
            False,
            (0.0, UNBOUNDED),
            convention="square root of VOI times adapted Rand error; CREMI excludes a border (evaluation.border); "
            f"{background}",
        ),
    ]
    small = (
        f"objects of fewer than {SMALL_VOXELS} voxels do not count if they have at most {100 * SMALL_SHARE:g} % of "
        f"the labeled voxels{end}"
    )
    pieces = f"a piece has at least {100 * REAL_SHARE:g} % of an object's voxels and {SIDES} sides of its cube; {small}"
    shares = "share of the objects of the ground truth"
    whole = f"in one piece, with less than {100 * REAL_SHARE:g} % of other objects in its segment; {pieces}"
    criteria += [
        Criterion("whole_objects", True, convention=f"{shares} {whole}"),
        Criterion("whole_voxels", True, convention=f"share of the objects' voxels in objects {whole}"),
        Criterion("split_objects", False, convention=f"{shares} in several pieces; {pieces}"),
        Criterion(
            "merged_objects", False, convention=f"{shares} in a segment with pieces of others; {pieces}"
        ),
        Criterion("missing_objects", False, convention=f"{shares} of which more than half has id 0; {small}"),
    ]
    for threshold in thresholds:
        end_of_name = format_threshold(threshold)
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
        thresholds: thresholds of intersection over union.
        convention: treatment of background.
        note: preparation of the ground truth, in words.
        values: values by name, except ``voi``, which is the sum of ``voi_split`` and ``voi_merge``.

    Examples:
        >>> InstanceEvaluationScores(voi_split=0.5, voi_merge=0.25).voi
        0.75
    """

    def __init__(
        self,
        thresholds: Sequence[float] = IOU_THRESHOLDS,
        convention: InstanceConvention | None = None,
        note: str = "",
        **values: float,
    ) -> None:
        values["voi"] = values.get("voi_split", float("nan")) + values.get("voi_merge", float("nan"))
        super().__init__(list_instance_criteria(thresholds, convention, note), values)


def scores_from_table(
    table: Overlaps,
    convention: InstanceConvention | None = None,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    note: str = "",
) -> InstanceEvaluationScores:
    """Return all instance scores of a contingency table.

    Args:
        table: table of a volume, which is the sum over its blocks.
        convention: treatment of background.
        thresholds: thresholds of intersection over union, for matched objects.
        note: preparation of the ground truth in words, stored with each score.

    Examples:
        >>> ids = np.array([1, 2], np.uint64)
        >>> two_halves = ContingencyTable(ids, np.array([1, 1], np.uint64), np.array([4, 4]))
        >>> scores = scores_from_table(two_halves)
        >>> scores.voi_split, scores.voi_merge, scores.voi
        (1.0, 0.0, 1.0)
    """
    counted = _Counted.select(table, convention)
    voi, rand = _compute_voi(counted), _compute_rand(counted, table)
    errors = count_object_errors(table)
    values = {
        "voi_split": voi.split,
        "voi_merge": voi.merge,
        "adapted_rand_error": rand.error,
        "rand_precision": rand.precision,
        "rand_recall": rand.recall,
        "cremi_score": float(np.sqrt(voi.total * rand.error)),
        "whole_objects": ratio(errors.whole, errors.objects),
        "whole_voxels": errors.whole_share if errors.objects else float("nan"),
        "split_objects": ratio(errors.split, errors.objects),
        "merged_objects": ratio(errors.merged, errors.objects),
        "missing_objects": ratio(errors.missing, errors.objects),
    }
    matchings = match_objects(table, thresholds)
    for threshold, matching in matchings.items():
        end_of_name = format_threshold(threshold)
        values[f"precision_{end_of_name}"] = matching.precision
        values[f"recall_{end_of_name}"] = matching.recall
        values[f"f1_{end_of_name}"] = matching.f1
        values[f"average_precision_{end_of_name}"] = matching.average_precision
    if matchings:
        averages = [matching.average_precision for matching in matchings.values()]
        values["average_precision"] = float(np.mean(averages))
    return InstanceEvaluationScores(thresholds, counted.convention, note, **values)
