"""Segmentation scores during training: validation volumes are predicted, segmented and scored."""

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from funlib.geometry import Coordinate

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import run_blocks
from attacca.config.evaluation import EvaluationConfig
from attacca.config.prediction import PredictionConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.task import TaskConfig
from attacca.config.training import TrainingConfig
from attacca.errors import ConfigurationError
from attacca.model import Model
from attacca.prediction import PredictBlocks, create_prediction_array, make_prediction_grid
from attacca.prediction.network import Network
from attacca.tasks import create_task
from attacca.tasks.tuner import ValidationPrediction
from attacca.training.job import TrainingVolume
from attacca.training.loop import choose_intensity


class SegmentationValidation:
    """The ``validate_segmentation`` function of a training job.

    Args:
        task: the task's configuration.
        training: the intensity range, and the criterion.
        evaluation: conventions of the scores, and the default of the criterion.
        segmentation: candidate settings; None for tasks that segment voxel by voxel.
        volumes: validation volumes.

    Attributes:
        criterion: name of the score.
        higher_is_better: direction of the score.

    Raises:
        ConfigurationError: the task has no such criterion.
    """

    def __init__(
        self,
        task: TaskConfig,
        training: TrainingConfig,
        evaluation: EvaluationConfig,
        segmentation: SegmentationConfig | None,
        volumes: tuple[TrainingVolume, ...],
    ) -> None:
        # Weights come from the network that is trained, not from a file.
        self.task = task.learned_task
        self.training = training
        self.evaluation = evaluation
        self.segmentation = segmentation
        self.volumes = volumes
        configured = training.validation.criterion
        self.criterion = (
            configured if configured != "loss" else evaluation.criterion or self.task.default_criterion
        )
        scores = create_task(self.task).create_evaluator(evaluation).score
        try:
            self.higher_is_better = scores.higher_is_better(self.criterion)
        except ValueError:
            raise ConfigurationError(
                f"training.validation.criterion: found '{self.criterion}', expected loss or one of "
                + ", ".join(scores.criteria)
            ) from None

    def __call__(self, model: Model, iteration: int) -> Mapping[str, float]:
        """Return the mean of the criterion over the validation volumes, with the best parameters.

        Args:
            model: the network, in evaluation mode.
            iteration: not used.

        Returns:
            The criterion and its value; nan if no parameters have a score.
        """
        threads = torch.get_num_threads()
        try:
            with TemporaryDirectory(prefix="attacca-") as scratch:
                predictions = [self._predict(model, volume, Path(scratch)) for volume in self.volumes]
                tuner = create_task(self.task).create_tuner(self.evaluation, self.segmentation)
                values = tuner.score_candidates(predictions, self.criterion, Path(scratch))
        finally:
            torch.set_num_threads(threads)
        finite = [value for value in values if math.isfinite(value)]
        best = max if self.higher_is_better else min
        return {self.criterion: best(finite, default=math.nan)}

    def _predict(self, model: Model, volume: TrainingVolume, scratch: Path) -> ValidationPrediction:
        raw = ZarrArray.open_from_array_identifier(volume.raw)
        network = Network.from_task(
            create_task(self.task),
            model,
            intensity=volume.find_range(choose_intensity(self.training, raw.dtype)),
            voxel_size=Coordinate(raw.voxel_size),
        )
        device = next(model.parameters()).device.type
        config = PredictionConfig(
            torch_threads=torch.get_num_threads(), device="cuda" if device == "cuda" else "cpu"
        )
        output = LocalArrayIdentifier(scratch / f"{volume.name}.zarr", "prediction")
        prediction = create_prediction_array(output, raw, network, config)
        run_blocks(
            PredictBlocks(_LoadedNetwork(network), volume.raw, output, config),
            make_prediction_grid(raw, network, config),
        )
        return ValidationPrediction(volume.name, prediction, volume.labels, volume.mask, volume.unlabelled)


class _LoadedNetwork:
    """A loader for ``PredictBlocks`` that returns a network in memory."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self) -> Network:
        return self.network
