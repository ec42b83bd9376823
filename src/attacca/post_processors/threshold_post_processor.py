"""Post-processor that compares predictions with a threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxel_operations import Threshold
from attacca.post_processors.voxelwise_post_processor import VoxelwisePostProcessor


@dataclass(frozen=True)
class ThresholdPostProcessorParameters(PostProcessorParameters):
    """Parameters of the threshold post-processor.

    Attributes:
        threshold: values strictly above it become 1, in the prediction's own range.
    """

    threshold: float = 0.0


class ThresholdPostProcessor(VoxelwisePostProcessor[ThresholdPostProcessorParameters]):
    """Makes a binary segmentation, uint8, with the channels of the prediction.

    Args:
        thresholds: thresholds to try, in the prediction's own range. By default one: the middle of the range
            that the prediction can have, which is 0 for distances, 0.5 for probabilities and 127 for plain
            uint8.
        channels: channels of the prediction to use; all of them by default.
        value_range: range of predictions that are stored as floats, whose metadata do not contain it.

    >>> [p.threshold for p in ThresholdPostProcessor([0.2, 0.7]).enumerate_parameters()]
    [0.2, 0.7]
    >>> [p.threshold for p in ThresholdPostProcessor(value_range=(0, 1)).tuning_parameters(3)]
    [0.25, 0.5, 0.75]
    """

    def __init__(
        self,
        thresholds: Sequence[float] | None = None,
        channels: Sequence[int] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        self.thresholds = None if thresholds is None else tuple(thresholds)
        self.channels = None if channels is None else tuple(int(channel) for channel in channels)
        self.value_range = value_range

    def enumerate_parameters(self) -> Iterator[ThresholdPostProcessorParameters]:
        """Return the thresholds, or the middle of the prediction's range; ids count from 0."""
        for number, threshold in enumerate(self.thresholds or (self._find_middle(),)):
            yield ThresholdPostProcessorParameters(id=number, threshold=threshold)

    def tuning_parameters(self, count: int = 9) -> list[ThresholdPostProcessorParameters]:
        """Return the parameters to score on validation volumes.

        Args:
            count: number of thresholds, if none were passed: they divide the prediction's range into equal
                parts.
        """
        if self.thresholds is not None:
            return list(self.enumerate_parameters())
        low, high = self._find_range()
        steps = [low + (high - low) * k / (count + 1) for k in range(1, count + 1)]
        return [ThresholdPostProcessorParameters(k, round(step, 12)) for k, step in enumerate(steps)]

    def create_operation(self, parameters: ThresholdPostProcessorParameters) -> Threshold:
        """Return the threshold on the selected channels."""
        return Threshold(float(parameters.threshold), self.channels)

    def _find_range(self) -> tuple[float, float]:
        array = self.prediction_array
        if array is None or np.dtype(array.dtype).kind not in "ui":
            return self.value_range
        stored = np.iinfo(array.dtype)
        ends = [bound * array.value_scale + array.value_offset for bound in (stored.min, stored.max)]
        return min(ends), max(ends)

    def _find_middle(self) -> float:
        array = self.prediction_array
        if (
            array is not None
            and np.dtype(array.dtype).kind in "ui"
            and (array.value_scale, array.value_offset) == (1.0, 0.0)
        ):
            stored = np.iinfo(array.dtype)
            return (int(stored.min) + int(stored.max)) // 2
        low, high = self._find_range()
        return round((low + high) / 2, 12) + 0.0
