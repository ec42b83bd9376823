"""Predictor: makes the target that the network learns from labels.

The task decides the labels, the segmentation and the scores; this file replaces the target. In the configuration:

    extensions: [predictor.py]
    runs:
      NAME:
        task: {type: distance, channels: [inside], clip_distance: 100, tol_distance: 20, predictor: {type: my_predictor}}

The task has as many channels as the predictor. ``width: 1`` beside ``type: my_predictor`` is an option of this file.
"""

from typing import Any, Literal

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.segmentation import find_boundaries

from attacca import Coordinate, LabelPredictor, Options, register


class InteriorOptions(Options):
    """Keys of the section ``predictor``. Attacca checks their values; a change of one trains the network again."""

    type: Literal["my_predictor"] = "my_predictor"
    """Name by which the configuration selects this predictor."""
    width: int = 1
    """Distance in voxels from the boundary of an object up to which the target is 0."""


@register("predictor", InteriorOptions)
class InteriorPredictor(LabelPredictor):
    """1 inside objects, 0 near their boundaries and in the background."""

    channels = ("inside",)
    is_binary = True  # balances the loss between 0 and 1; leave it out for targets of other values

    def __init__(self, options: InteriorOptions) -> None:
        super().__init__(options)
        # Targets are made block by block: labels up to this distance in voxels decide the target of a voxel.
        self.margin = options.width

    def compute(self, labels: np.ndarray, voxel_size: Coordinate) -> np.ndarray[Any, Any]:
        """Return the target, one array per channel, for labels of the shape (z, y, x)."""
        boundary = find_boundaries(labels, mode="thick")
        boundary = (
            binary_dilation(boundary, iterations=self.options.width) if self.options.width > 1 else boundary
        )
        return np.stack([(labels > 0) & ~boundary])
