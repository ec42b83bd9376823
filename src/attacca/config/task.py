"""Settings and types that all sections ``task:`` of a configuration share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from attacca.config.base import StrictModel
from attacca.config.extension import (
    EvaluatorSection,
    LossSection,
    Options,
    PostProcessorSection,
    PredictorSection,
)

PARTS: tuple[Literal["predictor", "loss", "post_processor", "evaluator"], ...] = (
    "predictor",
    "loss",
    "post_processor",
    "evaluator",
)
"""Keys of a task whose values are extensions."""

LabelKind = Literal["neurites", "mitochondria", "channels", "classes"]
"""Contents of synthetic labels, see ``attacca.config.volumes``."""


class LabelRequirement(NamedTuple):
    """Number of channels that the labels of a task have.

    Args:
        key: key of the task's section that decides the number.
        channels: number of channels.
        reason: the value of the key, and the labels that it needs.
        fix: change of the labels or of the task that makes them fit.
    """

    key: str
    channels: int
    reason: str
    fix: str


class TaskConfig(StrictModel):
    """Base of all task configurations.

    Its properties answer what other parts of the workflow need from a task before any library is loaded.
    """

    task_type: ClassVar[Any] = None
    """The class in ``attacca.tasks`` for this configuration; set in the module that defines the class."""
    agglomerates: ClassVar[bool] = False
    """True if predictions are segmented by fragments and agglomeration, False if voxel by voxel."""
    has_directed_targets: ClassVar[bool] = False
    """True if targets depend on the orientation of the axes, so that mirrored targets are wrong."""
    default_criterion: ClassVar[str] = "jaccard"
    """The score that chooses parameters and checkpoints if the configuration does not name one."""

    name: str = ""
    """A name for display; it does not affect any result."""
    predictor: PredictorSection = None
    """An extension that makes the targets of the network from labels, in place of the predictor of the task; it has as many
    channels."""
    loss: LossSection = None
    """An extension that compares predictions with targets, in place of the loss of the task."""
    post_processor: PostProcessorSection = None
    """An extension that makes segmentations from predictions, in place of the post-processor of the task. Affinities are
    segmented by agglomeration instead (``segmentation``)."""
    evaluator: EvaluatorSection = None
    """An extension that computes scores, in place of the evaluator of the task."""

    @model_serializer(mode="wrap")
    def _omit_absent_parts(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {key: value for key, value in values.items() if key not in PARTS or value is not None}

    @model_validator(mode="after")
    def _check_parts(self) -> "TaskConfig":
        if self.post_processor is not None and self.agglomerates:
            raise ValueError(
                "found post_processor in a task whose predictions are segmented by fragments and agglomeration, expected "
                "a task that segments voxel by voxel"
            )
        return self

    def verify(self) -> tuple[bool, str]:
        """Return whether the task can run, and the reason. Most values are checked when they are read."""
        return True, "No validation for this Task"

    @property
    def learned_task(self) -> "TaskConfig":
        """The task without initial weights: the sub task of a pretrained task, otherwise the task itself."""
        return self

    @property
    def learned_task_key(self) -> tuple[str, ...]:
        """Keys below ``task`` at which the section of ``learned_task`` is found."""
        return ()

    @property
    def channel_ids(self) -> list[int] | None:
        """Label value of each channel; None if labels hold no class ids of channels."""
        return None

    @property
    def initial_weights(self) -> Path | None:
        """The file from which the weights of the network are initialized; None for random weights."""
        return None

    @property
    def num_channels(self) -> int:
        """Number of channels of predictions."""
        return len(self.class_names)

    @property
    def head_kernel(self) -> int:
        """Edge length in voxels of the last convolution."""
        return 1

    def keep_parts(self, *names: str) -> "TaskConfig":
        """Return the task without the extensions on which a result does not depend.

        Args:
            names: keys of the extensions that decide the result.
        """
        absent: dict[str, Any] = {
            name: type(self).model_fields[name].default
            for name in PARTS
            if name not in names and isinstance(getattr(self, name), Options)
        }
        return self.model_copy(update=absent)

    @property
    def offsets(self) -> list[list[int]]:
        """Offset in voxels of each affinity channel; empty for tasks without affinities."""
        return []

    @property
    def num_axes(self) -> int | None:
        """Number of spatial axes that the task requires; None if it accepts any."""
        return None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes or channels; empty for tasks without names."""
        return ()

    @property
    def label_classes(self) -> list[str] | None:
        """Names of the classes whose indices the labels hold; None if labels hold other values."""
        return None

    def label_requirement(self, class_names: Sequence[str] | None = None) -> LabelRequirement | None:
        """Return the number of channels that labels need, or None if the task reads no labels.

        Args:
            class_names: names that the volume gives to its class ids 1, 2, ..., for the fix.
        """
        return LabelRequirement(
            "classes" if self.label_classes is not None else "type",
            1,
            f"{type(self).model_fields['type'].default}, which takes one id for each voxel",
            "labels of one channel; labels.combine: ids makes one volume of several classes",
        )

    @property
    def synthetic_labels(self) -> LabelKind:
        """The kind of synthetic labels on which a network for this task can be trained."""
        return "neurites"
