"""Validation volumes as the evaluation sees them, for those who choose by its scores."""

from typing import Any

import cc3d
import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.evaluators import GroundTruthRules, InstanceConvention
from attacca.segmentation.tuning import TuningVolume


def rules_of(evaluation: EvaluationConfig, unlabelled: int | None) -> GroundTruthRules:
    """What the configuration asks to be done to the truth of objects."""
    return GroundTruthRules(unlabelled, evaluation.border, evaluation.connected_components)


def convention_of(evaluation: EvaluationConfig) -> InstanceConvention:
    """How the configuration counts background."""
    return InstanceConvention(evaluation.ignore_background, evaluation.unlabelled_prediction)


def tuning_volume(
    name: str,
    prediction: ZarrArray,
    labels: LocalArrayIdentifier,
    mask: LocalArrayIdentifier | None,
    unlabelled: int | None,
    segmentation: SegmentationConfig,
    evaluation: EvaluationConfig,
) -> TuningVolume:
    """A validation volume on which settings of the segmentation are compared.

    Args:
        name: for the names of scratch directories.
        prediction: affinities.
        labels: the truth.
        mask: voxels that count; used where the segmentation keeps to it.
        unlabelled: label value of voxels that nobody has labelled.
        segmentation, evaluation: sections of the configuration.
    """
    ground_truth = ground_truth_as_evaluated(labels, prediction, rules_of(evaluation, unlabelled))
    within = None if mask is None or not segmentation.mask else ZarrArray.open_from_array_identifier(mask)
    return TuningVolume(name, prediction, ground_truth, within)


def ground_truth_as_evaluated(
    labels: LocalArrayIdentifier, prediction: ZarrArray, rules: GroundTruthRules
) -> Any:
    """Labels over the prediction's region: voxels that do not count are 0, components are objects of their own.

    Args:
        labels: the volume's labels.
        prediction: whose region is wanted.
        rules: what is done to the truth.

    Returns:
        The array itself where nothing has to be done; a numpy array otherwise (validation volumes fit into memory).
    """
    array = ZarrArray.open_from_array_identifier(labels)
    if rules.unlabelled in (None, 0) and not rules.border and not rules.components:
        return array
    ground_truth = array.read(prediction.roi, 0)
    counted = rules.counted(ground_truth, array.voxel_size)
    if counted is not None:
        ground_truth = np.where(counted, ground_truth, ground_truth.dtype.type(0))
    if rules.components:
        ground_truth = cc3d.connected_components(
            ground_truth, connectivity=26 if ground_truth.ndim == 3 else 8
        )
    return ground_truth
