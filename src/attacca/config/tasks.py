"""What a user may write as ``task:``: one model for each task, told apart by ``type``."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from funlib.geometry import Coordinate
from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from attacca.config.base import StrictModel


def _offset(value: Any) -> Coordinate:
    # Numbers of numpy are whole numbers too.
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
        raise ValueError(f"each name stands once; {', '.join(doubled)} stands several times")
    return names


Offset = Annotated[
    Coordinate,
    PlainValidator(_offset),
    PlainSerializer(list, return_type=list[int]),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}}),
]
Names = Annotated[list[str], Field(min_length=1), AfterValidator(_unique)]
Fraction = Annotated[float, Field(ge=0, le=1)]


DEFAULT_HEAD_KERNEL = 3
"""Edge length in voxels of the last convolution of tasks that can choose it."""


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
    """Base of all task configurations."""

    task_type: ClassVar[Any] = None
    """The class of ``attacca.tasks`` that this configuration makes; set where that class is defined."""

    name: str = ""
    """A name for people; it changes no result."""

    agglomerates: ClassVar[bool] = False
    """Whether segments are agglomerated from fragments. Other tasks classify each voxel by itself."""

    @property
    def learned_task(self) -> "TaskConfig":
        """The task that the network learns: the task below a pretrained task, else the task itself."""
        return self

    @property
    def num_channels(self) -> int:
        """Number of channels of the prediction."""
        return 1

    @property
    def num_axes(self) -> int | None:
        """Number of spatial axes that the task's settings require, or None for any number."""
        return None

    @property
    def head_kernel(self) -> int:
        """Edge length in voxels of the last convolution of the network."""
        return 1

    @property
    def label_classes(self) -> list[str] | None:
        """Names of the classes whose indices the labels hold, or None if labels hold other values."""
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

    def verify(self) -> tuple[bool, str]:
        """Return whether the task can run, and the reason. Values are checked when the model is made."""
        return True, "No validation for this Task"


class DummyTaskConfig(TaskConfig):
    """A task that learns nothing, for tests of the machinery."""

    type: Literal["dummy"] = "dummy"
    embedding_dims: Annotated[int, Field(gt=0)]
    """Number of channels."""
    detection_threshold: float
    """Handed to the post-processor, which ignores it."""

    @property
    def num_channels(self) -> int:
        """Number of channels of the prediction."""
        return self.embedding_dims

    def label_requirement(self, class_names: Sequence[str] | None = None) -> LabelRequirement | None:
        """Return None: labels are not read."""
        return None

    def verify(self) -> tuple[bool, str]:
        """Return False: the dummy is not a task that can run."""
        return False, "This is a DummyTaskConfig and is never valid"


class _DistanceLikeConfig(TaskConfig):
    channels: Names
    """Names of the classes: one distance channel each."""
    clip_distance: Annotated[float, Field(gt=0)]
    """Errors farther away than this count as this far in the clipped mean distances, in world units."""
    tol_distance: Annotated[float, Field(ge=0)]
    """Errors nearer than this are tolerated in the scores with tolerance, in world units."""
    scale_factor: Annotated[float, Field(gt=0)] = 1
    """Distances are divided by this, in world units, before tanh: a few times the width of a boundary."""
    class_ids: list[int] | None = None
    """Which value of one volume of class ids each channel stands for. Without it, labels have one channel for
    each name, and every value above 0 is inside."""
    thresholds: Annotated[list[float], Field(min_length=1)] | None = None
    """Thresholds to try on the predicted distances; without it, those of the post-processor."""

    @model_validator(mode="after")
    def _one_id_for_each_channel(self) -> "_DistanceLikeConfig":
        if self.class_ids is not None and len(self.class_ids) != len(self.channels):
            raise ValueError(
                f"class_ids has {len(self.class_ids)} values for {len(self.channels)} channels; give one each"
            )
        return self

    @property
    def num_channels(self) -> int:
        """Number of channels of the prediction."""
        return len(self.channels)

    def label_requirement(self, class_names: Sequence[str] | None = None) -> LabelRequirement | None:
        """Return one channel per name, or one channel of class ids."""
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


class DistanceTaskConfig(_DistanceLikeConfig):
    """Signed distances to the boundary, positive inside: semantic segmentation with a dense signal."""

    type: Literal["distance"] = "distance"
    mask_distances: bool = True
    """Leave out voxels whose distance a boundary beyond the crop could change."""
    clipmin: Fraction = 0.05
    """Smallest fraction that a class is taken to have when classes are balanced."""
    clipmax: Fraction = 0.95
    """Largest fraction that a class is taken to have."""


class InnerDistanceTaskConfig(_DistanceLikeConfig):
    """Distances to the boundary inside objects, 0 outside."""

    type: Literal["inner_distance"] = "inner_distance"


class HotDistanceTaskConfig(_DistanceLikeConfig):
    """Distances, and inside or outside as a second signal for the same classes."""

    type: Literal["hot_distance"] = "hot_distance"
    mask_distances: bool = False
    """Leave out voxels whose distance a boundary beyond the crop could change."""
    kernel_size: Annotated[int, Field(gt=0)] | None = None
    """Edge length in voxels of the last convolution; 3 without it."""
    evaluated_half: Literal["distance", "one_hot"] = "distance"
    """Which half of the channels becomes the segmentation that is scored."""

    @property
    def num_channels(self) -> int:
        """Number of channels of the prediction: classes first, then distances."""
        return 2 * len(self.channels)

    @property
    def head_kernel(self) -> int:
        """Edge length in voxels of the last convolution of the network."""
        return self.kernel_size or DEFAULT_HEAD_KERNEL


class OneHotTaskConfig(TaskConfig):
    """One class for each voxel."""

    type: Literal["one_hot"] = "one_hot"
    classes: Names
    """Names of the classes; the class with the label value i is the i-th, counted from 0."""
    kernel_size: Annotated[int, Field(gt=0)] | None = None
    """Edge length in voxels of the last convolution; 3 without it."""
    loss: Literal["cross_entropy", "dummy"] = "cross_entropy"
    """``dummy`` is the mean absolute difference of logits and one-hot target."""
    balance_classes: bool = False
    """Weigh rare classes up, by their counts so far."""

    @property
    def num_channels(self) -> int:
        """Number of channels of the prediction."""
        return len(self.classes)

    @property
    def head_kernel(self) -> int:
        """Edge length in voxels of the last convolution of the network."""
        return self.kernel_size or DEFAULT_HEAD_KERNEL

    @property
    def label_classes(self) -> list[str] | None:
        """Names of the classes whose indices the labels hold."""
        return self.classes


class AffinitiesTaskConfig(TaskConfig):
    """Affinities of neighboring voxels: instance segmentation."""

    type: Literal["affinities"] = "affinities"
    neighborhood: Annotated[list[Offset], Field(min_length=1)]
    """Offsets in voxels to the partners, such as [1, 0, 0] or [0, -9, 0]."""
    lsds: bool = False
    """Predict local shape descriptors too, as an auxiliary task."""
    num_lsd_voxels: Annotated[int, Field(gt=0)] = 10
    """Standard deviation of the descriptors' window, in voxels of the coarsest axis."""
    downsample_lsds: Annotated[int, Field(gt=0)] = 1
    """Compute descriptors on every n-th voxel."""
    lsds_to_affs_weight_ratio: Annotated[float, Field(ge=0)] = 1
    """Weight of the descriptors' loss, that of the affinities being 1."""
    affs_weight_clipmin: Fraction = 0.05
    """Smallest fraction that affinities of 0 or 1 are taken to have when they are balanced."""
    affs_weight_clipmax: Fraction = 0.95
    """Largest fraction that affinities of 0 or 1 are taken to have."""
    lsd_weight_clipmin: Fraction = 0.05
    """Smallest fraction that fore- and background are taken to have when descriptors are balanced."""
    lsd_weight_clipmax: Fraction = 0.95
    """Largest fraction that fore- and background are taken to have."""
    background_as_object: bool = False
    """Treat label 0 as one more object."""
    grow_boundary_iterations: Annotated[int, Field(ge=0)] = 0
    """Erode each object by this many voxels before affinities are computed."""
    mask_partners: bool = True
    """Give weight 0 to affinities with a partner that is unlabelled, masked out or outside the volume."""

    agglomerates: ClassVar[bool] = True

    @property
    def num_axes(self) -> int | None:
        """Number of axes of the offsets."""
        return self.neighborhood[0].dims

    @property
    def num_channels(self) -> int:
        """Number of channels of the prediction: affinities, then shape descriptors (10 in 3D, 6 in 2D)."""
        return len(self.neighborhood) + ({3: 10, 2: 6}[self.neighborhood[0].dims] if self.lsds else 0)

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
                raise ValueError(
                    f"neighborhood: offset {list(offset)} leads to the voxel itself; take it out"
                )
        doubled = [offset for i, offset in enumerate(self.neighborhood) if offset in self.neighborhood[:i]]
        if doubled:
            raise ValueError(f"neighborhood: offset {list(doubled[0])} stands twice; keep one")
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
    """Another task whose model starts from the weights of a checkpoint."""

    type: Literal["pretrained"] = "pretrained"
    sub_task_config: SubTaskConfig
    """The task itself."""
    weights: Path
    """A checkpoint of Attacca, or any torch file with a dictionary of weights, itself or under ``model``."""

    @property
    def learned_task(self) -> TaskConfig:
        """The task itself, without the checkpoint."""
        return self.sub_task_config

    def verify(self) -> tuple[bool, str]:
        """Return whether the sub-task can run and the file of weights exists."""
        if not self.weights.is_file():
            return False, f"weights: there is no file {self.weights}"
        return self.sub_task_config.verify()


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
"""Any task's configuration; ``type`` says which."""
