"""Post-processor that writes a constant, for tests of the code around it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxel_operations import Constant
from attacca.post_processors.voxelwise_post_processor import VoxelwisePostProcessor

_SHAPE = Coordinate((10, 10, 10))


@dataclass(frozen=True)
class DummyPostProcessorParameters(PostProcessorParameters):
    """Parameters of the dummy.

    Attributes:
        min_size: the number to write.
    """

    min_size: int = 1


class DummyPostProcessor(VoxelwisePostProcessor[DummyPostProcessorParameters]):
    """Writes 10 x 10 x 10 voxels of ``min_size``, whatever the prediction.

    Args:
        detection_threshold: stored, but not used.
    """

    def __init__(self, detection_threshold: float) -> None:
        self.detection_threshold = detection_threshold

    def enumerate_parameters(self) -> Iterator[DummyPostProcessorParameters]:
        """Return a ``min_size`` of 1 to 10; ids count from 0."""
        for number, min_size in enumerate(range(1, 11)):
            yield DummyPostProcessorParameters(id=number, min_size=min_size)

    def create_operation(self, parameters: DummyPostProcessorParameters) -> Constant:
        """Return the constant that a workflow writes to each voxel of a volume of any size."""
        return Constant(parameters.min_size)

    def set_prediction(self, prediction_array_identifier: LocalArrayIdentifier) -> None:
        """Store the location of the prediction, which is never opened."""
        self.prediction_array_identifier = prediction_array_identifier

    def write_output(
        self,
        parameters: DummyPostProcessorParameters,
        output: LocalArrayIdentifier,
        num_workers: int,
        block_size: Coordinate,
    ) -> Array:
        """Write the constant."""
        roi, voxel_size = Roi((0, 0, 0), _SHAPE), Coordinate((1, 1, 1))
        array = ZarrArray.create_from_array_identifier(
            output, ["z", "y", "x"], roi, None, voxel_size, np.uint64, overwrite=True
        )
        array[roi] = np.full(_SHAPE, parameters.min_size, np.uint64)
        return array
