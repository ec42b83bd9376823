"""The class with the largest prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attacca.arrays import Array, LocalArrayIdentifier
from attacca.post_processors.post_processor import DEFAULT_BLOCK, PostProcessor
from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxelwise import Argmax, process_voxelwise


@dataclass(frozen=True)
class ArgmaxPostProcessorParameters(PostProcessorParameters):
    """Parameters of the argmax post-processor: there is nothing to choose."""


class ArgmaxPostProcessor(PostProcessor):
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

    def operation(self, parameters: ArgmaxPostProcessorParameters | None = None) -> Argmax:
        """What is done with each voxel."""
        return Argmax()

    def process(
        self,
        parameters: ArgmaxPostProcessorParameters,
        output_array_identifier: LocalArrayIdentifier,
        num_workers: int = 16,
        block_size: Sequence[int] = DEFAULT_BLOCK,
        *,
        chunk_size: Sequence[int] | None = None,
    ) -> Array:
        return process_voxelwise(
            self._prediction(),
            self.operation(),
            output_array_identifier,
            num_workers,
            chunk_size or block_size,
        )
