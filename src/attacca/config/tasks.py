"""Configuration models of the ``task:`` section, one per ``type``."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from funlib.geometry import Coordinate
from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from attacca.config.extension import (
    Options,
    extend_type,
)
from attacca.config.task import PARTS, LabelKind, LabelRequirement, TaskConfig

DEFAULT_HEAD_KERNEL = 3
"""Edge length in voxels of the last convolution of ``one_hot`` and ``hot_distance`` tasks."""


def _offset(value: Any) -> Coordinate:
    # Integers of numpy are accepted too.
    whole = isinstance(value, (list, tuple)) and all(
        isinstance(step, Integral) and not isinstance(step, bool) for step in value
    )
    if not whole:
        raise ValueError(
            f"an offset is a list of whole numbers of voxels, such as [1, 0, 0]; found {value!r}"
        )
    return Coordinate(value)


def _unique(names: list[str]) -> list[str]:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"names must be unique; {', '.join(doubled)} occurs several times")
    return names


Offset = Annotated[
    Coordinate,
    PlainValidator(_offset),
    PlainSerializer(list, return_type=list[int]),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}}),
]
Names = Annotated[list[str], Field(min_length=1), AfterValidator(_unique)]
Fraction = Annotated[float, Field(ge=0, le=1)]
ClassFactors = Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)]
"""Factor of the probability of each class."""


class DummyTaskConfig(TaskConfig):
    """A task without learning, for tests."""

    default_criterion: ClassVar[str] = "frizz_level"

    type: Literal["dummy"] = "dummy"
    embedding_dims: Annotated[int, Field(gt=0)]
    """Number of channels."""
    detection_threshold: float
    """Passed to the post-processor, which ignores it."""

    def verify(self) -> tuple[bool, str]:
        """Return False: a dummy is never valid, so that it is not mistaken for a real task."""
        return False, "This is a DummyTaskConfig and is never valid"

    @property
    def num_channels(self) -> int:
        return self.embedding_dims

    def label_requirement(self, class_names: Sequence[str] | None = None) -> LabelRequirement | None:
        return None


class BinaryTaskConfig(TaskConfig):
    """Base of the tasks that predict distances in one binary channel for each class."""

    channels: Names
    """Names of the classes: one distance channel each."""
    clip_distance: Annotated[float, Field(gt=0)]
    """Distances of errors are clipped to this value in the clipped mean distances, in world units."""
    tol_distance: Annotated[float, Field(ge=0)]
    """Errors up to this distance are tolerated in the scores with tolerance, in world units."""
    scale_factor: Annotated[float, Field(gt=0)] = 1
    """Distances are divided by this, in world units, before tanh: a few times the width of a boundary."""
    class_ids: list[int] | None = None
    """Label value of each channel, if the labels are one volume of class ids. By default, labels have one channel
    for each name, and every value above 0 is foreground."""
    thresholds: Annotated[list[float], Field(min_length=1)] | None = None
    """Thresholds to try on the predicted distances; by default those of the post-processor."""

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.channels)

    @property
    def channel_ids(self) -> list[int] | None:
        return self.class_ids

    def label_requirement(self, class_names: Sequence[str] | None = None) -> LabelRequirement | None:
        if self.class_ids is not None:
            reason = "class_ids, which take one volume of class ids"
            fix = "labels of one channel (labels.combine: ids), or no class_ids"
            return LabelRequirement("channels", 1, reason, fix)
        ids = ", ".join(f"{index} {name}" for index, name in enumerate(class_names or (), 1))
        return LabelRequirement(
            "channels",
            len(self.channels),
            f"{len(self.channels)} channels ({', '.join(self.channels)})",
            "one channel of labels for each: labels.classes with combine: channels; or class_ids under task, which "
            f"name the id in the labels of each channel{f' ({ids})' if ids else ''}",
        )

    @property
    def synthetic_labels(self) -> LabelKind:
        return "channels" if len(self.channels) == 2 else "mitochondria"

    @model_validator(mode="after")
    def _one_id_for_each_channel(self) -> "BinaryTaskConfig":
        if self.class_ids is not None and len(self.class_ids) != len(self.channels):
            raise ValueError(
                f"class_ids has {len(self.class_ids)} values for {len(self.channels)} channels; give one each"
            )
        return self


class DistanceTaskConfig(BinaryTaskConfig):
    """Signed distances to the boundary, positive inside: semantic segmentation with dense targets."""

    type: Literal["distance"] = "distance"
    mask_distances: bool = True
    """Give weight 0 to voxels whose distance could change with a boundary outside the crop."""
    clipmin: Fraction = 0.05
    """Lower limit of the class fraction in class-balanced loss weights."""
    clipmax: Fraction = 0.95
    """Upper limit of the class fraction in class-balanced loss weights."""


class InnerDistanceTaskConfig(BinaryTaskConfig):
    """Distances to the boundary inside objects, 0 outside."""

    type: Literal["inner_distance"] = "inner_distance"

    @property
    def synthetic_labels(self) -> LabelKind:
        return "neurites"


class HotDistanceTaskConfig(BinaryTaskConfig):
    """Signed distances, and one-hot classes as a second target for the same classes."""

    type: Literal["hot_distance"] = "hot_distance"
    mask_distances: bool = False
    """Give weight 0 to voxels whose distance could change with a boundary outside the crop."""
    kernel_size: Annotated[int, Field(gt=0)] | None = None
    """Edge length in voxels of the last convolution; 3 by default, 1 for 2D networks on stacks (``input_shape`` with a
    1)."""
    evaluated_half: Literal["distance", "one_hot"] = "distance"
    """The half of the channels from which the segmentation is made."""

    @property
    def num_channels(self) -> int:
        return 2 * len(self.channels)

    @property
    def head_kernel(self) -> int:
        return self.kernel_size or DEFAULT_HEAD_KERNEL


_CLASS_LOSSES = ("cross_entropy", "dummy")

if TYPE_CHECKING:
    _ClassLoss = Literal["cross_entropy", "dummy"] | Options
else:
    _ClassLoss = extend_type(
        Literal["cross_entropy", "dummy"], "loss", lambda value: value in _CLASS_LOSSES, _CLASS_LOSSES
    )


class OneHotTaskConfig(TaskConfig):
    """One class for each voxel."""

    default_criterion: ClassVar[str] = "mean__jaccard"

    type: Literal["one_hot"] = "one_hot"
    classes: Names
    """Names of the classes, in the order of their label values, which count from 0."""
    kernel_size: Annotated[int, Field(gt=0)] | None = None
    """Edge length in voxels of the last convolution; 3 by default, 1 for 2D networks on stacks (``input_shape`` with a
    1)."""
    loss: _ClassLoss = "cross_entropy"  # type: ignore[assignment]
    """``dummy`` is the mean absolute difference of logits and one-hot target; or an extension that compares predictions with
    targets."""
    balance_classes: bool = False
    """Use class-balanced loss weights, from the voxel counts of the classes."""
    class_factors: Annotated[list[ClassFactors], Field(min_length=1)] | None = None
    """Factors of the predicted probabilities, before the class with the largest product is chosen: candidates, each with
    one number for each class. The validation volumes decide which one is used. Networks with balanced loss weights
    (``balance_classes``) predict rare classes too often, which factors below 1 for these classes correct. By default, the
    class with the largest probability is chosen. Only the segmentation depends on them."""

    @model_validator(mode="after")
    def _check_factors(self) -> "OneHotTaskConfig":
        for factors in self.class_factors or []:
            if len(factors) != len(self.classes):
                raise ValueError(
                    f"found {len(factors)} class_factors {factors}, expected one number for each of the "
                    f"{len(self.classes)} classes"
                )
        return self

    @model_serializer(mode="wrap")
    def _omit_absent_factors(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = self._omit_absent_parts(serialize)
        return {key: value for key, value in values.items() if key != "class_factors" or value is not None}

    def keep_parts(self, *names: str) -> TaskConfig:
        kept = super().keep_parts(*names)
        return kept if "post_processor" in names else kept.model_copy(update={"class_factors": None})

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.classes)

    @property
    def label_classes(self) -> list[str] | None:
        return self.classes

    @property
    def head_kernel(self) -> int:
        return self.kernel_size or DEFAULT_HEAD_KERNEL

    @property
    def synthetic_labels(self) -> LabelKind:
        return "classes"


class AffinitiesTaskConfig(TaskConfig):
    """Affinities of neighboring voxels: instance segmentation."""

    agglomerates: ClassVar[bool] = True
    has_directed_targets: ClassVar[bool] = True
    default_criterion: ClassVar[str] = "voi"

    type: Literal["affinities"] = "affinities"
    neighborhood: Annotated[list[Offset], Field(min_length=1)]
    """Offset of each affinity channel in voxels, such as [1, 0, 0] or [0, -9, 0]."""
    lsds: bool = False
    """Predict local shape descriptors as an auxiliary task."""
    num_lsd_voxels: Annotated[int, Field(gt=0)] = 10
    """Standard deviation of the Gaussian window of the descriptors, in voxels of the coarsest axis."""
    downsample_lsds: Annotated[int, Field(gt=0)] = 1
    """Compute descriptors on a grid downsampled by this factor."""
    lsds_to_affs_weight_ratio: Annotated[float, Field(ge=0)] = 1
    """Weight of the loss of the descriptors, relative to that of the affinities."""
    affs_weight_clipmin: Fraction = 0.05
    """Lower limit of the fraction of affinities that are 0 or 1, in balanced loss weights."""
    affs_weight_clipmax: Fraction = 0.95
    """Upper limit of the fraction of affinities that are 0 or 1, in balanced loss weights."""
    lsd_weight_clipmin: Fraction = 0.05
    """Lower limit of the fraction of foreground, in balanced loss weights of descriptors."""
    lsd_weight_clipmax: Fraction = 0.95
    """Upper limit of the fraction of foreground, in balanced loss weights of descriptors."""
    background_as_object: bool = False
    """Treat label 0 as an object."""
    grow_boundary_iterations: Annotated[int, Field(ge=0)] = 0
    """Erode each object by this many voxels before affinities are computed."""
    mask_partners: bool = True
    """Give weight 0 to affinities whose partner is unlabeled, masked or outside the volume."""

    @property
    def num_channels(self) -> int:
        descriptors = {2: 6, 3: 10}[len(self.neighborhood[0])] if self.lsds else 0
        return len(self.neighborhood) + descriptors

    @property
    def offsets(self) -> list[list[int]]:
        return [list(offset) for offset in self.neighborhood]

    @property
    def num_axes(self) -> int | None:
        return len(self.neighborhood[0])

    @model_validator(mode="after")
    def _offsets_fit_each_other(self) -> "AffinitiesTaskConfig":
        dims = self.neighborhood[0].dims
        for offset in self.neighborhood:
            if offset.dims != dims or dims not in (2, 3):
                raise ValueError(
                    f"neighborhood: offset {list(offset)} has {offset.dims} axes, the first has {dims}; "
                    "all have 3, or all 2 in a 2D volume"
                )
            if not any(offset):
                raise ValueError(f"neighborhood: offset {list(offset)} is the voxel itself; remove it")
        doubled = [offset for i, offset in enumerate(self.neighborhood) if offset in self.neighborhood[:i]]
        if doubled:
            raise ValueError(f"neighborhood: offset {list(doubled[0])} occurs twice; keep one")
        return self


SubTaskConfig = Annotated[
    AffinitiesTaskConfig
    | DistanceTaskConfig
    | InnerDistanceTaskConfig
    | HotDistanceTaskConfig
    | OneHotTaskConfig
    | DummyTaskConfig,
    Field(discriminator="type"),
]


class PretrainedTaskConfig(TaskConfig):
    """Another task whose network is initialized with the weights of a checkpoint.

    Its properties are those of the sub task.
    """

    type: Literal["pretrained"] = "pretrained"
    sub_task_config: SubTaskConfig
    """The task of the network."""
    weights: Path
    """A model file or a checkpoint of Attacca, or a torch file with a dictionary of weights, at the top or under
    ``model``."""

    def verify(self) -> tuple[bool, str]:
        """Return whether the sub task is valid and the file of weights exists, and the reason."""
        if not self.weights.is_file():
            return False, f"weights: the file {self.weights} does not exist"
        return self.sub_task_config.verify()

    @property
    def learned_task(self) -> TaskConfig:
        return self.sub_task_config

    def keep_parts(self, *names: str) -> "TaskConfig":
        return self.model_copy(update={"sub_task_config": self.sub_task_config.keep_parts(*names)})

    @property
    def learned_task_key(self) -> tuple[str, ...]:
        return ("sub_task_config",)

    @model_validator(mode="after")
    def _refuse_parts(self) -> "PretrainedTaskConfig":
        for name in PARTS:
            if getattr(self, name) is not None:
                raise ValueError(f"found {name} beside sub_task_config, expected it in sub_task_config")
        return self

    @property
    def initial_weights(self) -> Path | None:
        return self.weights


AnyTaskConfig = Annotated[
    AffinitiesTaskConfig
    | DistanceTaskConfig
    | InnerDistanceTaskConfig
    | HotDistanceTaskConfig
    | OneHotTaskConfig
    | PretrainedTaskConfig
    | DummyTaskConfig,
    Field(discriminator="type"),
]
"""The configuration of any task, chosen by ``type``."""

_READER: TypeAdapter[TaskConfig] = TypeAdapter(AnyTaskConfig)


def read_task_config(section: Any) -> TaskConfig:
    """Return the task configuration for the plain values of a ``task:`` section.

    Args:
        section: plain values, such as a task in the parameters of a stage.

    Raises:
        pydantic.ValidationError: the values are not a valid task.

    Examples:
        >>> read_task_config({"type": "one_hot", "classes": ["background", "nucleus"]}).num_channels
        2
    """
    return _READER.validate_python(section)


def _delegate(name: str) -> property:
    return property(lambda config: getattr(config.sub_task_config, name))


# Constants of the sub task's class are properties of a pretrained task.
for _name in (
    *("agglomerates", "has_directed_targets", "default_criterion", "num_channels", "head_kernel", "offsets"),
    *("num_axes", "class_names", "label_classes", "label_requirement", "synthetic_labels", "channel_ids"),
):
    setattr(PretrainedTaskConfig, _name, _delegate(_name))
