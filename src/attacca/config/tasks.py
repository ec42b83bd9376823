"""What a user may write as ``task:``: one model for each task, told apart by ``type``."""

from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

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


class TaskConfig(StrictModel):
    """Base of all task configurations."""

    task_type: ClassVar[Any] = None
    """The class of ``attacca.tasks`` that this configuration makes; set where that class is defined."""

    name: str = ""
    """A name for people; it changes no result."""

    def verify(self) -> tuple[bool, str]:
        """Is this a task that can run, and why. Values are checked when the model is made, so most can."""
        return True, "No validation for this Task"


class DummyTaskConfig(TaskConfig):
    """A task that learns nothing, for tests of the machinery."""

    type: Literal["dummy"] = "dummy"
    embedding_dims: Annotated[int, Field(gt=0)]
    """Number of channels."""
    detection_threshold: float
    """Handed to the post-processor, which ignores it."""

    def verify(self) -> tuple[bool, str]:
        """Never valid, so that it is not problemn for a task."""
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

    def verify(self) -> tuple[bool, str]:
        """Valid if the sub-task is, and the weights are there."""
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
