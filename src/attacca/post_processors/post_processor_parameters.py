"""Base of the parameters of a post-processor."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class PostProcessorParameters:
    """Parameters of one run of a post-processor.

    Attributes:
        id: number of this set of parameters among those of its post-processor.
    """

    id: int = 0

    @property
    def parameter_names(self) -> list[str]:
        """Names of all parameters, ``id`` first."""
        return [field.name for field in fields(self)]
