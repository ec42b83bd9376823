"""What a user may write below ``evaluation:``: how segmentations are compared with labels."""

from typing import Annotated, Literal

from pydantic import Field

from attacca.config.base import StrictModel


class EvaluationConfig(StrictModel):
    """How segmentations are compared with labels. The convention is written beside each score."""

    criterion: str | None = None
    """The score by which checkpoints and parameters are chosen on the validation volumes: ``voi``,
    ``adapted_rand_error``, ``f1_iou50`` and others for objects; ``jaccard``, ``f1_score``, ``voi`` and others
    for binary channels (their mean, or one channel as in ``mitochondria__jaccard``); ``mean__dice`` and
    others for classes. By default ``voi`` for objects, ``jaccard`` for binary channels, ``mean__jaccard`` for
    classes."""
    ignore_background: bool = True
    """Leave voxels whose label is 0 out of variation of information and Rand error. ``false`` makes 0 an
    object as any other, on both sides."""
    unlabelled_prediction: Literal["object", "ignored", "voxels"] = "object"
    """What voxels are to which the segmentation gives no object (id 0) inside a labelled object: all together
    one ``object``, ``ignored``, or each of the ``voxels`` an object of its own."""
    connected_components: bool = False
    """Split each labelled object into its connected components (faces, edges, corners) within the scored
    region first: a crop cuts one neurite into pieces that no segmentation of the crop can join."""
    border: Annotated[int, Field(ge=0)] = 0
    """Leave voxels out that are up to this far from a voxel with another label, in the volume's unit:
    annotators draw a boundary a voxel to the left or right."""
    iou_thresholds: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)] = Field(
        default=[0.5, 0.6, 0.7, 0.8, 0.9]
    )
    """Objects are matched one to one where intersection over union is at least this."""
    clip_distance: Annotated[float, Field(gt=0)] | None = None
    """Clip distances here in the clipped distance scores, in the volume's unit; the task's ``clip_distance``
    by default."""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    """Forgive errors up to this distance in the scores with tolerance, in the volume's unit; the task's
    ``tol_distance`` by default."""
    block_size: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=2, max_length=3)] | None = None
    """Size of the blocks in which objects are compared, in voxels. Scores do not depend on it."""
