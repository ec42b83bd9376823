"""The truth as the evaluation sees it, for those who choose by its scores."""

from typing import Any

import cc3d
import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.evaluators import TruthRules


def rules_of(evaluation: EvaluationConfig, unlabelled: int | None) -> TruthRules:
    """What the configuration asks to be done to the truth of objects."""
    return TruthRules(unlabelled, evaluation.border, evaluation.connected_components)


def truth_as_evaluated(labels: LocalArrayIdentifier, prediction: ZarrArray, rules: TruthRules) -> Any:
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
    truth = array.read(prediction.roi, 0)
    counted = rules.counted(truth, array.voxel_size)
    if counted is not None:
        truth = np.where(counted, truth, truth.dtype.type(0))
    if rules.components:
        truth = cc3d.connected_components(truth, connectivity=26 if truth.ndim == 3 else 8)
    return truth
