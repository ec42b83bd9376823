"""A post-processor without meaning, for tests of the machinery around it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.post_processors.post_processor import DEFAULT_BLOCK, PostProcessor
from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxelwise import Constant

_SHAPE = Coordinate((10, 10, 10))


@dataclass(frozen=True)
class DummyPostProcessorParameters(PostProcessorParameters):
    """Parameters of the dummy.

    Attributes:
        min_size: the number that is written.
    """

    min_size: int = 1


class DummyPostProcessor(PostProcessor):
    """Writes 10 x 10 x 10 voxels of ``min_size``, whatever the prediction.

    Args:
        detection_threshold: kept, and not used.
    """

    def __init__(self, detection_threshold: float) -> None:
        self.detection_threshold = detection_threshold

    def enumerate_parameters(self) -> Iterator[DummyPostProcessorParameters]:
        """``min_size`` from 1 to 10; ids count from 0."""
        for number, min_size in enumerate(range(1, 11)):
            yield DummyPostProcessorParameters(id=number, min_size=min_size)

    def operation(self, parameters: DummyPostProcessorParameters) -> Constant:
        """What a workflow does with each voxel of a volume of any size: the same number everywhere."""
        return Constant(parameters.min_size)

    def set_prediction(self, prediction_array_identifier: LocalArrayIdentifier) -> None:
        """Remember where the prediction stands; it is never opened."""
        self.prediction_array_identifier = prediction_array_identifier

    def process(
        self,
        parameters: DummyPostProcessorParameters,
        output_array_identifier: LocalArrayIdentifier,
        num_workers: int = 16,
        block_size: Sequence[int] = DEFAULT_BLOCK,
        *,
        chunk_size: Sequence[int] | None = None,
    ) -> Array:
        self._check_output(output_array_identifier)
        output = ZarrArray.create_from_array_identifier(
            output_array_identifier,
            ["z", "y", "x"],
            Roi((0, 0, 0), _SHAPE),
            None,
            Coordinate((1, 1, 1)),
            np.uint64,
            overwrite=True,
        )
        output[output.roi] = np.full(_SHAPE, parameters.min_size, np.uint64)
        return output
