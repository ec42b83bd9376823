"""Segmentation scores while a network learns: validation volumes are predicted, segmented and scored."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from funlib.geometry import Coordinate

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import run_blocks
from attacca.config.evaluation import EvaluationConfig
from attacca.config.prediction import PredictionConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.training import TrainingConfig
from attacca.errors import ConfigurationError
from attacca.jobs.blockwise_stage import scratch_directory
from attacca.prediction import PredictBlocks, create_prediction_array, prediction_grid
from attacca.prediction.load import network_of_task
from attacca.prediction.network import Network
from attacca.segmentation.tuning import score_settings
from attacca.stages.ground_truth import convention_of, tuning_volume
from attacca.stages.scoring import create_evaluator, default_criterion, higher_is_better, score_of
from attacca.stages.segmentation_settings import segmentation_block
from attacca.stages.tune_classes import candidates_of
from attacca.tasks import create_task
from attacca.training import TrainingVolume
from attacca.training.loop import choose_intensity


class SegmentationValidation:
    """``validate_segmentation`` of a training job: the best score over the post-processing parameters.

    Args:
        task: the task's configuration.
        training: for the range of intensities.
        evaluation: conventions and criterion.
        segmentation: settings to try; None for tasks that decide voxel by voxel.
        volumes: validation volumes.
    """

    def __init__(
        self,
        task: Any,
        training: TrainingConfig,
        evaluation: EvaluationConfig,
        segmentation: SegmentationConfig | None,
        volumes: tuple[TrainingVolume, ...],
    ) -> None:
        self.task = task
        self.training = training
        self.evaluation = evaluation
        self.segmentation = segmentation
        self.volumes = volumes
        wanted = training.validation.criterion
        self.criterion = wanted if wanted != "loss" else evaluation.criterion or default_criterion(task)
        scores = create_evaluator(task, evaluation, None).score
        try:
            self.higher_is_better = higher_is_better(scores, self.criterion)
        except KeyError:
            raise ConfigurationError(
                f"training.validation.criterion: found '{self.criterion}', expected loss or one of "
                + ", ".join(scores.criteria)
            ) from None

    def __call__(self, model: Any, iteration: int) -> Mapping[str, float]:
        """The mean of the criterion over the validation volumes, with the parameters that are best there."""
        threads = torch.get_num_threads()
        try:
            with scratch_directory() as scratch:
                predictions = [self._predict(model, volume, Path(scratch)) for volume in self.volumes]
                if self.segmentation is None:
                    return {self.criterion: self._best_of_classes(predictions, Path(scratch))}
                return {self.criterion: self._best_of_chain(self.segmentation, predictions, Path(scratch))}
        finally:
            torch.set_num_threads(threads)

    def _predict(self, model: Any, volume: TrainingVolume, scratch: Path) -> ZarrArray:
        raw = ZarrArray.open_from_array_identifier(volume.raw)
        intensity = choose_intensity(self.training, raw.dtype)
        network = network_of_task(
            create_task(self.task),
            model,
            self.task,
            intensity=(float(intensity.minimum), float(intensity.maximum)),
            voxel_size=Coordinate(raw.voxel_size),
        )
        device = next(model.parameters()).device.type
        config = PredictionConfig(
            torch_threads=torch.get_num_threads(), device="cuda" if device == "cuda" else "cpu"
        )
        output = LocalArrayIdentifier(scratch / f"{volume.name}.zarr", "prediction")
        array = create_prediction_array(output, raw, network, config)
        run_blocks(
            PredictBlocks(_Given(network), volume.raw, output, config), prediction_grid(raw, network, config)
        )
        return array

    def _best_of_chain(
        self, segmentation: SegmentationConfig, predictions: list[ZarrArray], scratch: Path
    ) -> float:
        volumes = [
            tuning_volume(
                volume.name,
                prediction,
                volume.labels,
                volume.mask,
                volume.unlabelled,
                segmentation,
                self.evaluation,
            )
            for volume, prediction in zip(self.volumes, predictions)
        ]
        _, rows = score_settings(
            volumes,
            self.task.neighborhood,
            segmentation,
            scratch / "tune",
            criterion=self.criterion,
            convention=convention_of(self.evaluation),
            block_size=segmentation_block(predictions[0], segmentation.block_size),
        )
        return self._best([float(row[self.criterion]) for row in rows])

    def _best_of_classes(self, predictions: list[ZarrArray], scratch: Path) -> float:
        post_processor = create_task(self.task).post_processor
        means = []
        for index, parameters in enumerate(candidates_of(post_processor)):
            values = []
            for volume, prediction in zip(self.volumes, predictions):
                evaluator: Any = create_evaluator(self.task, self.evaluation, volume.unlabelled)
                post_processor.set_prediction(LocalArrayIdentifier(prediction.file_name, prediction.dataset))
                place = LocalArrayIdentifier(scratch / "classes.zarr", f"{volume.name}-{index}")
                output = post_processor.process(parameters, place, num_workers=1)
                scores = evaluator.evaluate_blockwise(
                    output, volume.labels, scratch / f"{volume.name}-{index}", mask=volume.mask
                )
                values.append(score_of(scores, self.criterion))
            means.append(sum(values) / len(values))
        return self._best(means)

    def _best(self, values: list[float]) -> float:
        numbers = [value for value in values if math.isfinite(value)]
        if not numbers:
            return math.nan
        return max(numbers) if self.higher_is_better else min(numbers)


class _Given:
    """A network that is there already, where a block function expects one to load."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self) -> Network:
        return self.network
