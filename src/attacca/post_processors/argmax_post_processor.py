"""Post-processor that chooses the class with the largest prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from attacca.post_processors.post_processor_parameters import PostProcessorParameters
from attacca.post_processors.voxel_operations import Argmax
from attacca.post_processors.voxelwise_post_processor import VoxelwisePostProcessor


@dataclass(frozen=True)
class ArgmaxPostProcessorParameters(PostProcessorParameters):
    """Parameters of the argmax post-processor, which has none but the id."""


@dataclass(frozen=True)
class ClassFactors(ArgmaxPostProcessorParameters):
    """Parameters of the argmax post-processor with factors.

    Attributes:
        factors: factor of the prediction of each class.
    """

    factors: tuple[float, ...] = ()


class ArgmaxPostProcessor(VoxelwisePostProcessor[ArgmaxPostProcessorParameters]):
    """Makes a volume of class numbers from a prediction with one channel per class; no channel axis.

    uint8, or uint16 for more than 256 classes.

    Args:
        factors: candidates for the factors of the predictions, each with one number for each class; None for no factors.

    >>> [p.factors for p in ArgmaxPostProcessor([(1, 1), (1, 0.5)]).tuning_parameters()]
    [(1, 1), (1, 0.5)]
    """

    def __init__(self, factors: Sequence[Sequence[float]] | None = None) -> None:
        self.factors = None if factors is None else tuple(tuple(candidate) for candidate in factors)

    def enumerate_parameters(self) -> Iterator[ArgmaxPostProcessorParameters]:
        """Return one set of parameters for each candidate, or one; ids count from 1."""
        if self.factors is None:
            yield ArgmaxPostProcessorParameters(id=1)
            return
        for number, factors in enumerate(self.factors, start=1):
            yield ClassFactors(number, factors)

    def tuning_parameters(self) -> list[ArgmaxPostProcessorParameters]:
        """Return all candidates."""
        return list(self.enumerate_parameters())

    def read_parameters(self, values: dict[str, Any]) -> ArgmaxPostProcessorParameters:
        """Return the parameters with plain values; the candidates for the factors need not be known.

        >>> ArgmaxPostProcessor().read_parameters({"id": 2, "factors": [1.0, 0.5]})
        ClassFactors(id=2, factors=[1.0, 0.5])
        """
        return ClassFactors(**values) if "factors" in values else ArgmaxPostProcessorParameters(**values)

    def create_operation(self, parameters: ArgmaxPostProcessorParameters) -> Argmax:
        """Return the argmax, with the factors of the parameters."""
        return Argmax(tuple(parameters.factors) if isinstance(parameters, ClassFactors) else ())
