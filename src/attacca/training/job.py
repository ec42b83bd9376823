"""What a training run needs to know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacca.arrays import LocalArrayIdentifier
from attacca.config.architecture import ArchitectureConfig
from attacca.config.training import TrainingConfig
from attacca.errors import ConfigurationError

ValidateSegmentation = Callable[[Any, int], Mapping[str, float]]
"""``validate_segmentation(model, iteration) -> {criterion: value}``; the model is in evaluation mode."""


@dataclass(frozen=True)
class TrainingVolume:
    """A volume to learn from, or to validate on.

    Args:
        name: for messages, and to find its entry in ``sampling``.
        raw: the images.
        labels: the ground truth, with the voxel size of the images.
        mask: where labels are valid (non-zero); everywhere without it.
        target, weight: of the target stage; needed with ``targets: from_target_stage``.
        unlabelled: value of labels that nothing is known about.
    """

    name: str
    raw: LocalArrayIdentifier
    labels: LocalArrayIdentifier
    mask: LocalArrayIdentifier | None = None
    target: LocalArrayIdentifier | None = None
    weight: LocalArrayIdentifier | None = None
    unlabelled: int | None = None


@dataclass(frozen=True)
class TrainingJob:
    """Everything that ``train`` needs.

    Args:
        directory: checkpoints, curves and snapshots are written here; what is there already is continued.
        task: a model of ``attacca.config.tasks``.
        architecture: the network.
        training: how it learns.
        volumes: at least one.
        validation: volumes that are not learned from.
        seed: source of every random draw.
        class_counts: counts of classes in the training volumes, from the target stage; estimated without
            them.
        validate_segmentation: makes and scores segmentations while the network learns.
        higher_is_better: the direction of ``training.validation.criterion``, where it is a segmentation
            score.
    """

    directory: Path
    task: Any
    architecture: ArchitectureConfig
    training: TrainingConfig
    volumes: tuple[TrainingVolume, ...]
    validation: tuple[TrainingVolume, ...] = ()
    seed: int = 0
    class_counts: Any = None
    validate_segmentation: ValidateSegmentation | None = field(default=None, compare=False)
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        if not self.volumes:
            raise ConfigurationError("there is no volume to learn from: name one under volumes.train")
        check_targets(self.task, self.training)
        names = {volume.name for volume in self.volumes}
        for name in self.training.sampling:
            if name not in names:
                raise ConfigurationError(
                    f"training.sampling: '{name}' is no training volume of this run; those are "
                    + ", ".join(sorted(names))
                )
        criterion = self.training.validation.criterion
        if criterion != "loss" and self.validate_segmentation is None:
            raise ConfigurationError(
                f"training.validation.criterion is {criterion}, a score of a segmentation, but none is made "
                f"while "
                "this network learns: use the criterion loss"
            )
        if criterion != "loss" and not self.validation:
            raise ConfigurationError(
                f"training.validation.criterion is {criterion}, but the run has no validation volumes: name "
                f"some "
                "under volumes.validate"
            )


def check_targets(task: Any, training: TrainingConfig) -> None:
    """Refuse stored targets together with augmentations that change what the right target is.

    Raises:
        ConfigurationError: which part of ``training.augmentation`` must go.
    """
    if training.targets != "from_target_stage":
        return
    augmentation = training.augmentation
    reasons = []
    if augmentation.elastic is not None:
        reasons.append("elastic: a deformed target is not the target of the deformed labels")
    simple = augmentation.simple is not None and (augmentation.simple.mirror or augmentation.simple.transpose)
    if simple and task.has_directed_targets:
        reasons.append("simple: affinities have a direction, which mirrored ones would need turned round")
    if augmentation.sections is not None and (augmentation.sections.slip or augmentation.sections.shift):
        reasons.append("sections.slip and sections.shift: moved sections have other neighbors")
    if reasons:
        raise ConfigurationError(
            "training.targets: from_target_stage does not go together with training.augmentation."
            + "; training.augmentation.".join(reasons)
            + ". Set them to null (or 0), or use targets: after_augmentation"
        )
