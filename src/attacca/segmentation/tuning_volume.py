"""Validation volumes of a tuning."""

from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array, NumpyArray
from attacca.blockwise import BlockGrid
from attacca.segmentation.inputs import find_chunk_size


@dataclass(frozen=True)
class TuningVolume:
    """A validation volume.

    Args:
        name: name of the volume.
        prediction: affinities, channels first.
        ground_truth: labels, an array or the labels of the prediction's voxels.
        mask: voxels to segment, or None for all.
        counted: voxels that count in the scores, or None for all.
        unlabelled: label value of voxels without annotation; None if all voxels are annotated.
    """

    name: str
    prediction: Array
    ground_truth: Array | np.ndarray
    mask: Array | None = None
    counted: Array | None = None
    unlabelled: int | None = None

    def open_ground_truth(self) -> Array:
        """Return the labels as an array."""
        if not isinstance(self.ground_truth, np.ndarray):
            return self.ground_truth
        prediction = self.prediction
        axes = ["z", "y", "x"][-prediction.dims :]
        return NumpyArray.from_np_array(self.ground_truth, prediction.roi, prediction.voxel_size, axes)


def count_labeled(volume: TuningVolume) -> tuple[int, int]:
    """Return the number of voxels in labeled objects, and of annotated voxels, where labels and prediction overlap.

    >>> from funlib.geometry import Coordinate, Roi
    >>> labels = np.array([[[0, 0, 5, 9]]], np.uint8)
    >>> roi, voxel_size = Roi((0, 0, 0), (1, 1, 4)), Coordinate((1, 1, 1))
    >>> array = NumpyArray.from_np_array(np.zeros((1, 1, 1, 4), np.float32), roi, voxel_size, ["c", "z", "y", "x"])
    >>> count_labeled(TuningVolume("cube", array, labels, unlabelled=9))
    (1, 3)
    """
    labels = volume.open_ground_truth()
    region = labels.roi.intersect(volume.prediction.roi)
    if region.empty:
        return 0, 0
    labeled = annotated = 0
    size = find_chunk_size(volume.prediction)
    for block in BlockGrid(region, size, labels.voxel_size):
        values = labels[block.write_roi]
        valid = np.ones(values.shape, bool) if volume.unlabelled is None else values != volume.unlabelled
        if volume.counted is not None:
            valid &= volume.counted.read(block.write_roi, 0) != 0
        annotated += int(valid.sum())
        labeled += int((valid & (values != 0)).sum())
    return labeled, annotated
