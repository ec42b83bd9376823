"""Configuration model of the ``evaluation:`` section: conventions by which segmentations are compared with labels."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from attacca.config.base import StrictModel


class RunLengthConfig(StrictModel):
    """Skeletons along which the expected run length is computed."""

    skeletons: Path
    """Directory with a directory of SWC files for each volume: ``skeletons/cube-1/*.swc``. A file is one object. Its
    coordinates are x, y, z in the space of the volume, whose first voxel is at the volume's offset."""
    unit: Literal["nanometer", "micrometer"] = "nanometer"
    """Unit of the coordinates."""


class EvaluationConfig(StrictModel):
    """Comparison of segmentations with labels. Each score is reported with its conventions."""

    criterion: str | None = None
    """Score that chooses checkpoints and parameters on the validation volumes: ``voi``, ``adapted_rand_error``,
    ``f1_iou50`` and others for objects; ``jaccard``, ``f1_score``, ``voi`` and others for binary channels (their
    mean, or one channel as in ``mitochondria__jaccard``); ``mean__dice`` and others for classes. By default ``voi``
    for objects, ``jaccard`` for binary channels, ``mean__jaccard`` for classes."""
    ignore_background: bool = True
    """Exclude voxels with label 0 from variation of information and Rand error. With ``false``, 0 is an object like
    any other, on both sides."""
    unlabelled_prediction: Literal["object", "ignored", "voxels"] = "object"
    """Treatment of voxels inside labeled objects to which the segmentation gives no object (id 0): together one
    ``object``, ``ignored``, or each of the ``voxels`` an object of its own."""
    connected_components: bool = False
    """First split each labeled object into its connected components (faces, edges, corners) within the scored
    region: a crop cuts one neurite into pieces that no segmentation of the crop can join."""
    border: Annotated[int, Field(ge=0)] = 0
    """Exclude voxels up to this distance from a voxel with another label, in the volume's unit: positions of
    annotated boundaries vary by a voxel."""
    border_in: Literal["volume", "sections"] = "volume"
    """Distances of ``border``: in the ``volume``, to a voxel with another label; or as in the scripts of CREMI in
    ``sections`` (the last two axes), to a pixel that has a neighbor with another label."""
    iou_thresholds: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)] = Field(
        default=[0.5, 0.6, 0.7, 0.8, 0.9]
    )
    """Minimum intersection over union at which objects are matched one to one."""
    clip_distance: Annotated[float, Field(gt=0)] | None = None
    """Upper limit of distances in clipped distance scores, in the volume's unit; by default the task's
    ``clip_distance``."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """Tolerated distance of errors in scores with tolerance, in the volume's unit; by default the task's
    ``tol_distance``."""
    run_length: bool | RunLengthConfig = False
    """Also compute the expected run length, for instances in 3D: along skeletons of the ground truth, which need
    ``pip install 'attacca[export]'``, or along skeletons in SWC files."""
    objects_of: list[str] = Field(default=[])
    """Also compare these channels or classes of a semantic task as objects, such as ``[mitochondria]``: their connected
    components (faces, edges, corners) are matched and get scores ``objects_f1_iou50`` and others."""
    regions: bool = False
    """Also compute variation of information of the halves, quarters, eighths and so on of the scored region, for
    instances: it depends on the size of the region."""
    block_size: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=2, max_length=3)] | None = None
    """Size in voxels of the blocks in which objects are compared. Scores do not depend on it. With ``regions``, the smallest
    parts are such blocks."""

    def without_details(self) -> "EvaluationConfig":
        """Return the section without skeletons in files and additional scores, which change no training and no choice."""
        values: dict[str, Any] = {"objects_of": [], "regions": False}
        if isinstance(self.run_length, RunLengthConfig):
            values["run_length"] = False
        return self.model_copy(update=values)

    @model_serializer(mode="wrap")
    def _omit_absent_scores(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Results from before these keys existed stay valid.
        values: dict[str, Any] = serialize(self)
        absent = {"run_length": False, "border_in": "volume", "objects_of": [], "regions": False}
        return {key: value for key, value in values.items() if key not in absent or value != absent[key]}
