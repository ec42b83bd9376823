"""Post-processor that chooses the class with the largest prediction."""

from collections.abc import Iterator
from dataclasses import dataclass

from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxel_operations import Argmax
from attacca.post_processors.voxelwise_post_processor import VoxelwisePostProcessor


@dataclass(frozen=True)
class ArgmaxPostProcessorParameters(PostProcessorParameters):
    """Parameters of the argmax post-processor, which has none but the id."""


class ArgmaxPostProcessor(VoxelwisePostProcessor[ArgmaxPostProcessorParameters]):
    """Makes a volume of class numbers from a prediction with one channel per class; no channel axis.

    uint8, or uint16 for more than 256 classes.
    """

    def enumerate_parameters(self) -> Iterator[ArgmaxPostProcessorParameters]:
        """Return one set of parameters, with the id 1."""
        yield ArgmaxPostProcessorParameters(id=1)

    def create_operation(self, parameters: ArgmaxPostProcessorParameters) -> Argmax:
        """Return the argmax."""
        return Argmax()
