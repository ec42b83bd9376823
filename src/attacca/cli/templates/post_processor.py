"""Post-processor: makes a segmentation from a prediction, each voxel from its own channels.

In the configuration, beside the other keys of any task but affinities:

    extensions: [post_processor.py]
    runs:
      NAME:
        task: {type: distance, post_processor: {type: my_post_processor, thresholds: [0.2, 0.5]}}
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attacca import Options, PostProcessorParameters, ValuePostProcessor, register


class MaximumOptions(Options):
    """Keys of the section ``post_processor``."""

    type: Literal["my_post_processor"] = "my_post_processor"
    """Name by which the configuration selects this post-processor."""
    thresholds: tuple[float, ...] = (-0.2, 0.0, 0.2)
    """Thresholds to try on the validation volumes."""


@dataclass(frozen=True)
class MaximumParameters(PostProcessorParameters):
    """Settings that are tried on the validation volumes, and of which the best are used."""

    threshold: float = 0.0


@register("post_processor", MaximumOptions)
class MaximumPostProcessor(ValuePostProcessor[MaximumParameters]):
    """1 in the channel with the largest value, if that is above the threshold; 0 elsewhere."""

    def enumerate_parameters(self) -> list[MaximumParameters]:
        """Return all settings to try."""
        return [MaximumParameters(id, threshold) for id, threshold in enumerate(self.options.thresholds)]

    def segment(self, prediction: np.ndarray, parameters: MaximumParameters) -> np.ndarray[Any, Any]:
        """Return the segmentation of a prediction of the shape (channels, z, y, x)."""
        is_largest = prediction == prediction.max(axis=0)
        return np.asarray(is_largest & (prediction > parameters.threshold))
