"""The class with the largest prediction."""

from collections.abc import Iterator
from dataclasses import dataclass

from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxelwise import Argmax, VoxelwisePostProcessor


@dataclass(frozen=True)
class ArgmaxPostProcessorParameters(PostProcessorParameters):
    """Parameters of the argmax post-processor: there is nothing to choose."""


class ArgmaxPostProcessor(VoxelwisePostProcessor):
    """Makes a volume of class numbers from a prediction with one channel for each class; it has no channel
    axis.

    uint8, or uint16 for more than 256 classes.
    """

    def enumerate_parameters(self) -> Iterator[ArgmaxPostProcessorParameters]:
        """One entry, with the id 1."""
        yield ArgmaxPostProcessorParameters(id=1)

    def tuning_parameters(self) -> list[ArgmaxPostProcessorParameters]:
        """The same: there is nothing to tune."""
        return list(self.enumerate_parameters())

    def operation(self, parameters: ArgmaxPostProcessorParameters) -> Argmax:
        return Argmax()
