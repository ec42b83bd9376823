"""Base of post-processors that compute each voxel from its own prediction, for extensions."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from attacca.arrays import Array
from attacca.errors import VolumeError
from attacca.post_processors.post_processor import P
from attacca.post_processors.voxel_operations import Function
from attacca.post_processors.voxelwise_post_processor import VoxelwisePostProcessor


class ValuePostProcessor(VoxelwisePostProcessor[P]):
    """Base of post-processors that compute each voxel from its own prediction.

    A subclass has ``enumerate_parameters``, which returns the settings to try on the validation volumes, and
    ``segment``. Blocks of a volume are computed one by one, so that ``segment`` cannot use neighboring voxels.

    Args:
        options: keys of the section that selects the post-processor.
    """

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def segment(self, prediction: np.ndarray, parameters: P) -> np.ndarray:
        """Return the segmentation: whole numbers, (*spatial) for ids, (channels, *spatial) for binary channels.

        Args:
            prediction: float32, (channels, *spatial), in the value range of the predictor.
            parameters: one of ``enumerate_parameters``.
        """

    def tuning_parameters(self) -> list[P]:
        return list(self.enumerate_parameters())

    def create_operation(self, parameters: P) -> "SegmentVoxels":
        """Return the operation of the parameters."""
        return SegmentVoxels(self, parameters)


@dataclass(frozen=True)
class SegmentVoxels:
    """The operation of a ``ValuePostProcessor`` with given parameters.

    Attributes:
        post_processor: segments predictions.
        parameters: its parameters.
    """

    post_processor: ValuePostProcessor[Any]
    parameters: Any

    def prepare(self, prediction: Array) -> Function:
        """Return the function from stored predictions to segments."""
        scale, offset = prediction.value_scale, prediction.value_offset

        def segment(stored: np.ndarray) -> np.ndarray:
            return self._segment(stored.astype(np.float32) * np.float32(scale) + np.float32(offset))

        return segment

    def num_channels(self, prediction: Array) -> int | None:
        """Return the number of channels of the segmentation; None for ids."""
        sample = self._segment_sample(prediction)
        return len(sample) if sample.ndim > prediction.dims else None

    def dtype(self, prediction: Array) -> np.dtype:
        """Return the dtype of the segmentation."""
        return self._segment_sample(prediction).dtype

    def _segment_sample(self, prediction: Array) -> np.ndarray:
        return self._segment(np.zeros((prediction.num_channels or 1, *(1,) * prediction.dims), np.float32))

    def _segment(self, values: np.ndarray) -> np.ndarray:
        segments = np.asarray(self.post_processor.segment(values, self.parameters))
        if segments.dtype == bool:
            segments = segments.view(np.uint8)
        spatial = values.shape[1:]
        if segments.dtype.kind not in "ui" or segments.shape[-len(spatial) :] != spatial:
            raise VolumeError(
                f"{type(self.post_processor).__name__}.segment returned {segments.dtype} of the shape {segments.shape} for "
                f"a prediction of the shape {values.shape}, expected whole numbers of the shape {spatial}, or with a "
                "channel axis before it"
            )
        return segments
