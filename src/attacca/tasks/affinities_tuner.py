"""Tuner of the settings by which affinities become segments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.arrays import ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.progress import Progress
from attacca.segmentation.block_size import choose_block_size
from attacca.segmentation.tuning import score_settings, tune
from attacca.segmentation.tuning_volume import TuningVolume, count_labeled
from attacca.tasks.tuner import Tuner, ValidationPrediction


class AffinitiesTuner(Tuner):
    """Tuner of fragments and agglomeration, all settings in one pass over the validation volumes.

    Args:
        task: the offsets of the affinities.
        evaluation: conventions of the scores, and the default of the criterion.
        segmentation: candidate settings.
    """

    def __init__(
        self, task: AffinitiesTaskConfig, evaluation: EvaluationConfig, segmentation: SegmentationConfig
    ) -> None:
        self.task = task
        self.evaluation = evaluation
        self.segmentation = segmentation

    def tune(
        self,
        volumes: Sequence[ValidationPrediction],
        scratch: Path,
        *,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        segmentation = self._decide_objects(volumes)
        if not volumes or segmentation.is_fixed:
            fragments = segmentation.fragment_candidates()[0]
            candidates = segmentation.agglomeration_candidates(fragments)
            chosen = {
                "fragments": fragments.model_dump(mode="json"),
                "agglomeration": candidates[len(candidates) // 2].model_dump(mode="json"),
            }
            return {"chosen": chosen, "table": [], "criterion": None}
        result = tune(
            [self._tuning_volume(volume) for volume in volumes],
            self.task.neighborhood,
            segmentation,
            scratch,
            criterion=segmentation.criterion or self.evaluation.criterion,
            evaluation=self.evaluation,
            block_size=choose_block_size(volumes[0].prediction, segmentation.block_size),
            num_workers=num_workers,
        )
        return result.to_json()

    def score_candidates(
        self, volumes: Sequence[ValidationPrediction], criterion: str, scratch: Path
    ) -> list[float]:
        _, rows = score_settings(
            [self._tuning_volume(volume) for volume in volumes],
            self.task.neighborhood,
            self._decide_objects(volumes),
            scratch,
            criterion=criterion,
            evaluation=self.evaluation,
            block_size=choose_block_size(volumes[0].prediction, self.segmentation.block_size),
        )
        return [float(row[criterion]) for row in rows]

    def _decide_objects(self, volumes: Sequence[ValidationPrediction]) -> SegmentationConfig:
        """Return the settings for dense or sparse objects, by the labels of the validation volumes."""
        if self.segmentation.objects != "auto" or not volumes:
            return self.segmentation.with_objects("dense")
        counts = [count_labeled(self._tuning_volume(volume)) for volume in volumes]
        labeled, annotated = (sum(column) for column in zip(*counts, strict=True))
        return self.segmentation.with_objects("sparse" if 2 * labeled < annotated else "dense")

    def _tuning_volume(self, volume: ValidationPrediction) -> TuningVolume:
        labels = ZarrArray.open_from_array_identifier(volume.labels)
        mask = None if volume.mask is None else ZarrArray.open_from_array_identifier(volume.mask)
        return TuningVolume(
            volume.name,
            volume.prediction,
            labels,
            mask if self.segmentation.mask else None,
            mask,
            volume.unlabelled,
        )
