"""Input of a training: volumes, task, network and settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacca.architectures.intensity import Intensity, IntensityRule
from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.percentiles import measure_percentiles
from attacca.config.architecture import ArchitectureConfig
from attacca.config.intensity import name_percentile
from attacca.config.task import TaskConfig
from attacca.config.training import TrainingConfig
from attacca.errors import ConfigurationError
from attacca.layout import TrainingFiles

ValidateSegmentation = Callable[[Any, int], Mapping[str, float]]
"""``validate_segmentation(model, iteration) -> {criterion: value}``; the model is in evaluation mode."""


@dataclass(frozen=True)
class TrainingVolume:
    """Volume for training or validation.

    Args:
        name: name for messages and for its entry in ``sampling``.
        raw: image, ([channels,] *spatial).
        labels: ground truth, with the voxel size of the image.
        mask: non-zero where labels are valid; None if they are valid everywhere.
        target, weight: arrays of the target stage; required with ``targets: from_target_stage``.
        unlabelled: value of voxels without annotation; None if all voxels are annotated.
        percentiles: percentiles of the image, from the record of its import; None to measure them if they are needed.
    """

    name: str
    raw: LocalArrayIdentifier
    labels: LocalArrayIdentifier
    mask: LocalArrayIdentifier | None = None
    target: LocalArrayIdentifier | None = None
    weight: LocalArrayIdentifier | None = None
    unlabelled: int | None = None
    percentiles: Mapping[str, float] | None = field(default=None, compare=False)

    def find_range(self, rule: IntensityRule) -> Intensity:
        """Return the raw values of black and white.

        Raises:
            VolumeError: the percentiles of the rule are equal.
        """
        return rule if isinstance(rule, Intensity) else rule.find_range(self._measure(), self.name)

    def check_contrast(self, rule: IntensityRule) -> None:
        """Raise an error if the image has no contrast between black and white.

        Raises:
            VolumeError: the percentiles of the rule are equal, or all voxels become black or white.
        """
        measured = self._measure()
        low, high = (measured[name_percentile(value)] for value in (0, 100))
        self.find_range(rule).check_contrast(low, high, self.name)

    def _measure(self) -> Mapping[str, float]:
        if self.percentiles is not None:
            return self.percentiles
        return measure_percentiles(ZarrArray.open_from_array_identifier(self.raw))


@dataclass(frozen=True)
class TrainingJob:
    """Input of ``train``.

    Args:
        directory: for checkpoints, curves and snapshots; an existing training is resumed.
        task: configuration of the task.
        architecture: configuration of the network.
        training: settings of the training.
        volumes: training volumes, at least one.
        validation: held-out volumes.
        seed: source of all random draws.
        class_counts: class counts in the training volumes, from the target stage; estimated from samples without them.
        validate_segmentation: function that segments and scores the validation volumes during training.
        higher_is_better: direction of ``training.validation.criterion`` if that is a segmentation score.

    Raises:
        ConfigurationError: the settings do not fit each other.
    """

    directory: Path
    task: TaskConfig
    architecture: ArchitectureConfig
    training: TrainingConfig
    volumes: tuple[TrainingVolume, ...]
    validation: tuple[TrainingVolume, ...] = ()
    seed: int = 0
    class_counts: Any = None
    validate_segmentation: ValidateSegmentation | None = field(default=None, compare=False)
    higher_is_better: bool = False

    @property
    def files(self) -> TrainingFiles:
        """Paths of the training's files."""
        return TrainingFiles(self.directory)

    def __post_init__(self) -> None:
        if not self.volumes:
            raise ConfigurationError(
                "found no training volumes, expected at least one: name it under volumes.train"
            )
        check_targets(self.task, self.training)
        names = {volume.name for volume in self.volumes}
        for name in self.training.sampling:
            if name not in names:
                raise ConfigurationError(
                    f"training.sampling: found '{name}', expected a training volume of this run: "
                    + ", ".join(sorted(names))
                )
        criterion = self.training.validation.criterion
        if criterion != "loss" and self.validate_segmentation is None:
            raise ConfigurationError(
                f"training.validation.criterion is {criterion}, a score of a segmentation, but no segmentation is computed "
                "during this training: use the criterion loss"
            )
        if criterion != "loss" and not self.validation:
            raise ConfigurationError(
                f"training.validation.criterion is {criterion}, but the run has no validation volumes: name some under "
                "volumes.validate"
            )


def check_targets(task: TaskConfig, training: TrainingConfig) -> None:
    """Raise an error for stored targets together with augmentations after which they would be wrong.

    Raises:
        ConfigurationError: names the parts of ``training.augmentation`` to remove.
    """
    if training.targets != "from_target_stage":
        return
    augmentation = training.augmentation
    reasons = []
    if augmentation.elastic is not None:
        reasons.append("elastic: a deformed target is not the target of the deformed labels")
    simple = augmentation.simple is not None and (augmentation.simple.mirror or augmentation.simple.transpose)
    if simple and task.has_directed_targets:
        reasons.append("simple: affinities have a direction, which mirroring and transposing change")
    if augmentation.sections is not None and (augmentation.sections.slip or augmentation.sections.shift):
        reasons.append("sections.slip and sections.shift: moved sections have other neighbors")
    if reasons:
        raise ConfigurationError(
            "training.targets: from_target_stage excludes training.augmentation."
            + "; training.augmentation.".join(reasons)
            + ". Set them to null (or 0), or use targets: after_augmentation"
        )
