"""Choice of the settings by which affinities become segments, on validation volumes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.arrays import ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.evaluators import GroundTruthRules, InstanceConvention
from attacca.segmentation.block_size import segmentation_block
from attacca.segmentation.tuning import TuningVolume, score_settings, tune
from attacca.tasks.validation_prediction import ValidationPrediction


def tune_affinities(
    task: AffinitiesTaskConfig,
    volumes: Sequence[ValidationPrediction],
    evaluation: EvaluationConfig,
    segmentation: SegmentationConfig,
    scratch: Path,
    num_workers: int = 1,
) -> dict[str, Any]:
    """Score each setting of the segmentation on all validation volumes and choose the best one.

    Args:
        task: the offsets of the affinities.
        volumes: validation volumes; without any, the middle of the candidates is chosen.
        evaluation: conventions of the scores, and the default of the criterion.
        segmentation: candidate settings.
        scratch: directory for intermediate arrays.
        num_workers: threads.

    Returns:
        Plain values: ``chosen`` (``fragments`` and ``agglomeration`` settings), ``table`` (a row per setting; empty
        if there is no choice or no validation volume), ``criterion``.
    """
    if not volumes or segmentation.is_fixed:
        fragments = segmentation.fragment_candidates()[0]
        candidates = segmentation.agglomeration_candidates(fragments)
        chosen = {
            "fragments": fragments.model_dump(mode="json"),
            "agglomeration": candidates[len(candidates) // 2].model_dump(mode="json"),
        }
        return {"chosen": chosen, "table": [], "criterion": None}
    result = tune(
        [_tuning_volume(volume, evaluation, segmentation) for volume in volumes],
        task.neighborhood,
        segmentation,
        scratch,
        criterion=segmentation.criterion or evaluation.criterion,
        convention=InstanceConvention.from_config(evaluation),
        block_size=segmentation_block(volumes[0].prediction, segmentation.block_size),
        num_workers=num_workers,
    )
    return result.to_json()


def score_affinities(
    task: AffinitiesTaskConfig,
    volumes: Sequence[ValidationPrediction],
    evaluation: EvaluationConfig,
    segmentation: SegmentationConfig,
    criterion: str,
    scratch: Path,
) -> list[float]:
    """Return the mean of a criterion over the volumes for each setting of the segmentation; nan if undefined.

    See ``tune_affinities`` for the other arguments.
    """
    _, rows = score_settings(
        [_tuning_volume(volume, evaluation, segmentation) for volume in volumes],
        task.neighborhood,
        segmentation,
        scratch,
        criterion=criterion,
        convention=InstanceConvention.from_config(evaluation),
        block_size=segmentation_block(volumes[0].prediction, segmentation.block_size),
    )
    return [float(row[criterion]) for row in rows]


def _tuning_volume(
    volume: ValidationPrediction, evaluation: EvaluationConfig, segmentation: SegmentationConfig
) -> TuningVolume:
    rules = GroundTruthRules.from_config(evaluation, volume.unlabelled)
    labels = ZarrArray.open_from_array_identifier(volume.labels)
    mask = None
    if volume.mask is not None and segmentation.mask:
        mask = ZarrArray.open_from_array_identifier(volume.mask)
    ground_truth = rules.prepare(labels, volume.prediction.roi)
    return TuningVolume(volume.name, volume.prediction, ground_truth, mask)
