"""Predictions of validation volumes, on which parameters are chosen."""

from dataclasses import dataclass

from attacca.arrays import LocalArrayIdentifier, ZarrArray


@dataclass(frozen=True)
class ValidationPrediction:
    """The prediction of a validation volume, and the labels with which its segmentations are compared.

    Attributes:
        name: name of the volume.
        prediction: the prediction.
        labels: location of the ground truth.
        mask: location of the mask; voxels of value 0 do not count. None without a mask.
        unlabelled: label value of voxels without annotation; None if all voxels are annotated.
    """

    name: str
    prediction: ZarrArray
    labels: LocalArrayIdentifier
    mask: LocalArrayIdentifier | None = None
    unlabelled: int | None = None
